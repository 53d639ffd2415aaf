"""Trying a model out: a prompt in, several answers as they are written, and what the step would say of each."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from augtui.domain.records import Record
from augtui.domain.tasks import Unparsed
from augtui.engines.base import Completion, Engine, Failure, Partial, Progress, Request
from augtui.engines.client import LocalEngine
from augtui.engines.http import credentials
from augtui.engines.http.engine import HttpEngine, HttpOptions
from augtui.engines.options import EngineOptions
from augtui.errors import AugtuiError
from augtui.models import catalog
from augtui.models.catalog import Model
from augtui.pipelines.jobs import job_for
from augtui.pipelines.keeping import Answer
from augtui.pipelines.steps import MODEL_TASKS, step_for
from augtui.settings import Settings
from augtui.store.items import PendingItem

POLL_S = 0.1
MOST = 8
"""Samples at a time."""

State = Literal["idle", "loading", "writing", "failed"]


@dataclass(slots=True)
class Sample:
    """One answer."""

    text: str = ""
    is_done: bool = False
    verdict: str | None = None
    """Why it would be rejected; None where it is good, or not finished."""
    tokens: int = 0
    seconds: float = 0.0
    answer: Answer | None = None
    """All that it came from, once it is finished."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of which model."""

    model: str
    task: str
    prompt: str
    samples: int
    seed: int
    """Grows with each time that the same is asked once more."""
    record_id: str | None = None
    """The project's record that the prompt is, None for a prompt that was typed."""
    response: str | None = None


@dataclass(slots=True)
class Tryout:
    """Owns an engine in a thread of its own; what it knows is read from any thread, and only replaced as a whole."""

    settings: Settings
    state: State = "idle"
    error: AugtuiError | None = None
    samples: tuple[Sample, ...] = ()
    version: int = 0
    _questions: queue.SimpleQueue[Question | None] = field(default_factory=queue.SimpleQueue)
    _thread: threading.Thread | None = None

    def ask(self, question: Question) -> None:
        """Ask; a question under way is given up."""
        self.error = None
        self.samples = tuple(Sample() for _ in range(question.samples))
        self.state = "loading"
        self.version += 1
        self._questions.put(question)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="tryout", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Let the model go."""
        if self._thread is not None and self._thread.is_alive():
            self._questions.put(None)
            self._thread.join(3.0)

    def _work(self) -> None:
        question: Question | None = self._questions.get()
        while question is not None:
            name = question.model
            following: Question | None = question
            try:
                model = catalog.resolve(name)
                with _opened(model, self.settings) as engine:
                    while following is not None and following.model == name:
                        self._answer(model, engine, following)
                        following = self._questions.get()
            except AugtuiError as error:
                self.error, self.state = error, "failed"
                self.version += 1
                following = self._questions.get()
            question = following

    def _answer(self, model: Model, engine: Engine, question: Question) -> None:
        job = job_for(MODEL_TASKS[question.task], self.settings, model, samples=question.samples)
        step = step_for(job)
        record = Record(question.prompt, question.response)
        record_id = question.record_id or record.id
        item = PendingItem(0, "", record_id, question.prompt, question.response, 0, 0, None, None, {})
        _ = engine.model
        if not self._questions.empty():
            return
        number = self.version
        messages = step.messages(item)
        requests = [
            Request(
                f"{number}:{n}",
                messages,
                job.attempt_seed(record_id, n, question.seed),
                job.sampling,
                stream=True,
            )
            for n in range(question.samples)
        ]
        places = {request.id: n for n, request in enumerate(requests)}
        self.state = "writing"
        self.version += 1
        engine.submit(requests)
        samples = [Sample() for _ in requests]
        while not all(sample.is_done for sample in samples):
            if not self._questions.empty():
                engine.cancel([request.id for request in requests if not samples[places[request.id]].is_done])
                return
            for event in engine.poll(POLL_S):
                if isinstance(event, Progress) or getattr(event, "id", None) not in places:
                    continue
                assert isinstance(event, Partial | Completion | Failure)
                place = places[event.id]
                if isinstance(event, Partial):
                    samples[place] = Sample(step.whole(item, event.text))
                elif isinstance(event, Completion):
                    text = step.whole(item, event.text)
                    parsed = job.task.parse(text, event.finish_reason)
                    fault = str(parsed) if isinstance(parsed, Unparsed) else step.fault(item, parsed)
                    answer = Answer(
                        job, record, question.record_id, place, requests[place].seed, text, event.finish_reason,
                        event.prompt_tokens, event.completion_tokens, event.duration_s,
                    )  # fmt: skip
                    samples[place] = Sample(text, True, fault, event.completion_tokens, event.duration_s, answer)
                else:
                    samples[place] = Sample("", True, f"{event.code}: {event.detail}")
            self.samples = tuple(samples)
            self.version += 1
        self.state = "idle"
        self.version += 1


@contextmanager
def _opened(model: Model, settings: Settings) -> Iterator[Engine]:
    if model.server is not None:
        options = HttpOptions(slots=MOST, timeout_s=settings.timeout)
        remote = HttpEngine(model.server, options, key=credentials.find(model.server))
        try:
            yield remote
        finally:
            remote.close()
        return
    local = LocalEngine(
        model.path,
        EngineOptions(
            slots=MOST,
            threads=settings.threads,
            gpu_layers=settings.gpu_layers,
            library="mlx" if model.library == "mlx" else "llama",
        ),
    )
    try:
        yield local
    finally:
        local.close()
