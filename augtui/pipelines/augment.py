"""Augment: a whole run of one task over one input, planned, worked through and written, to be resumed at any point."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from augtui.domain.records import Quarantined
from augtui.engines.base import Engine
from augtui.errors import AugtuiError
from augtui.pipelines import planning
from augtui.pipelines.job import Job
from augtui.pipelines.planning import Supply
from augtui.pipelines.runner import ItemSettled, RunEvent, Runner, TryRejected
from augtui.pipelines.steps import step_for
from augtui.store import costs, items, runs
from augtui.store.items import PendingItem, PlannedItem
from augtui.store.projects import Project
from augtui.store.runs import ItemStatus, Run, RunPlan
from augtui.store.siblings import accepted_texts


@dataclass(slots=True)
class Summary:
    """What a run came to, and what this process did of it."""

    run: int
    task: str
    total: int
    counts: dict[ItemStatus, int]
    quarantined: list[Quarantined]
    interrupted: bool
    done_before: int
    """Items that were settled before this process began."""
    seconds: float
    completion_tokens: int
    reasons: Counter[str] = field(default_factory=Counter)
    """Kinds of reasons for which answers were rejected, counted over this process."""
    cost: float = 0.0
    """US dollars that the run has cost in all, earlier processes included."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        speed = self.completion_tokens / self.seconds if self.seconds > 0 else 0.0
        return {
            "run": self.run,
            "task": self.task,
            "total": self.total,
            **dict(self.counts.items()),
            "quarantined": len(self.quarantined),
            "interrupted": self.interrupted,
            "done_before": self.done_before,
            "seconds": round(self.seconds, 3),
            "completion_tokens": self.completion_tokens,
            "tokens_per_second": round(speed, 1),
            "rejections": dict(self.reasons.most_common()),
            **({"cost": round(self.cost, 6)} if self.cost else {}),
        }


class Augmentation:
    """One run, from its input to its results; used as a context, which holds the run's lock."""

    def __init__(self, project: Project, job: Job, wanted: Supply, model_path: str, model_bytes: int) -> None:
        """Prepare; nothing is written before the context is entered."""
        self.project = project
        self.job = job
        self.wanted = wanted
        self._model_path = model_path
        self._model_bytes = model_bytes
        self._quarantined: list[Quarantined] = []
        self._run: Run | None = None
        self._finished = False
        self.common = dict(job.provenance())
        self.step = step_for(job, self._siblings)

    @property
    def run(self) -> Run:
        """Return the run that the context holds."""
        assert self._run is not None
        return self._run

    def __enter__(self) -> Augmentation:
        """Begin or resume the run; raises StoreError if another process works on it."""
        job, wanted = self.job, self.wanted
        template = job.template
        self._run = runs.begin(
            self.project,
            RunPlan(
                key=job.run_key(wanted.sha256, wanted.limit, wanted.field, wanted.stated_format),
                task=job.task.name,
                source=wanted.name,
                config=job.config(),
                seed=job.seed,
                template_hash=template.hash,
                template_name=template.name,
                template_source=template.source,
                paper_table=None if template.paper_table is None else str(template.paper_table),
                model_sha256=job.model_sha256,
                model_name=job.model_name,
                model_path=self._model_path,
                model_bytes=self._model_bytes,
            ),
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Note how the run ended, and let go of it."""
        if self._finished:
            return
        # What was settled stays; a run that met an error can be taken up again once its cause is gone.
        runs.finish(self.project, self.run, "failed" if isinstance(error, AugtuiError) else "interrupted")

    def plan(self) -> int:
        """Put the input's records and items into the project, unless a former process did; returns the item count.

        Raises InputError if the input as a whole is unusable.
        """
        if self.run.total is None:
            items.add_items(self.project, self.run, self._planned())
        else:
            self._quarantined = list(items.quarantined(self.project, self.run.id))
        assert self.run.total is not None
        return self.run.total

    def _planned(self) -> Iterator[PlannedItem]:
        for outcome in planning.planned(self.job, self.wanted):
            if isinstance(outcome, Quarantined):
                self._quarantined.append(outcome)
            else:
                yield outcome
        # Before the plan counts as complete, else a kill between the two would lose these for good.
        items.add_quarantined(self.project, self.run, self._quarantined)

    def _siblings(self, record_id: str) -> list[str]:
        return accepted_texts(self.project, self.job.task.name, record_id, self.run.id)

    def counts(self) -> dict[ItemStatus, int]:
        """Return how many items have each status."""
        return runs.counts(self.project, self.run.id)

    def work(
        self,
        engine: Callable[[], Engine],
        stop: Callable[[], bool],
        see: Callable[[RunEvent], None],
        teachers: Mapping[str, Callable[[], Engine]] | None = None,
    ) -> Summary:
        """Settle what is pending and tell `see` of it; an engine is made only if there is work for it.

        `teachers` are the engines of the job's teachers by language; they work one after the other.
        """
        before = self.counts()
        done_before = sum(before.values()) - before["pending"]
        summary = Summary(self.run.id, self.job.task.name, sum(before.values()), before, self._quarantined, False,
                          done_before, 0.0, 0)  # fmt: skip
        started = time.monotonic()
        if before["pending"]:
            for runner in self._runners(engine, teachers or {}):
                for event in runner.work(stop):
                    if isinstance(event, ItemSettled | TryRejected) and event.reason and not _is_kept_unasked(event):
                        summary.reasons[kind_of(event.reason)] += 1
                    see(event)
                summary.completion_tokens += runner.completion_tokens
        summary.seconds = time.monotonic() - started
        summary.counts = self.counts()
        summary.cost = costs.spent(self.project, self.run.id)
        summary.interrupted = summary.counts["pending"] > 0
        runs.finish(self.project, self.run, "interrupted" if summary.interrupted else "finished")
        self._finished = True
        return summary

    def _runners(self, engine: Callable[[], Engine], teachers: Mapping[str, Callable[[], Engine]]) -> Iterator[Runner]:
        """Yield a runner for the items of the job's own model, then one for each teacher."""
        job = self.job

        def whose(worker: Job) -> Callable[[PendingItem], bool]:
            return lambda item: job.for_record(item.instruction) is worker

        yield Runner(self.project, self.run, engine, job, self.step, whose(job))
        for tongue, teacher in job.teachers:
            yield Runner(self.project, self.run, teachers[tongue], teacher, self.step, whose(teacher)).teaching()

    def results(self, start: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (position, output line) from `start` on, in the order of the input, up to the first pending item."""
        for row in items.results(self.project, self.run.id, start):
            if row.status == "pending":
                return
            yield row.position, self.step.row(row, self.common)


def _is_kept_unasked(event: ItemSettled | TryRejected) -> bool:
    """Say whether an item was kept as it was without any try, as ground truth is: that is no rejection."""
    unasked = isinstance(event, ItemSettled) and event.tries == 0 and event.status == "kept_original"
    return unasked and not str(event.reason).startswith("language not known")


def kind_of(reason: str) -> str:
    """Return the stable kind of a reason: what stands before its first colon."""
    return reason.split(":", 1)[0]
