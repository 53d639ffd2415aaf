"""Augment: a whole run of one task over one input, planned, worked through and written, to be resumed at any point."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from augtui.domain.records import Quarantined, Record
from augtui.engines.base import Engine
from augtui.errors import AugtuiError, InputError
from augtui.pipelines import collect, formats, rows
from augtui.pipelines.job import Job
from augtui.pipelines.runner import ItemSettled, RunEvent, Runner, TryRejected
from augtui.pipelines.source import Source
from augtui.store import costs, items, runs
from augtui.store.items import PlannedItem
from augtui.store.projects import Project
from augtui.store.runs import ItemStatus, Run, RunPlan


@dataclass(frozen=True, slots=True)
class Input:
    """What of the source is wanted."""

    source: Source
    field: str | None = None
    format: str | None = None
    limit: int | None = None


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

    def __init__(self, project: Project, job: Job, wanted: Input, model_path: str, model_bytes: int) -> None:
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

    @property
    def run(self) -> Run:
        """Return the run that the context holds."""
        assert self._run is not None
        return self._run

    def __enter__(self) -> Augmentation:
        """Begin or resume the run; raises StoreError if another process works on it."""
        job, source = self.job, self.wanted.source
        template = job.template
        self._run = runs.begin(
            self.project,
            RunPlan(
                key=job.run_key(source.sha256, self.wanted.limit, self.wanted.field, self._format()),
                task=job.task.name,
                source=source.name,
                config=job.config(),
                seed=job.seed,
                template_hash=template.hash,
                template_name=template.name,
                template_source=template.source,
                paper_table=str(template.paper_table),
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
        position = 0
        for outcome in self._outcomes():
            if isinstance(outcome, Quarantined):
                self._quarantined.append(outcome)
                continue
            for sample in range(self.job.samples):
                yield PlannedItem(position, self._key(outcome, sample), outcome, sample)
                position += 1
        # Before the plan counts as complete, else a kill between the two would lose these for good.
        items.add_quarantined(self.project, self.run, self._quarantined)

    def _outcomes(self) -> Iterator[Record | Quarantined]:
        wanted, path = self.wanted, self.wanted.source.path
        try:
            yield from collect.read(path, field=wanted.field, format=wanted.format, limit=wanted.limit)
        except InputError as error:
            # A pipe's temporary copy means nothing to the user.
            named = error.message.replace(str(path), wanted.source.shown)
            raise InputError(named, hint=error.hint) from None

    def _format(self) -> str | None:
        return self.wanted.format or formats.named(str(self.wanted.source.path))

    def _key(self, record: Record, sample: int) -> str:
        return self.job.item_key(record, sample)

    def counts(self) -> dict[ItemStatus, int]:
        """Return how many items have each status."""
        return runs.counts(self.project, self.run.id)

    def work(self, engine: Callable[[], Engine], stop: Callable[[], bool], see: Callable[[RunEvent], None]) -> Summary:
        """Settle what is pending and tell `see` of it; the engine is made only if there is work for it."""
        before = self.counts()
        done_before = sum(before.values()) - before["pending"]
        summary = Summary(self.run.id, self.job.task.name, sum(before.values()), before, self._quarantined, False,
                          done_before, 0.0, 0)  # fmt: skip
        started = time.monotonic()
        if before["pending"]:
            runner = Runner(self.project, self.run, engine(), self.job)
            for event in runner.work(stop):
                if isinstance(event, ItemSettled | TryRejected) and event.reason:
                    summary.reasons[kind_of(event.reason)] += 1
                see(event)
            summary.completion_tokens = runner.completion_tokens
        summary.seconds = time.monotonic() - started
        summary.counts = self.counts()
        summary.cost = costs.spent(self.project, self.run.id)
        summary.interrupted = summary.counts["pending"] > 0
        runs.finish(self.project, self.run, "interrupted" if summary.interrupted else "finished")
        self._finished = True
        return summary

    def results(self, start: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (position, output line) from `start` on, in the order of the input, up to the first pending item."""
        for row in items.results(self.project, self.run.id, start):
            if row.status == "pending":
                return
            yield row.position, rows.output_row(self.job.task.name, row, self.common)


def kind_of(reason: str) -> str:
    """Return the stable kind of a reason: what stands before its first colon."""
    return reason.split(":", 1)[0]
