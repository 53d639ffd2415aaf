"""What `augtui quantize audit` shows: progress on stderr, a table or one JSON object on stdout."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from augtui.domain.visible import visible
from augtui.pipelines.audit import Rate, Row, Watcher
from augtui.pipelines.bench import machine_facts
from augtui.pipelines.job import Job

MB = 1e6
NONE = "-"
HEADINGS = (
    "type", "MB", "parsed", "passed", "95%", "dist\n1", "inct\n2", "self\nROUGE", "same\ntext", "ROUGE\n-L",
    "lost\n/won", "tok/s",
)  # fmt: skip
SIGNIFICANT = 0.05


class LineWatcher(Watcher):
    """A line for each file."""

    def loading(self, name: str) -> None:
        """Tell that a file is asked."""
        print(f"augtui quantize audit: asking {visible(name)}", file=sys.stderr)


@dataclass(frozen=True, slots=True)
class Report:
    """An audit's rows and what they rest on."""

    model: str
    task: str
    job: Job
    prompts: int
    asked: int
    """Prompts in a language that the model knows."""
    rows: list[Row]


def print_json(report: Report) -> None:
    """Print one object: what was asked of what on what, and all rows."""
    # ASCII only: what a file is called must not reach a terminal as control characters.
    print(json.dumps(as_json(report), ensure_ascii=True))


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as JSON values."""
    job = report.job
    return {
        "model": report.model,
        "task": report.task,
        "template": job.template.version,
        "temperature": job.sampling.temperature,
        "seed": job.seed,
        "samples": job.samples,
        "guard": job.guard.value,
        "prompts": report.prompts,
        "asked": report.asked,
        "machine": machine_facts(),
        "rows": [row.as_json() for row in report.rows],
    }


def print_table(report: Report) -> None:
    """Print a row for each file; the first is what the others are measured by."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    answers = f"{report.asked} prompts" + (f", {report.job.samples} answers each" if report.job.samples > 1 else "")
    how = "greedy" if report.job.sampling.temperature == 0 else f"T = {report.job.sampling.temperature:g}"
    console.print(f"{visible(report.model)}: {report.task}, {answers}, {how}, guard {report.job.guard.value}")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "type" else "right", no_wrap=True)
    for row in report.rows:
        table.add_row(*_cells(row))
    console.print(table)
    for row in report.rows:
        if row.p_value is not None and row.p_value < SIGNIFICANT:
            verb = "loses" if (row.lost or 0) > (row.won or 0) else "gains"
            console.print(f"{visible(row.name)} {verb} more than chance explains (McNemar p = {row.p_value:.2g})")
    left_out = report.prompts - report.asked
    if left_out:
        console.print(f"{left_out} prompts are in a language that the model does not know, and were left out")


def _cells(row: Row) -> tuple[str, ...]:
    ends = row.passed.interval
    return (
        visible(row.name),
        f"{row.bytes / MB:,.1f}",
        _share(row.parsed),
        _share(row.passed),
        NONE if ends is None else f"{ends[0]:.0%}-{ends[1]:.0%}",
        _plain(row.distinct_1),
        _plain(row.distinct_2),
        _plain(row.self_rouge),
        _share(row.exact),
        _plain(row.rouge_l),
        NONE if row.lost is None else f"{row.lost}/{row.won}",
        f"{row.tokens_per_second:,.0f}",
    )


def _share(rate: Rate | None) -> str:
    return NONE if rate is None or rate.share is None else f"{rate.share:.1%}"


def _plain(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"
