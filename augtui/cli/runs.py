"""`augtui runs`: what was run, and what came of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
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


@app.command("resume")
def resume(context: typer.Context, number: Number, project: options.Project = None) -> None:
    """Continue a run by its own command, with the settings that held when it began. What is done is not done again."""
    import os
    import shlex

    from augtui import settings
    from augtui.domain.visible import visible
    from augtui.errors import StoreError, UsageError
    from augtui.store import commanded, runs
    from augtui.store.projects import open_project

    with open_project(settings.load(project=project).project) as opened:
        run, path = runs.get(opened, number), opened.path
    if run.command is None:
        raise StoreError(
            f"Run {number} does not know its command: an older augtui began it, or another program.",
            hint=f"Run the same command again, which continues it. Its settings: augtui runs show {number}",
        )
    if not run.command.is_ours:
        shown = visible(f"augtui {shlex.join(run.command.words)}")
        raise StoreError(
            f"Run {number} was begun elsewhere, and what a project from elsewhere says is not carried out.",
            hint=f"If you trust it, run it yourself: {shown}",
        )
    words = without_project(run.command.words)
    is_piped = run.source == "-" or any(word in ("-", "--file=-", "-f-") for word in words)
    if is_piped and (sys.stdin.isatty() or os.environ.get("AUGTUI_EVENTS")):
        raise UsageError(
            f"Run {number} read its input from a pipe, which is gone.",
            hint=f"Pipe the same input again: cat FILE | augtui runs resume {number}",
        )
    try:
        os.chdir(run.command.folder)
    except OSError as error:
        raise StoreError(
            f"Run {number} was begun in {run.command.folder}, which cannot be entered: {error.strerror}.",
            hint="Its file names begin there.",
        ) from None
    own = {**run.command.settings, "project": str(path)}
    with settings.frozen(own), commanded.continuing(run.id, run.key):
        command_line = context.find_root().command
        code = command_line.main(list(words), prog_name="augtui", standalone_mode=False)
    raise typer.Exit(code if isinstance(code, int) else 0)


def without_project(words: Sequence[str]) -> tuple[str, ...]:
    """Return a command's words without its project: that is the one in which the run is."""
    kept: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            kept += [word, *left]
        elif word in ("--project", "-p"):
            next(left, None)
        elif not word.startswith("--project=") and not (word.startswith("-p") and not word.startswith("--")):
            kept.append(word)
    return tuple(kept)


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
