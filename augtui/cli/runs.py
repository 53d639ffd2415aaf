"""`augtui runs`: what was run, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from augtui.cli import options

app = typer.Typer(help="List runs and show what they made.", no_args_is_help=True, rich_markup_mode=None)
Number = Annotated[int, typer.Argument(help="The run's number, from `augtui runs ls`.")]


@app.command("ls")
def ls(project: options.Project = None, json: options.Json = False) -> None:
    """List the runs of a project, newest first."""
    from augtui.domain.visible import excerpt
    from augtui.settings import load
    from augtui.store import runs
    from augtui.store.projects import open_project

    with open_project(load(project=project).project) as opened:
        for run in runs.list_runs(opened):
            counts: Mapping[Any, int] = runs.counts(opened, run.id)
            if run.task == "import":
                counts = {"records": run.total or 0}
            if json:
                _print_json({**_row(run), "counts": counts})
                continue
            done = sum(counts.values()) - counts.get("pending", 0)
            typer.echo(
                f"{run.id:>4}  {excerpt(run.task, 12):<7} {run.status:<11} {done:>7}/{sum(counts.values()):<7}"
                f" {run.updated_at[:16]}  {excerpt(run.source, 60)}"
            )


@app.command("show")
def show(number: Number, project: options.Project = None, json: options.Json = False) -> None:
    """Show a run: its settings, its counts, the lines it set aside."""
    from augtui.domain.visible import visible
    from augtui.settings import load
    from augtui.store import imports, items, runs
    from augtui.store.projects import open_project

    with open_project(load(project=project).project) as opened:
        run = runs.get(opened, number)
        counts: Mapping[Any, int] = runs.counts(opened, number)
        if run.task == "import":
            done = imports.progress(opened, number)
            counts = {"records": done.records, "added": done.added}
        aside = list(items.quarantined(opened, number))
        if json:
            lines = [{"line": line.line, "reason": line.reason, "excerpt": line.excerpt} for line in aside]
            _print_json({**_row(run), "config": dict(run.config), "counts": counts, "quarantined": lines})
            return
        facts: dict[str, Any] = {**_row(run), "quarantined": len(aside)}
        facts |= dict(counts.items())
        for name, value in facts.items():
            typer.echo(f"{name:<14} {visible(str(value))}")
        for name, value in run.config.items():
            typer.echo(f"  {visible(name):<16} {visible(str(value))}")
        for line in aside[:20]:
            typer.echo(f"line {line.line}: {visible(line.reason)}: {visible(line.excerpt)[:80]}")
        if len(aside) > 20:
            typer.echo(f"and {len(aside) - 20} more lines set aside (--json lists all)")


def _row(run: Any) -> dict[str, Any]:
    return {
        "run": run.id, "task": run.task, "source": run.source, "status": run.status, "seed": run.seed,
        "model_sha256": run.model_sha256, "template_hash": run.template_hash, "created_at": run.created_at,
        "updated_at": run.updated_at, "resumptions": run.resumptions,
    }  # fmt: skip


def _print_json(value: dict[str, Any]) -> None:
    import json as encoder

    # ASCII only: what a data set says must not reach a terminal as control characters.
    typer.echo(encoder.dumps(value, ensure_ascii=True))
