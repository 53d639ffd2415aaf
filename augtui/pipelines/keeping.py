"""Keeping an answer that was tried out: it becomes a record as if a run had made it, signed by who chose it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from augtui.domain.records import Record, digest
from augtui.domain.tasks import Unparsed
from augtui.errors import StoreError
from augtui.pipelines.job import Job
from augtui.pipelines.steps import step_for
from augtui.store import items, judging, runs
from augtui.store.items import Attempt, PlannedItem, Settled
from augtui.store.projects import Project
from augtui.store.reviewers import Reviewer
from augtui.store.runs import RunPlan

SOURCE = "try-out"
"""Where such runs, and records that were typed in, are said to come from."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and all that it came from."""

    job: Job
    prompt: Record
    """What was asked; the record that it came from, or a new one."""
    record_id: str | None
    """Id of the project's record that the prompt is, None for a prompt that was typed."""
    sample: int
    seed: int
    text: str
    """The model's whole text."""
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    duration_s: float


def keep(project: Project, answer: Answer, by: Reviewer | None = None) -> int:
    """Write an answer into the project; return the number of the record that it became.

    It is a run of one item: template, model, parameters and seed are known of it as of any result. A text that the step
    refuses is kept as a person's overruling, so the reason stays. Keeping the same answer again changes nothing. Raises
    StoreError for an answer without a text, and where the project cannot be written.
    """
    if not answer.text.strip():
        raise StoreError("This answer has no text.", hint="Choose another one, or ask again.")
    job = answer.job
    key = digest({"kept": job.config(), "record": answer.record_id or answer.prompt.id, "seed": answer.seed,
                  "text": answer.text})  # fmt: skip
    template = job.template
    plan = RunPlan(
        key=key, task=job.task.name, source=SOURCE, config=job.config(), seed=answer.seed,
        template_hash=template.hash, template_name=template.name, template_source=template.source,
        paper_table=None if template.paper_table is None else str(template.paper_table),
        model_sha256=job.model_sha256, model_name=job.model_name,
    )  # fmt: skip
    run = runs.begin(project, plan)
    try:
        if run.total is None:
            planned = PlannedItem(0, key, answer.prompt, answer.sample, answer.record_id)
            items.add_items(project, run, [planned])
        pending = items.pending(project, run, 1)
        if pending:
            items.settle(project, run, [_settled(answer, pending[0])])
        runs.finish(project, run, "finished")
    except BaseException:
        runs.finish(project, run, "interrupted")
        raise
    number, result, status, judged = project.read(
        "SELECT i.number, i.result, i.status, EXISTS (SELECT 1 FROM reviews WHERE item = i.number) FROM items i"
        " WHERE i.key = ?",
        (key,),
    )[0]
    if not judged:
        judging.accept(project, [number], by=by)
    if status != "accepted" or result is None:
        rows = project.read("SELECT result FROM reviews WHERE item = ? AND result IS NOT NULL", (number,))
        result = rows[-1][0] if rows else None
    if result is None:
        result = project.read("SELECT record FROM items WHERE number = ?", (number,))[0][0]
    return int(result)


def _settled(answer: Answer, item: items.PendingItem) -> Settled:
    job, step = answer.job, step_for(answer.job)
    parsed: Any = job.task.parse(answer.text, answer.finish_reason)
    fault = str(parsed) if isinstance(parsed, Unparsed) else step.fault(item, parsed)
    tried = Attempt(
        0, answer.seed, answer.text, "accepted" if fault is None else "rejected", fault, answer.finish_reason,
        answer.prompt_tokens, answer.completion_tokens, duration_s=answer.duration_s,
    )  # fmt: skip
    outcome = step.accepted(item, parsed) if fault is None else step.rejected(item, fault)
    return Settled(item.key, outcome.status, outcome.text, outcome.reason, (tried,), outcome.child)
