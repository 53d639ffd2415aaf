"""`augtui records`: what is in a project, and how each record came to be."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from augtui.cli import options

if TYPE_CHECKING:
    from augtui.store.browse import ListedRecord
    from augtui.store.lineage import Step
    from augtui.store.projects import Project

app = typer.Typer(help="Look at a project's records.", invoke_without_command=True, rich_markup_mode=None)

State = Annotated[
    str | None,
    typer.Option(help="imported, generated, pending, accepted, kept_original, failed, or unused (no work on it yet)."),
]
Task = Annotated[str | None, typer.Option(help="Made or worked on by this task: import, expand, refine …")]
Language = Annotated[str | None, typer.Option(help="en, zh, another code, or other (neither English nor Chinese).")]
Search = Annotated[str | None, typer.Option(help="Words that stand in the instruction or the response.")]
Run = Annotated[int | None, typer.Option(min=1, help="Made or imported by this run.")]
Shown = Annotated[int, typer.Option(min=1, help="Records to list.")]
Identity = Annotated[str, typer.Argument(help="The record's id, its first few characters, or its number: #12.")]


@app.callback()
def ls(
    context: typer.Context,
    project: options.Project = None,
    state: State = None,
    task: Task = None,
    language: Language = None,
    search: Search = None,
    run: Run = None,
    limit: Shown = 50,
    json: options.Json = False,
) -> None:
    """List a project's records; `augtui records show ID` tells all about one."""
    if context.invoked_subcommand is not None:
        context.obj = project
        return
    from augtui.settings import load
    from augtui.store import browse
    from augtui.store.projects import open_project

    filters = browse.Filters(state, task, language, search, None, run)
    with open_project(load(project=project).project, create=False) as opened:
        total = browse.count(opened, filters)
        for record in islice(browse.records(opened, filters), limit):
            if json:
                _print_json(_as_json(record))
            else:
                _print(record)
        if not json and total > limit:
            typer.echo(f"and {total - limit:,} more: --limit, or a filter (--search, --state, --task …)", err=True)
        if not json and not total:
            typer.echo("no records", err=True)


@app.command("show")
def show(
    context: typer.Context, identity: Identity, project: options.Project = None, json: options.Json = False
) -> None:
    """Show a record: its texts, where it came from, what it was made from and what was made from it."""
    from augtui.errors import UsageError
    from augtui.settings import load
    from augtui.store import browse, dataset, lineage
    from augtui.store.projects import open_project

    with open_project(load(project=project or context.obj).project, create=False) as opened:
        ids = browse.find(opened, identity)
        if not ids:
            raise UsageError(f"there is no record {identity!r} in {opened.name}", hint="See: augtui records")
        if len(ids) > 1 and identity not in ids:
            raise UsageError(f"several records begin with {identity!r}", hint=" ".join(ids))
        record = dataset.get(opened, identity if identity in ids else ids[0])
        assert record is not None
        listed = next(browse.records(opened, browse.Filters(), start=record.number))
        whole = {
            **_as_json(listed),
            "sources": [
                {"name": place.name, "id": place.given_id, "line": place.line, "extra": place.extra}
                for place in browse.places(opened, record.id)
            ],
            "ancestors": [_step(step) for step in lineage.ancestors(opened, record.id)],
            "descendants": [_step(step) for step in lineage.descendants(opened, record.id)],
            "work": [_work(opened, item) for item in browse.work(opened, record.id)],
        }
    if json:
        _print_json(whole)
    else:
        _print_whole(whole)


def _work(project: Project, item: dict[str, Any]) -> dict[str, Any]:
    from augtui.store import items

    tries = [
        {
            "attempt": attempt.attempt, "seed": attempt.seed, "verdict": attempt.verdict, "reason": attempt.reason,
            "text": attempt.text, "prompt_tokens": attempt.prompt_tokens,
            "completion_tokens": attempt.completion_tokens, "duration_s": attempt.duration_s,
        }
        for attempt in items.attempts(project, item["key"])
    ]  # fmt: skip
    return {**item, "tries": tries}


def _step(step: Step) -> dict[str, Any]:
    return {
        "depth": step.depth, "child": step.child, "parent": step.parent, "task": step.task, "sample": step.sample,
        "run": step.run_id, "template": step.template_name, "template_hash": step.template_hash,
        "model": step.model_name, "model_sha256": step.model_sha256, "seed": step.seed, "attempt": step.attempt,
        "config": dict(step.config),
    }  # fmt: skip


def _as_json(record: ListedRecord) -> dict[str, Any]:
    return {
        "number": record.number, "id": record.id, "origin": record.origin, "task": record.task,
        "status": record.status, "language": record.language, "instruction": record.instruction,
        "response": record.response, "source": record.source_name, "line": record.line, "extra": dict(record.extra),
        "run": record.run, "created_at": record.created_at,
    }  # fmt: skip


def _print(record: ListedRecord) -> None:
    from augtui.domain.visible import excerpt, visible

    made = visible(record.task or record.origin)[:9]
    status = record.status or "–"
    answered = "↳" if record.response is not None else " "
    language = visible(record.language or "–")[:5]
    told = f"{record.number:>7}  {record.id[:8]}  {made:<9} {status:<13} {language:<5} {answered}"
    typer.echo(f"{told} {excerpt(record.instruction, 70)}")


def _print_whole(record: dict[str, Any]) -> None:
    from augtui.domain.visible import excerpt, visible

    for name in ("id", "number", "origin", "task", "status", "language", "created_at"):
        if record[name] is not None:
            typer.echo(f"{name:<12} {visible(str(record[name]))}")
    for place in record["sources"]:
        where = f"{place['name'] or '?'}" + ("" if place["line"] is None else f", line {place['line']}")
        given = "" if place["id"] is None else f", id {place['id']}"
        typer.echo(f"{'source':<12} {visible(where + given)}")
    for name, value in record["extra"].items():
        typer.echo(f"  {excerpt(name, 20):<10} {excerpt(str(value), 100)}")
    for title in ("instruction", "response"):
        if record[title] is not None:
            typer.echo(f"\n{title}\n{_indented(record[title])}")
    for title, sign, end in (("made from", "←", "parent"), ("made into", "→", "child")):
        steps = record["ancestors" if end == "parent" else "descendants"]
        if steps:
            typer.echo(f"\n{title}")
        for step in steps:
            how = f"{step['task']}, run {step['run']}, {step['model'] or 'no model'}, seed {step['seed']}"
            typer.echo(f"  {sign * step['depth']} {step[end][:12]}  {visible(how)}")
    if record["work"]:
        typer.echo("\nwork on it")
    for item in record["work"]:
        reason = f": {item['reason']}" if item["reason"] else ""
        task, status = excerpt(str(item["task"]), 40), visible(str(item["status"]))
        typer.echo(f"  {task} #{item['sample']} {status}{visible(reason)}")
        for attempt in item["tries"]:
            reason = f" ({attempt['reason']})" if attempt["reason"] else ""
            told = f"{attempt['verdict']}{reason}: "
            typer.echo(f"    try {attempt['attempt'] + 1} {visible(told)}{excerpt(attempt['text'], 90)}")


def _indented(text: str) -> str:
    from augtui.domain.visible import visible

    return "\n".join(f"  {line}" for line in visible(text, newline="\n").split("\n"))


def _print_json(value: dict[str, Any]) -> None:
    import json as encoder

    # ASCII only: what a data set says must not reach a terminal as control characters.
    typer.echo(encoder.dumps(value, ensure_ascii=True))
