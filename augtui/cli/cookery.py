"""From the command line to a pipeline: engines, progress of each stage, the closing table, the exit code."""

from __future__ import annotations

import json as encoder
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import typer

from augtui.cli import engines, progress
from augtui.cli.augment import Interruption, tell_limits, work
from augtui.cli.display_choice import display_for
from augtui.domain.visible import excerpt, visible
from augtui.engines.base import Engine
from augtui.errors import EngineError, ExitCode, InputError, UsageError
from augtui.models.catalog import Model
from augtui.pipelines import export, source
from augtui.pipelines.augment import Augmentation, Summary
from augtui.pipelines.choices import nearest
from augtui.pipelines.planning import Input, Stored, Supply
from augtui.pipelines.recipes import execution, recipe
from augtui.pipelines.recipes.execution import PipelineReport, StageReport
from augtui.pipelines.recipes.workshop import Workshop
from augtui.settings import Settings, load
from augtui.store import stages
from augtui.store.projects import Project, open_project
from augtui.store.stages import StageRow


class _Hands:
    """The command line's part in a pipeline."""

    def __init__(self, pool: engines.Engines, stop: Interruption, *, quiet: bool) -> None:
        self.pool = pool
        self._stop = stop
        self._quiet = quiet
        self._tells: dict[str, progress.Tell] = {}
        self._stack = ExitStack()

    def work(
        self, step: str, run: Augmentation, model: Model, teachers: Mapping[str, Model], settings: Settings
    ) -> Summary:
        """Work through a run with a display of its own."""
        for used in (model, *teachers.values()):
            engines.check(used, settings)
        with display_for(run.job.task.name, to_file=True, json=False, quiet=self._quiet) as display:
            tell_limits(model, run.job.task.name, display)
            summary, poverty = work(run, self.pool, model, teachers, self._stop, display, settings)
            display.finish(summary, None, step)
        if poverty is not None and not self._stop():
            raise EngineError(
                f"the budget does not reach further: {poverty}",
                hint="Run the same command again with a larger --max-cost to go on.",
            )
        return summary

    def engine(self, model: Model, settings: Settings) -> Engine:
        """Return a model's engine."""
        return self.pool.engine(model, settings)

    def tell(self, step: str, what: str, done: int, total: int) -> None:
        """Show how far a stage has come."""
        if step not in self._tells:
            self._stack.close()
            self._tells = {step: self._stack.enter_context(progress.shown(step, quiet=self._quiet))}
        self._tells[step](what, done, total)

    def close(self) -> None:
        """Take the last progress bar away."""
        self._stack.close()


def cook(
    name: str,
    file: str | None,
    output: str | None,
    flags: Mapping[str, object],
    changes: Sequence[str],
    left_out: Sequence[str],
    *,
    dry_run: bool,
    field: str | None,
    format: str | None,
    limit: int | None,
    json: bool,
    quiet: bool,
) -> None:
    """Run a recipe and exit with the code for how it ended."""
    chosen = recipe.load(name, changes, left_out)
    given = {setting: value for setting, value in flags.items() if value is not None and setting != "project"}
    settings = load(**{**chosen.settings, **given, **_project(flags)})
    if output is not None and not dry_run:
        export.require_writable(output)
        if file is not None and Path(output).exists() and Path(file).exists() and Path(output).samefile(file):
            raise UsageError("the output is the input", hint="Give another file with -o.")
    started = time.monotonic()
    with ExitStack() as stack:
        stop = stack.enter_context(Interruption())
        project = stack.enter_context(open_project(settings.project))
        supply = _supply(stack, project, file, field, format, limit)
        hands = _Hands(engines.Engines(settings), stop, quiet=quiet)
        stack.callback(hands.close)
        workshop = Workshop(project, chosen, hands, given, output)
        pool = hands.pool = engines.Engines(settings, spent=execution.spent_before(workshop, supply))
        stop.engines = stack.enter_context(pool)
        if dry_run:
            from augtui.cli.forecast import show_forecast

            show_forecast(workshop, supply, settings, json=json, quiet=quiet)
            raise typer.Exit(ExitCode.DONE)
        watcher = _Watcher(len(chosen.steps), quiet=quiet or json)
        report = execution.run(workshop, supply, watcher.begun, watcher.seen)
        opened = pool.opened
    _finish(report, output, opened, time.monotonic() - started, json=json, quiet=quiet)


def _project(flags: Mapping[str, object]) -> dict[str, object]:
    return {} if flags.get("project") is None else {"project": flags["project"]}


def _supply(
    stack: ExitStack, project: Project, file: str | None, field: str | None, format: str | None, limit: int | None
) -> Supply:
    if file is not None:
        return Input(stack.enter_context(source.opened(file)), field, format, limit)
    if field is not None or format is not None:
        raise UsageError("--field and --format are for a --file")
    wanted = -1 if limit is None else limit
    rows = project.read("SELECT id FROM records WHERE origin = 'imported' ORDER BY number LIMIT ?", (wanted,))
    if not rows:
        raise InputError(f"{project.name} has no imported records", hint="Give --file FILE, or augtui import first.")
    ids = tuple(row[0] for row in rows)
    return Stored(f"project {project.name}", ids, lambda wanted: stages.fetch_records(project, wanted))


