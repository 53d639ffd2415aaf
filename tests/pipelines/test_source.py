"""The input of a run: known by its bytes, read again from a pipe's copy."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import threading
from pathlib import Path

import pytest

from augtui.errors import InputError
from augtui.pipelines.source import opened


def test_a_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello\n" * 100_000)
    with opened(str(path)) as source:
        assert source.sha256 == hashlib.sha256(b"hello\n" * 100_000).hexdigest()
        assert (source.name, source.path) == (str(path), path)


def test_a_pipe_can_be_read_again_while_the_block_lasts() -> None:
    data = bytes(range(256)) * 10_000
    with opened("-", io.BytesIO(data)) as source:
        assert source.path.read_bytes() == data
        assert source.sha256 == hashlib.sha256(data).hexdigest()
    assert not source.path.exists()


def test_a_named_pipe_is_read_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"hello\n" * 50_000,))
    writer.start()
    with opened(str(path)) as source:
        assert source.name == str(path)
        assert source.path.read_bytes() == b"hello\n" * 50_000
    writer.join()
    assert not source.path.exists()


def test_no_standard_input_at_all_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="nothing is piped in"), opened("-"):
        pass


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_what_cannot_be_read_is_an_input_error(name: str) -> None:
    with pytest.raises(InputError, match=r"no such file|is a folder"), opened(name):
        pass
