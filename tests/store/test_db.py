from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from augtui.domain.records import Record
from augtui.errors import StoreError
from augtui.store import dataset, db, projects


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "delete"),
        ((3, 44, 5), "delete"),
        ((3, 44, 6), "wal"),
        ((3, 45, 0), "delete"),
        ((3, 50, 6), "delete"),
        ((3, 50, 7), "wal"),
        ((3, 51, 2), "delete"),
        ((3, 51, 3), "wal"),
        ((3, 52, 0), "wal"),
    ],
)
def test_wal_is_used_only_where_sqlite_is_free_of_the_reset_bug(
    tmp_path: Path, version: tuple[int, ...], mode: str
) -> None:
    assert db.choose_journal_mode(tmp_path / "a.db", version) == mode


def test_connections_are_durable_and_strict(project: projects.Project, journal_mode: str) -> None:
    pragmas = {
        name: project.read(f"PRAGMA {name}")[0][0]
        for name in ("foreign_keys", "synchronous", "busy_timeout", "journal_mode", "trusted_schema")
    }
    assert pragmas == {
        "foreign_keys": 1,
        "synchronous": 3,
        "busy_timeout": 30_000,
        "journal_mode": journal_mode,
        "trusted_schema": 0,
    }


def test_an_error_in_the_block_undoes_the_whole_transaction(project: projects.Project) -> None:
    with pytest.raises(RuntimeError, match="stop"), project.write() as conn:
        conn.execute("INSERT INTO models(sha256, name) VALUES ('a', 'b')")
        raise RuntimeError("stop")
    assert project.read("SELECT * FROM models") == []
    assert not project.conn.in_transaction


def test_a_busy_database_becomes_one_clear_line(project: projects.Project) -> None:
    other = sqlite3.connect(project.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    project.conn.execute("PRAGMA busy_timeout=10")
    with pytest.raises(StoreError, match="busy"), project.write():
        pass
    other.close()


def test_a_mistake_in_our_own_sql_is_not_dressed_up(project: projects.Project) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        project.read("SELECT * FROM nowhere")


def test_a_wal_database_in_use_elsewhere_is_not_shared_by_a_sqlite_with_the_bug() -> None:
    with projects.open_project("demo", journal_mode="wal") as first:
        assert first.read("SELECT COUNT(*) FROM records") == [(0,)]
        with pytest.raises(StoreError, match="WAL mode"):
            projects.open_project("demo", journal_mode="delete")
    with projects.open_project("demo", journal_mode="delete") as again:
        assert again.read("PRAGMA journal_mode") == [("delete",)]


def test_a_rollback_journal_stays_when_wal_cannot_be_had_at_once() -> None:
    with projects.open_project("demo", journal_mode="delete") as first:
        first.conn.execute("BEGIN")
        first.conn.execute("SELECT * FROM records").fetchall()
        with projects.open_project("demo", journal_mode="wal") as second:
            assert second.read("PRAGMA journal_mode") == [("delete",)]
        first.conn.execute("COMMIT")


def test_batches_end_after_many_rows_or_much_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "BATCH", 3)
    monkeypatch.setattr(db, "BATCH_CHARACTERS", 10)
    assert list(db.batches(["a"] * 7, len)) == [["a"] * 3, ["a"] * 3, ["a"]]
    assert list(db.batches(["a" * 10, "b", "c" * 9, "d"], len)) == [["a" * 10], ["b", "c" * 9], ["d"]]


def test_json_keeps_lone_surrogates_and_stays_readable() -> None:
    assert db.to_json({"a": "中文"}) == '{"a": "中文"}'
    assert db.from_json(db.to_json("\ud800")) == "\ud800"
    db.to_json("\ud800").encode()


def _grow(project: projects.Project, limit: int = 10_000) -> int:
    """Add records of 2,000 characters, ten a time, until the disk is full; return how many were acknowledged."""
    kept = 0
    for number in range(limit):
        dataset.add_records(project, [Record(f"{number}.{n} " + "x" * 2_000) for n in range(10)])
        kept += 10
    return kept


def test_a_full_database_keeps_every_earlier_commit(project: projects.Project) -> None:
    dataset.add_records(project, [Record("kept")])
    project.conn.execute("PRAGMA max_page_count=60")
    with pytest.raises(StoreError, match="no room left") as caught:
        _grow(project)
    assert caught.value.hint is not None
    kept = dataset.count(project)
    assert 1 < kept < 200
    project.conn.execute("PRAGMA max_page_count=100000")
    assert project.integrity() == []
    assert dataset.add_records(project, [Record("and on")]) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small tmpfs needs root on Linux")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_keeps_every_earlier_commit_and_the_project_opens(
    small_disk: Path, journal_mode: db.JournalMode
) -> None:
    path = small_disk / "demo.db"
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 200_000)
    with projects.open_project(path, journal_mode=journal_mode) as project:
        acknowledged = 0
        with pytest.raises(StoreError, match="no room left"):
            while True:
                batch = [Record(f"{acknowledged + n} " + "x" * 2_000) for n in range(10)]
                acknowledged += dataset.add_records(project, batch)
        with suppress(OSError):
            (small_disk / "rest").write_bytes(b"x" * 1_000_000)  # not a byte is left
        with pytest.raises(StoreError, match=r"no room left|disk failed|cannot be opened"):
            _grow(project)
        assert dataset.count(project) == acknowledged
    with projects.open_project(path, journal_mode=journal_mode) as project:
        assert dataset.count(project) == acknowledged
        ballast.unlink()
        (small_disk / "rest").unlink()
        assert dataset.add_records(project, [Record("and on")]) == 1
        assert project.integrity() == []


def test_a_database_that_cannot_be_written_can_be_read(project: projects.Project) -> None:
    dataset.add_records(project, [Record("a")])
    project.conn.execute("PRAGMA query_only=ON")
    assert dataset.count(project) == 1
    with pytest.raises(StoreError, match="cannot be written"):
        dataset.add_records(project, [Record("b")])
