"""Notifications of the desktop: by sequences that terminals know, by programs that stand in for real ones."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.pilot import Pilot

from augtui.settings import load
from augtui.tui import desktop
from augtui.tui.app import Workshop
from augtui.tui.desktop import Way
from augtui.tui.jobs import Job
from tests.tui.test_screens import drive

SEQUENCES: dict[Way, str] = {
    "osc9": r"\x1b\]9;[^\x00-\x1f\x7f-\x9f]*\x07",
    "osc777": r"\x1b\]777;notify;[^;\x00-\x1f\x7f-\x9f]*;[^\x00-\x1f\x7f-\x9f]*\x07",
    "osc99": r"\x1b\]99;i=augtui:d=0;[^\x00-\x1f\x7f-\x9f]*\x1b\\\x1b\]99;i=augtui:p=body;[^\x00-\x1f\x7f-\x9f]*\x1b\\",
}


@pytest.mark.parametrize(
    ("environment", "programs", "expected"),
    [
        ({"TERM": "xterm-kitty"}, (), "osc99"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, (), "osc9"),
        ({"TERM": "foot"}, ("notify-send",), "osc777"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux,1,0"}, (), None),
        ({"TERM": "xterm-256color", "DISPLAY": ":0"}, ("notify-send",), "notify-send"),
        ({"TERM": "xterm-256color"}, ("notify-send",), None),
        ({"TERM": "xterm-256color", "DISPLAY": ":0", "SSH_CONNECTION": "1"}, ("notify-send",), None),
        ({"TERM": "xterm-kitty", "SSH_CONNECTION": "1"}, (), "osc99"),
        ({"TERM": "xterm-256color", "WSL_DISTRO_NAME": "Debian"}, ("powershell.exe",), "powershell"),
        ({}, (), None),
    ],
)
def test_the_way_suits_terminal_and_desktop(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], programs: tuple[str, ...], expected: Way | None
) -> None:
    monkeypatch.setattr(desktop.sys, "platform", "linux")
    assert desktop.way(environment, lambda name: f"/bin/{name}" if name in programs else None) == expected


def test_a_mac_is_told_by_its_own_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desktop.sys, "platform", "darwin")
    assert desktop.way({"TERM": "xterm-256color"}, lambda name: f"/usr/bin/{name}") == "osascript"
    words, variables = desktop.command("osascript", "augtui", '" & do shell script "id')
    assert "do shell" not in " ".join(words) and "do shell" in variables["AUGTUI_TEXT"]


@given(st.text(), st.text(), st.sampled_from(sorted(SEQUENCES)))
def test_no_text_ends_a_sequence_or_begins_another(title: str, text: str, how: Way) -> None:
    assert re.fullmatch(SEQUENCES[how], desktop.sequence(how, title, text))


def _program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_a_program_is_started_and_not_waited_for(tmp_path: Path) -> None:
    _program(tmp_path, "notify-send", f'printf "%s|" "$@" > {tmp_path}/part; mv {tmp_path}/part {tmp_path}/told')
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DISPLAY": ":0"}
    written: list[str] = []
    began = time.monotonic()
    assert desktop.tell("augtui", "<b>3</b> \x1b]0;x\x07", written.append, environment) == "notify-send"
    assert time.monotonic() - began < 1 and written == []
    while not (tmp_path / "told").exists() and time.monotonic() - began < 20:
        time.sleep(0.02)
    assert (tmp_path / "told").read_text() == "--app-name=augtui|--|augtui|&lt;b&gt;3&lt;/b&gt; ␛]0;x␇|"


def test_a_program_that_hangs_or_fails_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desktop, "LIMIT_S", 0.2)
    for script in ("sleep 60", "exit 3"):
        _program(tmp_path, "notify-send", script)
        began = time.monotonic()
        desktop.tell("augtui", "done", lambda text: None, {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DISPLAY": ":0"})
        assert time.monotonic() - began < 1


def test_only_who_looks_elsewhere_is_told(
    workshop: Callable[..., Workshop], project_file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(desktop, "tell", lambda title, text, write: told.append(text))
    app = workshop()
    job = Job(1, ["refine"], "refine", status="finished", counts={"accepted": 3}, code=0, ended=1.0)

    async def steps(pilot: Pilot[Any]) -> None:
        app.tell_desktop(job)
        assert told == []
        app.post_message(events.AppBlur())
        await pilot.pause(0.1)
        app.tell_desktop(job)
        assert told == ["refine finished. 3 accepted, 0 failed. 3 reviews them."]
        job.status = "stopped"  # by whoever sits here
        app.tell_desktop(job)
        job.status = "failed"
        app._settings = load(notify="never")
        app.tell_desktop(job)
        assert len(told) == 1
        app.post_message(events.AppFocus())
        await pilot.pause(0.1)
        app._settings = load(notify="always")
        app.tell_desktop(job)
        assert told[1:] == ["refine failed."]

    drive(app, steps)