class _Watcher:
    """A line for each stage as it ends."""

    def __init__(self, steps: int, *, quiet: bool) -> None:
        self._steps = steps
        self._quiet = quiet

    def begun(self, place: int, name: str, records: int) -> None:
        """Tell that a stage begins."""
        if not self._quiet and place:
            _say(f"step {place} of {self._steps}: {visible(name)}: {records:,} records")

    def seen(self, stage: StageReport) -> None:
        """Tell what a stage came to."""
        if not self._quiet:
            _say(f"  {told(stage)}")
            if unanswered := stage.detail.get("failures", {}).get("no response"):
                name = visible(stage.name)
                _say(f"  note: no model is named that could answer {unanswered:,} of them: --set {name}.model=MODEL")


def told(stage: StageReport) -> str:
    """Return a stage's result in one line."""
    parts = [f"{stage.out:,} records"]
    if stage.made:
        parts.append(f"{stage.made:,} new")
    if stage.dropped:
        kinds = ", ".join(f"{visible(kind)} {count:,}" for kind, count in stage.reasons.items())
        parts.append(f"{stage.dropped:,} dropped ({kinds})")
    if failures := stage.detail.get("failures"):
        kinds = ", ".join(f"{visible(kind)} {count:,}" for kind, count in failures.items())
        parts.append(f"failed: {kinds}")
    if examples := stage.detail.get("examples"):
        parts.append("examples: " + ", ".join(f"{kind} {count:,}" for kind, count in examples.items()))
    if aside := stage.detail.get("quarantined"):
        parts.append(f"{aside:,} lines set aside")
    return f"{stage.name}: {' · '.join(parts)}{' · done before' if stage.done_before else ''}"


def _say(text: str) -> None:
    print(f"augtui pipeline: {text}", file=sys.stderr)


def _finish(
    report: PipelineReport, output: str | None, opened: int, seconds: float, *, json: bool, quiet: bool
) -> None:
    if json:
        figures = {**report.as_json(), "output": output, "seconds": round(seconds, 3), "engines_opened": opened}
        print(encoder.dumps(figures))
    elif not quiet:
        if report.interrupted_at is not None:
            _say(f"stopped in {visible(report.interrupted_at)}; run the same command again to go on")
        else:
            where = f" · written to {visible(output)}" if output is not None else ""
            _say(f"pipeline {report.pipeline} ({visible(report.name)}) is done in {seconds:.1f} s{where}")
    if report.interrupted_at is not None:
        raise typer.Exit(ExitCode.INTERRUPTED)
    aside = any(stage.detail.get("quarantined") for stage in report.stages)
    raise typer.Exit(ExitCode.PARTIAL if aside else ExitCode.DONE)


def listed(project_name: str | None, *, json: bool) -> None:
    """Print the shipped recipes and a project's pipelines."""
    recipes = [recipe.load(name) for name in recipe.shipped()]
    with open_project(load(project=project_name).project) as project:
        rows = stages.pipelines(project)
    if json:
        for one in recipes:
            print(encoder.dumps({"recipe": one.name, "description": one.description}))
        for row in rows:
            print(encoder.dumps({
                "pipeline": row.id, "recipe": row.name, "source": row.source, "status": row.status,
                "created_at": row.created_at, "updated_at": row.updated_at,
            }))  # fmt: skip
        return
    for one in recipes:
        print(f"{one.name:<12} {one.description}")
    for row in rows:
        when, where = row.updated_at[:16], excerpt(row.source, 60)
        print(f"{row.id:>4}  {excerpt(row.name, 16):<16} {row.status:<11} {when}  {where}")


def shown(name: str, project_name: str | None, stage: str | None, *, json: bool) -> None:
    """Print a recipe's text, or the stages of the pipeline of that number, or the records of one stage."""
    if not name.isdigit():
        chosen = recipe.load(name)
        steps = [{"name": step.name, "use": step.kind.name, **step.options} for step in chosen.steps]
        if json:
            print(encoder.dumps({"recipe": chosen.name, "settings": dict(chosen.settings), "steps": steps}))
        else:
            print(visible(chosen.source, newline="\n"), end="")
        return
    with open_project(load(project=project_name).project) as project:
        found = next((row for row in stages.pipelines(project) if row.id == int(name)), None)
        if found is None:
            raise UsageError(f"there is no pipeline {name}", hint="See: augtui pipeline ls")
        rows = stages.stages_of(project, found.id)
        if stage is not None:
            _print_fates(project, rows, stage)
            return
        reports = [
            StageReport(place, row.step, row.step, row.kept + row.dropped, row.kept, row.made, row.dropped,
                        stages.reasons(project, row.id), row.detail, True)
            for place, row in enumerate(rows)
        ]  # fmt: skip
    if json:
        told_stages = [report.as_json() for report in reports]
        print(
            encoder.dumps({"pipeline": found.id, "recipe": found.name, "status": found.status, "stages": told_stages})
        )
        return
    print(f"pipeline {found.id}: {visible(found.name)} · {found.status} · {visible(found.source)}")
    for report in reports:
        print(f"{report.place:>3}  {told(report).removesuffix(' · done before')}")


def _print_fates(project: Project, rows: Sequence[StageRow], wanted: str) -> None:
    names = [row.step for row in rows]
    place = int(wanted) if wanted.isdigit() else names.index(wanted) if wanted in names else -1
    if not 0 <= place < len(rows):
        raise UsageError(f"the pipeline has no stage {wanted!r}", hint=nearest(wanted, names))
    for _, fated in stages.fates(project, rows[place].id):
        (record,) = stages.fetch_records(project, [fated.record_id])
        line = {"record": fated.record_id, "fate": fated.fate, "reason": fated.reason}
        # ASCII only: what a data set says must not reach a terminal as control characters.
        print(encoder.dumps({**line, "instruction": record.instruction, "response": record.response}))
