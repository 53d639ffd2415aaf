"""The app from the command line: whether there is a terminal for it, and how it is opened."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from augtui.tui.catalogue import Command

PROGRAM = (sys.executable, "-P", "-m", "augtui")
"""How the app starts a command."""


def has_terminal() -> bool:
    """Say whether a person sits there, before something that can place text."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def open_app(commands: Callable[[], tuple[Command, ...]], project: str | None, screen: str | None) -> int:
    """Run the app until it is left; returns its exit code. `commands` is called when it is known what to start."""
    from augtui.tui import opening

    return opening.run(commands, PROGRAM, project=project, screen=screen)
