"""Where `augtui` begins: the app is opened without loading the command line, whose commands it describes later."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from augtui.errors import AugtuiError, ExitCode

if TYPE_CHECKING:
    from augtui.tui.catalogue import Command

PROGRAM = (sys.executable, "-P", "-m", "augtui")
"""How the app starts a command."""
APP_OPTIONS = {"--project": "project", "-p": "project", "--screen": "screen"}


def entry() -> None:
    """Open the app where nothing but the app is asked for, on a terminal; else run the command line."""
    asked = app_options(sys.argv[1:])
    if asked is not None and has_terminal() and not any(name.endswith("_COMPLETE") for name in os.environ):
        guarded(lambda: sys.exit(open_app(asked.get("project"), asked.get("screen"))))
    else:
        from augtui.cli import main

        main.entry()


def app_options(words: Sequence[str]) -> dict[str, str] | None:
    """Return the app's options among the words of the command line, None where there is anything else."""
    asked: dict[str, str] = {}
    left = iter(words)
    for word in left:
        flag, equals, value = word.partition("=")
        if flag not in APP_OPTIONS or (equals and not flag.startswith("--")):
            return None
        if not equals:
            following = next(left, None)
            if following is None or following.startswith("-"):
                return None  # the command line says what is wrong
            value = following
        asked[APP_OPTIONS[flag]] = value
    return asked


def has_terminal() -> bool:
    """Say whether a person sits there."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def open_app(project: str | None, screen: str | None) -> int:
    """Run the app until it is left; returns its exit code."""
    from augtui.tui import opening

    return opening.run(_commands, PROGRAM, project=project, screen=screen)


def _commands() -> tuple[Command, ...]:
    from augtui.cli.catalogue import commands
    from augtui.cli.main import app

    return commands(app)


def guarded(work: Callable[[], object]) -> None:
    """Do what was asked for; an error that a user can mend is one or two lines, never a traceback."""
    try:
        work()
    except AugtuiError as error:
        if os.environ.get("AUGTUI_DEBUG"):
            raise
        from augtui.domain.visible import visible

        print(f"augtui: {visible(error.message)}", file=sys.stderr)
        if error.hint:
            print(f"        {visible(error.hint)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get("AUGTUI_DEBUG"):
            raise
        from augtui.domain.visible import visible

        print(f"augtui: unexpected {type(error).__name__}: {visible(str(error))}", file=sys.stderr)
        print("        That is a fault of augtui; AUGTUI_DEBUG=1 shows where. Nothing saved is lost.", file=sys.stderr)
        sys.exit(ExitCode.FAILED)
