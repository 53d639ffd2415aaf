"""Which display a run has: for the app, a terminal, a log, or nobody."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from augtui.cli import app_line
from augtui.cli.display import Display, PlainDisplay, TerminalDisplay


@contextmanager
def display_for(task: str, *, to_file: bool, json: bool, quiet: bool) -> Iterator[Display]:
    """Choose the display that suits where stdout and stderr go."""
    shows = not to_file
    if app_line.wanted():
        from augtui.cli import events

        told = events.EventDisplay(task)
        told.start()
        yield told
        return
    if quiet:
        yield Display(task, shows_results=shows, json_summary=json)
        return
    if not sys.stderr.isatty():
        yield PlainDisplay(task, shows_results=shows, json_summary=json)
        return
    from rich.console import Console

    # Results for the eye share the bar's terminal; JSON lines to a pipe do not.
    pretty = shows and sys.stdout.isatty() and not json
    console = Console(stderr=True)
    display = TerminalDisplay(task, console, shows_results=shows, pretty=pretty, json_summary=json)
    if shows and sys.stdout.isatty() and not pretty:
        yield Display(task, shows_results=True, json_summary=json)
        return
    display.start()
    try:
        yield display
    finally:
        display.stop()
