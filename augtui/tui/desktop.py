"""Telling the desktop that work has ended, while another window is looked at.

Terminals that can do it are asked by an escape sequence: kitty by OSC 99, iTerm2, WezTerm and Ghostty by OSC 9,
rxvt and foot by OSC 777. Elsewhere a program of the desktop is started, and not waited for. What is told is our own
words and counts; names in it are made visible first, and nothing of it can end a sequence or begin another.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Literal

from augtui.domain.visible import excerpt

Way = Literal["osc9", "osc99", "osc777", "notify-send", "osascript", "powershell"]
LONGEST = 160
LIMIT_S = 10.0
"""After so long a program that was started is ended."""

_TERMINALS: tuple[tuple[str, str, Way], ...] = (
    ("TERM", "xterm-kitty", "osc99"),
    ("TERM_PROGRAM", "iTerm.app", "osc9"),
    ("TERM_PROGRAM", "WezTerm", "osc9"),
    ("TERM_PROGRAM", "ghostty", "osc9"),
    ("TERM", "xterm-ghostty", "osc9"),
    ("TERM", "foot", "osc777"),
    ("TERM", "foot-extra", "osc777"),
    ("TERM", "rxvt-unicode-256color", "osc777"),
)
"""Variables by which terminals that notify are known. VTE's and Konsole's are not among them: most versions do not."""
_POWERSHELL = (
    "Add-Type -AssemblyName System.Windows.Forms; Add-Type -AssemblyName System.Drawing;"
    "$n = New-Object System.Windows.Forms.NotifyIcon; $n.Icon = [System.Drawing.SystemIcons]::Information;"
    "$n.Visible = $true; $n.ShowBalloonTip(5000, $env:AUGTUI_TITLE, $env:AUGTUI_TEXT, 'Info'); Start-Sleep 6"
)
_OSASCRIPT = 'display notification (system attribute "AUGTUI_TEXT") with title (system attribute "AUGTUI_TITLE")'


def way(environment: Mapping[str, str], which: Callable[[str], str | None] = shutil.which) -> Way | None:
    """Return how this terminal or desktop can be told, None where nobody listens."""
    # Inside tmux and screen the variables are those of the outer terminal, and sequences would be swallowed or shown.
    if not environment.get("TMUX") and not environment.get("STY"):
        for name, value, found in _TERMINALS:
            if environment.get(name) == value:
                return found
    if environment.get("SSH_CONNECTION"):
        return None  # a program would notify the desktop of the far machine
    if sys.platform == "darwin":
        return "osascript" if which("osascript") else None
    has_desktop = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    if has_desktop and which("notify-send"):
        return "notify-send"
    return "powershell" if which("powershell.exe") else None


def sequence(how: Way, title: str, text: str) -> str:
    """Return the escape sequence that tells a terminal; empty where a program does. No part can end it early."""
    title, text = _safe(title), _safe(text)
    if how == "osc9":
        return f"\x1b]9;{title}: {text}\x07"
    if how == "osc777":
        return f"\x1b]777;notify;{title.replace(';', ',')};{text}\x07"
    if how == "osc99":
        return f"\x1b]99;i=augtui:d=0;{title}\x1b\\\x1b]99;i=augtui:p=body;{text}\x1b\\"
    return ""


def command(how: Way, title: str, text: str) -> tuple[list[str], dict[str, str]]:
    """Return the words of the program that tells the desktop, and its variables; text is never a part of a script."""
    title, text = _safe(title), _safe(text)
    variables = {"AUGTUI_TITLE": title, "AUGTUI_TEXT": text}
    if how == "notify-send":
        # Desktops read the body as markup.
        body = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return ["notify-send", "--app-name=augtui", "--", title, body], {}
    if how == "osascript":
        return ["osascript", "-e", _OSASCRIPT], variables
    return ["powershell.exe", "-NoProfile", "-Command", _POWERSHELL], {
        **variables,
        "WSLENV": "AUGTUI_TITLE:AUGTUI_TEXT",
    }


def tell(
    title: str,
    text: str,
    write: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
) -> Way | None:
    """Tell the terminal (by `write`) or the desktop; returns how, None where it cannot be done. Never waits."""
    variables = os.environ if environment is None else environment
    how = way(variables, lambda name: shutil.which(name, path=variables.get("PATH")))
    if how is None:
        return None
    if shown := sequence(how, title, text):
        write(shown)
        return how
    words, further = command(how, title, text)
    threading.Thread(target=_run, args=(words, {**variables, **further}), daemon=True).start()
    return how


def _run(words: list[str], environment: Mapping[str, str]) -> None:
    program = shutil.which(words[0], path=environment.get("PATH"))
    if program is None:
        return
    try:
        subprocess.run(
            [program, *words[1:]],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return  # the toast in the app says the same


def _safe(text: str) -> str:
    return excerpt(text, LONGEST)
