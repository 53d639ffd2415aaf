"""The runner: takes a run's pending items through the engine and settles each exactly once.

Everything that decides what is still to be done is in the project's database; this process may be killed at any moment
and the same command goes on. Each poll of the engine ends in one transaction that holds its answers, verdicts and
new records; only then is a result reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from augtui.domain.language import Language, language
from augtui.domain.records import Record
from augtui.engines.base import Completion, Engine, Failure, Progress, Request, Restarted
from augtui.pipelines.job import Job
from augtui.pipelines.verdicts import Verdict, judge_for
from augtui.store import items
from augtui.store.dataset import GeneratedRecord
from augtui.store.items import Attempt, PendingItem, Settled
from augtui.store.projects import Project
from augtui.store.runs import Run
from augtui.store.siblings import accepted_texts

POLL_S = 0.1
IN_FLIGHT_PER_SLOT = 4
"""Items given to the engine at a time: enough that no slot waits for the database."""

SettledStatus = Literal["accepted", "kept_original", "failed"]


@dataclass(frozen=True, slots=True)
class ItemSettled:
    """An item has its result, which is in the database."""

    position: int
    status: SettledStatus
    reason: str | None
    instruction: str
    text: str | None
    tries: int


@dataclass(frozen=True, slots=True)
class TryRejected:
    """An answer was not good enough and a new seed is tried."""

    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class BudgetSpent:
    """There is no money for a further request: what is under way is finished, the rest stays to be done."""

    detail: str


RunEvent = ItemSettled | TryRejected | BudgetSpent | Progress | Restarted


@dataclass(slots=True)
class _Flight:
    """An item under way and the number of its present try."""

    item: PendingItem
    attempt: int
    seed: int


class Runner:
    """Works through one run with one engine."""

    def __init__(self, project: Project, run: Run, engine: Engine, job: Job) -> None:
        """Prepare; `work` does it."""
        self._project = project
        self._run = run
        self._engine = engine
        self._job = job
        self._judge = judge_for(job, lambda record_id: accepted_texts(project, job.task.name, record_id))
        self._flights: dict[str, _Flight] = {}
        self._after = -1
        self._drained = False
        self._is_poor = False
        self.completion_tokens = 0
        """Tokens of all answers so far, rejected ones too."""

    def work(self, stop: Callable[[], bool] = lambda: False) -> Iterator[RunEvent]:
        """Yield events until every item is settled, or soon after `stop` says so (what is under way is dropped).

        Where the engine's budget is spent, what is under way is finished and the other items stay pending.

        Raises ModelError, EngineError and StoreError; all that was reported as settled stays settled.
        """
        most = max(8, self._engine.model.slots * IN_FLIGHT_PER_SLOT)
        while not stop():
            if not self._drained and len(self._flights) <= most // 2:
                yield from self._launch(most - len(self._flights))
            if self._drained and not self._flights:
                return
            if self._flights:
                yield from self._land(list(self._engine.poll(POLL_S)))
        self._engine.cancel(list(self._flights))

    def _launch(self, count: int) -> Iterator[RunEvent]:
        page = items.pending(self._project, self._run, count, self._after)
        self._drained = not page
        if not page:
            return
        self._after = page[-1].position
        foreign = [item for item in page if self._is_foreign(item.instruction)]
        strange = {item.key for item in foreign}
        self._engine.submit([self._request(item, item.attempts_made) for item in page if item.key not in strange])
        if not foreign:
            return
        reason = f"language not known to the model: it knows {', '.join(self._job.languages)}"
        items.settle(self._project, self._run, [Settled(item.key, self._fallback, None, reason) for item in foreign])
        for item in foreign:
            yield ItemSettled(item.position, self._fallback, reason, item.instruction, None, 0)

    def _is_foreign(self, instruction: str) -> bool:
        # Other languages than the two that are told apart are left to the verdict: short prompts are hard to tell.
        tongue = language(instruction)
        return bool(self._job.languages) and tongue in (Language.EN, Language.ZH) and tongue not in self._job.languages

    @property
    def _fallback(self) -> Literal["kept_original", "failed"]:
        """A record that no answer refined stays as it was, which is a result; a new one that failed is none."""
        return "kept_original" if self._job.task.name == "refine" else "failed"

    def _request(self, item: PendingItem, attempt: int) -> Request:
        seed = self._job.attempt_seed(item.record_id, item.sample, attempt)
        request_id = f"{item.key}:{attempt}"
        self._flights[request_id] = _Flight(item, attempt, seed)
        messages = self._job.task.render(Record(item.instruction, item.response), self._job.style)
        return Request(request_id, messages, seed, self._job.sampling_for(item.instruction), adapter=self._job.adapter)

    def _land(self, events: list[object]) -> Iterator[RunEvent]:
        settled: list[Settled] = []
        tries: list[tuple[str, Attempt]] = []
        again: list[tuple[PendingItem, int]] = []
        news: list[RunEvent] = []
        for event in events:
            if isinstance(event, Progress | Restarted):
                news.append(event)
                continue
            assert isinstance(event, Completion | Failure)
            flight = self._flights.pop(event.id, None)
            if flight is None:
                continue
            item = flight.item
            if isinstance(event, Failure) and event.code == "budget":
                if event.cost is not None:
                    tries.append((item.key, _failed_attempt(flight, event)))
                if not self._is_poor:
                    self._is_poor = self._drained = True
                    news.append(BudgetSpent(event.detail))
                continue
            if isinstance(event, Failure):
                outcome = _failed(flight, event)
            else:
                self.completion_tokens += event.completion_tokens
                verdict = self._judge(item.record_id, item.instruction, event)
                attempt = _attempt(flight, event, verdict)
                if verdict.kind != "accepted" and self._may_retry(flight):
                    tries.append((item.key, attempt))
                    again.append((item, flight.attempt + 1))
                    news.append(TryRejected(item.position, verdict.reason or ""))
                    continue
                outcome = self._outcome(flight, verdict, attempt)
            settled.append(outcome)
            text = outcome.text
            news.append(
                ItemSettled(item.position, outcome.status, outcome.reason, item.instruction, text, flight.attempt + 1)
            )
        if tries or settled:
            items.settle(self._project, self._run, settled, tries)
        if again:
            self._engine.submit([self._request(item, attempt) for item, attempt in again])
        yield from news

    def _may_retry(self, flight: _Flight) -> bool:
        # Greedy decoding gives the same answer whatever the seed.
        return flight.attempt < self._job.retries and self._job.sampling.temperature > 0

    def _outcome(self, flight: _Flight, verdict: Verdict, attempt: Attempt) -> Settled:
        key = flight.item.key
        if verdict.kind == "accepted":
            assert verdict.answer is not None
            child = GeneratedRecord(verdict.answer.instruction, verdict.answer.response)
            return Settled(key, "accepted", verdict.answer.instruction, None, (attempt,), child)
        return Settled(key, self._fallback, None, verdict.reason, (attempt,))


def _failed(flight: _Flight, failure: Failure) -> Settled:
    attempt = _failed_attempt(flight, failure)
    return Settled(flight.item.key, "failed", None, attempt.reason, (attempt,))


def _failed_attempt(flight: _Flight, failure: Failure) -> Attempt:
    reason = f"{failure.code}: {failure.detail}"
    engine = {} if failure.cost is None else {"cost": failure.cost}
    return Attempt(flight.attempt, flight.seed, "", "failed", reason, engine=engine)


def _attempt(flight: _Flight, completion: Completion, verdict: Verdict) -> Attempt:
    return Attempt(
        attempt=flight.attempt,
        seed=flight.seed,
        text=completion.text,
        verdict=verdict.kind,
        reason=verdict.reason,
        finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        queued_s=completion.queued_s,
        first_token_s=completion.first_token_s,
        duration_s=completion.duration_s,
        engine={"shared_tokens": completion.shared_tokens} | _cost(completion),
    )


def _cost(completion: Completion) -> dict[str, float]:
    return {} if completion.cost is None else {"cost": completion.cost}
