"""Who runs is listed while it lives, whatever way it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from augtui import locations
from augtui.engines import running

PROGRAM = """
import sys, time
from pathlib import Path
from augtui.engines import running
with running.announced(Path("/models/a.gguf"), "llama") as announcement:
    announcement.tell(4242)
    print("here", flush=True)
    sys.stdin.read()
"""


def test_an_engine_is_listed_until_it_ends_or_is_killed() -> None:
    for end in ("closes", "is killed"):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        (engine,) = running.running()
        assert (engine.owner, engine.child, engine.model) == (process.pid, 4242, Path("/models/a.gguf"))
        if end == "closes":
            process.stdin.close()
        else:
            process.kill()
        process.wait()
        assert running.running() == []
        assert list((locations.home() / "running").iterdir()) == []


def test_rubbish_in_its_folder_and_a_home_that_cannot_be_written_are_no_obstacle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = locations.home() / "running"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text("[")
    assert running.running() == []
    monkeypatch.setenv("AUGTUI_HOME", "/proc/nowhere")
    with running.announced(Path("a"), "llama") as announcement:
        announcement.tell(1)
        assert running.running() == []


def test_memory_is_told_of_a_process_that_lives() -> None:
    engine = running.Running(1, os.getpid(), Path("a"), "llama", "")
    assert (engine.memory_bytes or 0) > 1_000_000
    assert running.Running(1, None, Path("a"), "llama", "").memory_bytes is None
