"""Projects on real SQLite files, in both journal modes, and child processes that work on them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import augtui
from augtui.store import db, projects

CHILDREN = Path(__file__).with_name("children.py")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUGTUI_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """Return a folder in memory where there is one: a kill loses no written page, so no disk is waited for."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    with tempfile.TemporaryDirectory(dir=memory if usable else None) as folder:
        yield Path(folder)


@pytest.fixture(params=["delete", "wal"])
def journal_mode(request: pytest.FixtureRequest) -> db.JournalMode:
    return "wal" if request.param == "wal" else "delete"


@pytest.fixture
def project(journal_mode: db.JournalMode) -> Iterator[projects.Project]:
    with projects.open_project("demo", journal_mode=journal_mode) as project:
        yield project


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Start `children.py` with a command; whatever still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start_child(*arguments: object) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, str(CHILDREN), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(Path(augtui.__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        return child

    yield start_child
    for child in started:
        if child.poll() is None:
            child.kill()
        child.communicate()
