"""A judge behind the rules of `augtui check`: it scores what passed them, as a run that can be gone on with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import typer

from augtui.cli import engines
from augtui.cli.augment import Interruption, work
from augtui.cli.display_choice import display_for
from augtui.cli.sifting import Sieve
from augtui.domain.annotation import CHECK, CLASSIFY
from augtui.domain.records import Quarantined, digest
from augtui.domain.tasks import Task
from augtui.domain.taxonomy import OTHERS
from augtui.errors import EngineError, ExitCode
from augtui.models import catalog
from augtui.pipelines.augment import Augmentation, kind_of
from augtui.pipelines.decisions import KEPT, Decision
from augtui.pipelines.jobs import job_for
from augtui.pipelines.planning import Given
from augtui.settings import load
from augtui.store import costs, items
from augtui.store.items import ResultRow
from augtui.store.projects import open_project


@dataclass(frozen=True, slots=True)
class _Passed:
    """The records that passed the rules."""

    sieve: Sieve
    decisions: Sequence[Decision]
    sha256: str
    limit: int | None = None
    field: str | None = None
    stated_format: str | None = "passed"

    @property
    def name(self) -> str:
        return self.sieve.source.name

    def given(self) -> Iterator[Given | Quarantined]:
        for record, decision in zip(self.sieve.records(), self.decisions, strict=True):
            if decision.kept:
                yield record, None


def judged(
    sieve: Sieve,
    decisions: Sequence[Decision],
    judge: str,
    least: Mapping[str, int] | None,
    flags: Mapping[str, Any],
    *,
    quiet: bool,
) -> list[Decision]:
    """Return the decisions with those of a judge on what passed; the scores are in the detail.

    Exits with code 130 if it is interrupted: the same command goes on. Raises EngineError if a budget is spent.
    """
    options = {"least": dict(least) if least is not None else None}
    rows = iter(_worked(sieve, decisions, CHECK, {**flags, "model": judge}, options, quiet=quiet))
    return [_decision(next(rows)) if decision.kept else decision for decision in decisions]


def classified(sieve: Sieve, classifier: str, project: str | None, *, quiet: bool) -> list[str | None]:
    """Return a model's label for each record, `Others` where it gave none; exits and raises as `judged` does."""
    records = [KEPT for _ in sieve.records()]
    rows = _worked(sieve, records, CLASSIFY, {"model": classifier, "project": project}, {}, quiet=quiet)
    return [row.text or OTHERS for row in rows]


def _worked(
    sieve: Sieve,
    decisions: Sequence[Decision],
    task: Task[Any],
    flags: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    quiet: bool,
) -> list[ResultRow]:
    """Return what a task's run over the kept records came to, in their order."""
    settings = load(**flags)
    model = catalog.resolve(settings.model, timeout_s=settings.timeout)
    engines.check(model, settings)
    job = job_for(task, settings, model, options=options)
    passed = [decision.kept for decision in decisions]
    supply = _Passed(sieve, decisions, digest({"source": sieve.source.sha256, "passed": passed}))
    with ExitStack() as stack:
        stop = stack.enter_context(Interruption())
        display = stack.enter_context(display_for(task.name, to_file=True, json=False, quiet=quiet))
        project = stack.enter_context(open_project(settings.project))
        run = stack.enter_context(Augmentation(project, job, supply, model.location, model.bytes))
        run.plan()
        pool = stack.enter_context(engines.Engines(settings, spent=costs.spent(project, run.run.id)))
        stop.engines = pool
        summary, poverty = work(run, pool, model, {}, stop, display)
        display.finish(summary, None, sieve.source.name)
        rows = list(items.results(project, run.run.id))
    if poverty is not None and not stop():
        raise EngineError(
            f"the budget does not reach further: {poverty}",
            hint="Run the same command again with a larger --max-cost to go on.",
        )
    if summary.interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    return rows


def _decision(row: ResultRow) -> Decision:
    detail = {"scores": json.loads(row.text)} if row.text else {}
    if row.status == "accepted":
        return Decision(None, detail)
    reason = row.reason or "no scores"
    return Decision(kind_of(reason), {"faults": {kind_of(reason): reason}, **detail})
