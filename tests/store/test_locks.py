from __future__ import annotations

import os
from pathlib import Path

import pytest

from augtui import locations
from augtui.errors import StoreError
from augtui.store import locks

DATABASE = Path("/somewhere/demo.db")


def test_a_lock_is_held_once_and_names_its_holder() -> None:
    assert locks.holder(DATABASE, "run") is None
    with locks.acquire(DATABASE, "run"):
        assert locks.holder(DATABASE, "run") == os.getpid()
        with pytest.raises(locks.LockHeldError) as caught:
            locks.acquire(DATABASE, "run", wait_s=0)
        assert caught.value.pid == os.getpid()
        locks.acquire(DATABASE, "another run").release()
    assert locks.holder(DATABASE, "run") is None
    locks.acquire(DATABASE, "run").release()


def test_released_locks_leave_no_files_behind() -> None:
    lock = locks.acquire(DATABASE, "run")
    lock.release()
    lock.release()
    assert list(locations.locks().iterdir()) == []


def test_a_lock_whose_file_was_removed_by_its_holder_is_made_anew() -> None:
    first = locks.acquire(DATABASE, "run")
    orphan = os.open(next(locations.locks().iterdir()), os.O_RDWR)
    first.release()
    with locks.acquire(DATABASE, "run"), pytest.raises(locks.LockHeldError):
        locks.acquire(DATABASE, "run", wait_s=0)
    os.close(orphan)


def test_an_unusable_folder_is_one_clear_line(home: Path) -> None:
    home.mkdir()
    (home / "locks").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="folder of locks"):
        locks.acquire(DATABASE, "run")
