"""How far a step that selects has come: a bar on a terminal, lines elsewhere, nothing if it is to be quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PLAIN_EVERY_S = 5.0

Tell = Callable[[str, int, int], None]
"""(what is being done, how much of it, how much there is; 0: nobody knows)."""


@contextmanager
def shown(step: str, *, quiet: bool) -> Iterator[Tell]:
    """Yield what tells the progress of a step as long as the block lasts."""
    from augtui.cli import app_line

    if app_line.wanted():
        with app_line.told() as tell:
            yield tell
    elif quiet:
        yield lambda what, done, total: None
    elif not sys.stderr.isatty():
        yield _Lines(step)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=None), MofNCompleteColumn())
        console = Console(stderr=True)
        with Progress(
            *columns, TimeElapsedColumn(), console=console, expand=True, transient=True,
            redirect_stdout=False, redirect_stderr=False,
        ) as bar:  # fmt: skip
            task = bar.add_task(step, total=None)
            yield lambda what, done, total: bar.update(
                task, description=f"{step}: {what}", completed=done, total=total or None
            )


class _Lines:
    def __init__(self, step: str) -> None:
        self._step = step
        self._told = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told >= PLAIN_EVERY_S:
            self._told = now
            amount = f"{done:,}/{total:,}" if total else f"{done:,}"
            print(f"augtui {self._step}: {what} {amount}", file=sys.stderr)
