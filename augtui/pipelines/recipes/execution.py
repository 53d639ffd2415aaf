"""A pipeline: a recipe on an input, stage by stage, to be stopped and gone on with at any moment.

A stage is named by its step, all that decides what it does, and the records that go into it; once finished it is never
done again, by whatever pipeline. A stage that a model works on goes on through its run's items; the others are
computed anew if they were interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from augtui.domain.records import Quarantined, Record, digest
from augtui.errors import AugtuiError, InputError
from augtui.pipelines.planning import Supply
from augtui.pipelines.recipes.balancing import Balancing
from augtui.pipelines.recipes.making import Expanding, Pairing, Refining, Responding, Translating
from augtui.pipelines.recipes.recipe import StepSpec
from augtui.pipelines.recipes.sifting import Checking, Decontaminating, Deduping
from augtui.pipelines.recipes.stage import Interrupted, Result, Stage
from augtui.pipelines.recipes.workshop import Workshop
from augtui.pipelines.recipes.writing import Exporting, Training
from augtui.store import costs, dataset, stages
from augtui.store.projects import Project
from augtui.store.stages import Fated, StageRow

STAGES: Mapping[str, Callable[[Workshop, StepSpec], Stage]] = {
    "expand": Expanding,
    "refine": Refining,
    "respond": Responding,
    "pairs": Pairing,
    "translate": Translating,
    "check": Checking,
    "balance": Balancing,
    "dedupe": Deduping,
    "decontaminate": Decontaminating,
    "export": Exporting,
    "trainset": Training,
}
"""The stage of each step of `recipes.options.KINDS`."""

WRITING = frozenset({"export", "trainset"})
"""Stages whose result is a file: they are done every time, since the file may have gone."""


@dataclass(frozen=True, slots=True)
class StageReport:
    """One stage of a pipeline, for those who watch."""

    place: int
    name: str
    step: str
    records: int
    """Records that went in."""
    kept: int
    made: int
    dropped: int
    reasons: Mapping[str, int]
    """Kinds of reasons for which records were dropped."""
    detail: Mapping[str, Any]
    done_before: bool

    @property
    def out(self) -> int:
        """Return the number of records that come out."""
        return self.kept + self.made

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "stage": self.name,
            "step": self.step,
            "records": self.records,
            "kept": self.kept,
            "made": self.made,
            "dropped": self.dropped,
            "out": self.out,
            "reasons": dict(self.reasons),
            "detail": dict(self.detail),
            "done_before": self.done_before,
        }


@dataclass(slots=True)
class PipelineReport:
    """What a pipeline came to."""

    pipeline: int
    name: str
    stages: list[StageReport] = field(default_factory=list)
    interrupted_at: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "pipeline": self.pipeline,
            "recipe": self.name,
            "interrupted_at": self.interrupted_at,
            "stages": [stage.as_json() for stage in self.stages],
        }


def run(
    workshop: Workshop, supply: Supply, begun: Callable[[int, str, int], None], seen: Callable[[StageReport], None]
) -> PipelineReport:
    """Take an input through all stages of a recipe; tells `begun` (place, name, records) and `seen` of each.

    Raises StoreError while another process works on the same pipeline, and the errors of the stages; what was done
    stays done. An interruption is no error: the report says where it came.
    """
    recipe, project = workshop.recipe, workshop.project
    steps = [(step, STAGES[step.kind.name](workshop, step)) for step in recipe.steps]
    pipeline = stages.begin(project, _key(workshop, supply), recipe.name, recipe.source, supply.name)
    report = PipelineReport(pipeline.id, recipe.name)
    status: Any = "failed"
    try:
        begun(0, "collect", 0)
        stage, done_before = _collected(project, supply)
        stages.note(project, pipeline, 0, stage.id)
        ids = stages.outputs(project, stage.id)
        _tell(report, seen, _report(project, stage, 0, "collect", len(ids), done_before))
        for place, (step, stage_of) in enumerate(steps, start=1):
            begun(place, step.name, len(ids))
            stage, done_before = _staged(project, step, stage_of, ids)
            stages.note(project, pipeline, place, stage.id)
            _tell(report, seen, _report(project, stage, place, step.name, len(ids), done_before))
            ids = stages.outputs(project, stage.id)
        status = "finished"
    except Interrupted as interruption:
        status, report.interrupted_at = "interrupted", str(interruption)
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    except AugtuiError:
        raise
    finally:
        stages.finish(project, pipeline, status)
    return report


def spent_before(workshop: Workshop, supply: Supply) -> float:
    """Return what former processes have spent on this pipeline, in US dollars: a budget is for the whole of it."""
    project = workshop.project
    rows = project.read(
        "SELECT s.run_id FROM pipelines p JOIN pipeline_stages q ON q.pipeline = p.id JOIN stages s ON s.id = q.stage"
        " WHERE p.key = ?1 AND s.run_id IS NOT NULL"
        # A stage that was interrupted has no row yet: its run is known by its name.
        " UNION SELECT r.id FROM runs r JOIN pipelines p ON p.key = ?1"
        " WHERE r.status <> 'finished' AND r.source LIKE ?2 ESCAPE '!'",
        (_key(workshop, supply), f"{_escaped(workshop.recipe.name)}: %"),
    )
    return sum(costs.spent(project, row[0]) for row in rows)


def _escaped(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _tell(report: PipelineReport, seen: Callable[[StageReport], None], stage: StageReport) -> None:
    report.stages.append(stage)
    seen(stage)


def _key(workshop: Workshop, supply: Supply) -> str:
    """Return what names a pipeline: the same recipe with the same settings on the same input."""
    settings = workshop.settings()
    steps = [
        {"name": step.name, "use": step.kind.name, "options": dict(step.options)} for step in workshop.recipe.steps
    ]
    read = {"source": supply.sha256, "limit": supply.limit, "field": supply.field, "format": supply.stated_format}
    used = {name: value for name, value in settings.model_dump(mode="json").items() if name != "project"}
    return digest({"recipe": workshop.recipe.name, "steps": steps, "settings": used, "read": read})


def _collected(project: Project, supply: Supply) -> tuple[StageRow, bool]:
    """Bring the input into the project; returns the stage, and whether it was done before."""
    config = {"limit": supply.limit, "field": supply.field, "format": supply.stated_format, "name": supply.name}
    key = digest({"step": "collect", "config": config, "input": supply.sha256})
    found = stages.find(project, key)
    if found is not None:
        return found, True
    aside: list[Quarantined] = []
    ids: list[str] = []

    def records() -> Iterator[Record]:
        for outcome in supply.given():
            if isinstance(outcome, Quarantined):
                aside.append(outcome)
                continue
            record, known = outcome
            ids.append(known or record.id)
            if known is None:
                yield record

    dataset.add_records(project, records(), source_name=supply.name)
    if not ids:
        raise InputError(f"{supply.name} holds no records")
    shown = [{"line": line.line, "reason": line.reason} for line in aside[:20]]
    fates = (Fated(record_id, "kept") for record_id in ids)
    detail = {"quarantined": len(aside), "lines": shown} if aside else {}
    stages.save(project, key, "collect", config, supply.sha256, _digest(ids), fates, detail=detail)
    return _found(project, key), False


def _staged(project: Project, step: StepSpec, stage: Stage, ids: Sequence[str]) -> tuple[StageRow, bool]:
    """Return a stage, done now or before."""
    config, given = stage.config(ids), _digest(ids)
    key = digest({"step": step.kind.name, "config": config, "input": given})
    found = stages.find(project, key)
    if found is not None and step.kind.name not in WRITING:
        return found, True
    result = stage.apply(ids) if ids or step.kind.name in WRITING else Result([])
    out = _digest([fated.record_id for fated in result.fates if fated.fate != "dropped"])
    stages.save(
        project, key, step.kind.name, config, given, out, result.fates, run_id=result.run_id, detail=result.detail
    )
    return _found(project, key), False


def _found(project: Project, key: str) -> StageRow:
    stage = stages.find(project, key)
    assert stage is not None
    return stage


def _digest(ids: Sequence[str]) -> str:
    return digest({"records": list(ids)})


def _report(project: Project, stage: StageRow, place: int, name: str, records: int, done_before: bool) -> StageReport:
    reasons = stages.reasons(project, stage.id)
    return StageReport(
        place, name, stage.step, records, stage.kept, stage.made, stage.dropped, reasons, stage.detail, done_before
    )
