"""What the first paint needs, and what is left for later."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from textual import constants

from augtui.cli import start
from augtui.settings import load
from augtui.tui.opening import ESCAPE_S, Glance, glance, quicken_escape


@pytest.mark.parametrize(
    "text",
    [
        "",
        'project = "mine"\nseed = 3\n',
        'project = "mine"\n[keys]\n"records.down" = "ctrl+f"\n',
    ],
)
def test_a_glance_sees_what_the_settings_say(text: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config.toml").write_text(text)
    seen = glance()
    assert seen is not None and (seen.project, seen.keys) == (load().project, load().keys)
    monkeypatch.setenv("augtui_project" if os.name == "posix" else "AUGTUI_PROJECT", "from-variable")
    assert glance() == Glance("from-variable", seen.keys) and load().project == "from-variable"
    assert glance("flag") == Glance("flag", seen.keys)


@pytest.mark.parametrize("text", ["project = 3\n", "keys = 1\n", '[keys]\n"a" = 3\n', "not toml", b"\xff\xfe"])
def test_what_is_not_plain_is_left_to_the_settings(text: str | bytes, home: Path) -> None:
    (home / "config.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert glance() is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["--project", "x", "--screen=review"], {"project": "x", "screen": "review"}),
        (["-p", "x"], {"project": "x"}),
        (["--project"], None),
        (["--project", "--screen"], None),
        (["--help"], None),
        (["ls"], None),
        (["--offline"], None),
        (["-p=x"], None),
    ],
)
def test_the_app_is_opened_where_nothing_else_is_asked_for(words: list[str], expected: dict[str, str] | None) -> None:
    assert start.app_options(words) == expected


def test_the_first_screen_loads_neither_the_command_line_nor_the_settings() -> None:
    heavy = ("typer", "pydantic", "sqlite_utils", "numpy", "plotext", "jinja2", "augtui.cli.main", "rapidfuzz")
    program = (
        "import sys, augtui.cli.start, augtui.tui.opening, augtui.tui.app, augtui.tui.screens.home;"
        f" print(*sorted(set({heavy!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_the_app_ends_when_its_terminal_is_gone_without_a_signal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "AUGTUI_HOME": str(tmp_path), "TERM": "xterm-256color"}
    command = [sys.executable, "-P", "-m", "augtui"]
    app = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )  # fmt: skip
    os.close(theirs)
    try:
        assert select.select([ours], [], [], 30)[0], "it painted nothing"
        os.close(ours)
        assert app.wait(15) == 128 + signal.SIGHUP
    finally:
        app.kill()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, ESCAPE_S), ({"ESCDELAY": "500"}, 0.1), ({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, 0.1)],
)
def test_an_escape_alone_waits_only_where_a_sequence_may_be_late(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: float
) -> None:
    monkeypatch.setattr(constants, "ESCAPE_DELAY", 0.1)
    quicken_escape(environment)
    assert expected == constants.ESCAPE_DELAY
