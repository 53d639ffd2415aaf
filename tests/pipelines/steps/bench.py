"""What the tests of steps share: a run of a job over rows with a scripted engine."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from augtui.domain.guard import Strictness
from augtui.domain.tasks import Task
from augtui.engines.base import Event, Failure, Request, Sampling
from augtui.pipelines.augment import Augmentation, Summary
from augtui.pipelines.job import Job
from augtui.pipelines.planning import Input
from augtui.pipelines.source import opened
from augtui.store.projects import Project
from tests.engines.scripted import ScriptedEngine

Reply = Callable[[Request], str | tuple[str, str] | Failure]


def job(task: Task[Any], **changes: Any) -> Job:
    """A job of the task with a scripted model; `options` may be given as a mapping."""
    options = tuple(sorted(changes.pop("options", {}).items()))
    values: dict[str, Any] = {"sampling": Sampling(temperature=0.8), "retries": 2, "guard": Strictness.NORMAL} | changes
    return Job(task, "specialised", "scripted", "0" * 64, seed=42, options=options, **values)


class ShuffledEngine(ScriptedEngine):
    """Answers in a random order, a few at a time."""

    def __init__(self, answer: Reply, seed: int = 0) -> None:
        super().__init__(answer)
        self.draw = random.Random(seed)

    def poll(self, timeout_s: float) -> Iterable[Event]:
        waiting = list(self.queue)
        self.draw.shuffle(waiting)
        self.queue.clear()
        self.queue.extend(waiting)
        self.per_poll = self.draw.randint(0, 3)
        return super().poll(timeout_s)


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def run(
    project: Project,
    job: Job,
    path: Path,
    engine: ScriptedEngine,
    *,
    stop_after: int = 10**9,
    teachers: Mapping[str, ScriptedEngine] | None = None,
) -> tuple[Summary, list[dict[str, Any]]]:
    """Work through a run, or stop it after so many polls; return its summary and its lines."""
    seen = 0

    def stop() -> bool:
        nonlocal seen
        seen += 1
        return seen > stop_after

    others = {tongue: (lambda engine=engine: engine) for tongue, engine in (teachers or {}).items()}
    with opened(str(path)) as source, Augmentation(project, job, Input(source), "model", 1) as augmentation:
        augmentation.plan()
        summary = augmentation.work(lambda: engine, stop, lambda event: None, others)
        return summary, [line for _, line in augmentation.results()]
