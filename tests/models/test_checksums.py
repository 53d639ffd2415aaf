"""Checksums: right, remembered, and forgotten when the file changes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from augtui.models import checksums


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(checksums, "REMEMBERED_FROM_BYTES", 1000)
    path = tmp_path / "model.gguf"
    path.write_bytes(b"x" * 3_000_000)
    return path


def test_it_is_the_sha256_of_the_file(large: Path) -> None:
    read: list[int] = []
    assert checksums.sha256(large, read.append) == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    assert sum(read) == 3_000_000


def test_a_known_file_is_not_read_again_and_a_changed_one_is(large: Path) -> None:
    first = checksums.sha256(large)
    read: list[int] = []
    assert checksums.sha256(large, read.append) == first
    assert read == []
    large.write_bytes(b"y" * 3_000_000)
    os.utime(large, ns=(1, 1))
    assert checksums.sha256(large) == hashlib.sha256(b"y" * 3_000_000).hexdigest()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}', "\x00"])
def test_a_damaged_memory_is_no_obstacle(large: Path, home: Path, content: str) -> None:
    (home / "checksums.json").write_text(content)
    assert checksums.sha256(large) == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_a_home_that_cannot_be_written_is_no_obstacle(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGTUI_HOME", "/proc/nowhere")
    assert checksums.sha256(large) == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_a_sum_that_is_known_is_noted_and_one_is_computed_anew_when_it_matters(large: Path) -> None:
    checksums.remember(large, "noted")
    assert checksums.sha256(large) == "noted"
    assert checksums.fresh(large) == checksums.sha256(large) == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_several_files_are_named_by_all_of_them(tmp_path: Path) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    for file in files:
        file.write_text(file.name)
    both = checksums.several(files)
    assert len({both, checksums.several(files[::-1]), *map(checksums.sha256, files)}) == 4
    assert checksums.several(files[:1]) == checksums.sha256(files[0])
