"""What `augtui` does without a command, and what a command tells the app."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from augtui.cli import window


def augtui(*words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "augtui", *words],
        capture_output=True, text=True, input=stdin, env={**os.environ, **environment}, check=False,
    )  # fmt: skip


def test_without_a_terminal_it_is_the_help() -> None:
    done = augtui()
    assert done.returncode == 0 and "Usage:" in done.stdout and "refine" in done.stdout


def test_a_terminal_that_cannot_place_text_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    assert window.has_terminal()
    monkeypatch.setenv("TERM", "dumb")
    assert not window.has_terminal()
    done = augtui("--screen", "review")
    assert done.returncode == 2 and "TERM=dumb" in done.stderr


@pytest.mark.parametrize("words", [("--screen", "review"), ("--project", "x"), ("--project", "x", "paths")])
def test_the_apps_options_need_the_app(words: tuple[str, ...]) -> None:
    done = augtui(*words)
    assert done.returncode == 2 and "augtui:" in done.stderr and not done.stdout


def test_a_run_tells_the_app_and_stops_when_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("".join(f"Describe station number {n} for a guide book\n" for n in range(4)))
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "augtui", "refine", "--file", str(file)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "AUGTUI_EVENTS": "1"},
    )  # fmt: skip
    assert child.stdin is not None and child.stdout is not None
    events = [json.loads(line) for line in child.stdout]
    assert child.wait() in (0, 4)
    kinds = [event["event"] for event in events]
    assert kinds.index("begin") < kinds.index("loaded") < kinds.index("finish") == len(kinds) - 1
    assert sum(events[-2]["counts"].values()) == 4 == events[kinds.index("begin")]["total"]
    assert {one["position"] for event in events if event["event"] == "tick" for one in event["latest"]} == {0, 1, 2, 3}

    file.write_text("".join(f"Describe station number {n} for a guide book\n" for n in range(2000)))
    gone = subprocess.Popen(
        [sys.executable, "-P", "-m", "augtui", "refine", "--file", str(file)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "AUGTUI_EVENTS": "1"},
    )  # fmt: skip
    assert gone.stdin is not None and gone.stdout is not None
    for line in gone.stdout:
        if json.loads(line).get("counts") and json.loads(line)["event"] == "tick":
            break
    gone.stdin.close()  # as the death of the app does
    gone.stdout.read()
    assert gone.wait() == 130
    listed = augtui("runs", "ls").stdout.splitlines()
    assert "interrupted" in listed[0] and "finished" in listed[1]
