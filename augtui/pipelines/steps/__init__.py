"""The steps that a model works on, one for each task."""

from __future__ import annotations

from collections.abc import Callable

from augtui.domain.annotation import CHECK, CLASSIFY, RESPOND, TRANSLATE
from augtui.domain.records import Record
from augtui.domain.tasks import EXPAND, PAIRS, REFINE
from augtui.pipelines.job import Job
from augtui.pipelines.steps.base import AnyStep
from augtui.pipelines.steps.classify import Classify
from augtui.pipelines.steps.expand import Expand, Siblings
from augtui.pipelines.steps.judge import Judge
from augtui.pipelines.steps.pairs import Pairs
from augtui.pipelines.steps.refine import Refine
from augtui.pipelines.steps.respond import Respond
from augtui.pipelines.steps.translate import Translate
from augtui.store.items import PendingItem

MODEL_TASKS = {task.name: task for task in (REFINE, EXPAND, PAIRS, RESPOND, TRANSLATE, CHECK, CLASSIFY)}
"""Every task that a model is asked to do, by name."""

_STEPS: dict[str, Callable[[Job, Siblings], AnyStep]] = {
    REFINE.name: lambda job, siblings: Refine(job),
    EXPAND.name: Expand,
    PAIRS.name: lambda job, siblings: Pairs(job),
    RESPOND.name: lambda job, siblings: Respond(job),
    TRANSLATE.name: lambda job, siblings: Translate(job),
    CHECK.name: lambda job, siblings: Judge(job),
    CLASSIFY.name: lambda job, siblings: Classify(job),
}


def item_of(record: Record, key: str = "") -> PendingItem:
    """Return a record as an item of no run, for what asks a model about it outside of a project."""
    return PendingItem(0, key, record.id, record.instruction, record.response, 0, 0, None, None, {})


def step_for(job: Job, siblings: Siblings = lambda record_id: []) -> AnyStep:
    """Return the step of a job's task; `siblings` gives what the project's other runs made of a record."""
    return _STEPS[job.task.name](job, siblings)
