"""Where `augtui` begins: the app is opened without loading the command line, whose commands it describes later."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from augtui.cli.guarding import guarded
from augtui.cli.window import has_terminal, open_app

if TYPE_CHECKING:
    from augtui.tui.catalogue import Command

APP_OPTIONS = {"--project": "project", "-p": "project", "--screen": "screen"}


def entry() -> None:
    """Open the app where nothing but the app is asked for, on a terminal; else run the command line."""
    asked = app_options(sys.argv[1:])
    if asked is not None and has_terminal() and not any(name.endswith("_COMPLETE") for name in os.environ):
        guarded(lambda: _open(asked.get("project"), asked.get("screen")))
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


def _open(project: str | None, screen: str | None) -> None:
    def described() -> tuple[Command, ...]:
        from augtui.cli import catalogue, main

        return catalogue.commands(main.app)

    sys.exit(open_app(described, project, screen))
