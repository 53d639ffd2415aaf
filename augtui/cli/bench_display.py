"""What `augtui bench` shows: progress on stderr, a table or one JSON object on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from augtui.cli.display import Speed
from augtui.domain.visible import visible
from augtui.engines.base import Completion, Event, Failure, Progress
from augtui.models.catalog import Model
from augtui.pipelines.bench import Report, Row, Watcher, machine_facts, slots_text

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

MIB = 2**20
NONE = "-"
HEADINGS = (
    "slots", "prompts", "tok/s", "prefill\ntok/s", "decode\ntok/s", "first\ntoken", "\np95", "peak\nmemory",
    "KV\ncache", "load",
)  # fmt: skip


class LineWatcher(Watcher):
    """Lines of text, for logs and pipes."""

    def end(self, row: Row) -> None:
        """Tell what came of a number of slots."""
        speed = f"{row.tokens_per_second:,.0f} tok/s"
        print(f"augtui bench: {slots_text(row.slots)}: {speed} ({row.seconds:.1f} s)", file=sys.stderr)


class BarWatcher(Watcher):
    """A progress bar on a terminal, one number of slots after the other."""

    def __init__(self, bar: Bar) -> None:
        """Draw on `bar`, which is running."""
        self._bar = bar
        self._task = bar.add_task("bench", total=None, speed="")
        self._speed = Speed()
        self._ended = 0

    def loading(self, slots: int) -> None:
        """Tell that an engine is being loaded."""
        self._bar.reset(self._task, total=None, description=f"{slots_text(slots)}: loading", speed="")

    def begin(self, slots: int, prompts: int) -> None:
        """Start the bar of a number of slots."""
        self._speed, self._ended = Speed(), 0
        self._bar.reset(self._task, total=prompts, description=slots_text(slots), speed="")

    def see(self, event: Event) -> None:
        """Move the bar."""
        if isinstance(event, Completion | Failure):
            self._ended += 1
            self._bar.update(self._task, completed=self._ended)
        elif isinstance(event, Progress):
            self._bar.update(self._task, speed=f"{self._speed.see(event.completion_tokens):,.0f} tok/s")


@contextmanager
def bar_watcher() -> Iterator[BarWatcher]:
    """Yield a watcher whose bar is gone after the block."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("bench: {task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}", markup=False),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Bar(*columns, console=console, expand=True, transient=True, redirect_stdout=False) as bar:
        yield BarWatcher(bar)


def print_json(report: Report, model: Model) -> None:
    """Print one object: the fastest row's figures, then what was measured, on what, and all rows."""
    # ASCII only: what a model file says must not reach a terminal as control characters.
    print(json.dumps(as_json(report, model), ensure_ascii=True))


def as_json(report: Report, model: Model) -> dict[str, Any]:
    """Return the report as JSON values; the keys are always the same."""
    info = report.model
    assert info is not None
    return {
        **report.best.as_json(),
        "recommended_slots": report.recommended.slots if report.reason else None,
        "reason": report.reason,
        "model": model.name,
        "model_path": str(model.path),
        "model_description": info.description,
        "model_bytes": info.bytes,
        "model_parameters": info.parameters,
        "machine": machine_facts(),
        "notes": report.notes,
        "rows": [row.as_json() for row in report.rows],
    }


def print_table(report: Report, model: Model) -> None:
    """Print a row for each number of slots, and which of them to use."""
    from rich.console import Console
    from rich.table import Table

    assert report.model is not None
    facts = machine_facts()
    console = Console(highlight=False, markup=False)
    threads = report.best.threads or facts["cores"]
    console.print(
        f"{visible(model.name)}: {visible(report.model.description)}, {threads} threads, {facts['processor']}"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in report.rows:
        table.add_row(
            str(row.slots),
            str(row.prompts),
            f"{row.tokens_per_second:,.1f}",
            _rate(row.prefill_tokens_per_second),
            _rate(row.decode_tokens_per_second),
            _time(row.first_token_median_s),
            _time(row.first_token_p95_s),
            f"{row.peak_rss_bytes / MIB:,.0f} M",
            f"{row.cache_bytes / MIB:,.0f} M" if row.cache_bytes else NONE,
            _time(row.load_s),
            style="bold" if report.reason and row is report.recommended else None,
        )
    console.print(table)
    if report.reason:
        console.print(f"recommended: {report.reason}")


def _rate(rate: float | None) -> str:
    return NONE if rate is None else f"{rate:,.1f}"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds < 1 else f"{seconds:,.2f} s"
