"""The runner: takes a run's pending items through the engine and settles each exactly once.

Everything that decides what is still to be done is in the project's database; this process may be killed at any moment
and the same command goes on. Each poll of the engine ends in one transaction that holds its answers, verdicts and
new records; only then is a result reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from augtui.domain.tasks import Unparsed
from augtui.engines.base import Completion, Engine, Event, Failure, Progress, Request, Restarted
from augtui.pipelines.job import Job
from augtui.pipelines.precedence import Turns
from augtui.pipelines.steps.base import AnyStep, Outcome
from augtui.store import items
from augtui.store.items import HELD, Attempt, PendingItem, Settled
from augtui.store.projects import Project
from augtui.store.runs import Run

POLL_S = 0.1
IN_FLIGHT_PER_SLOT = 4
"""Items given to the engine at a time: enough that no slot waits for the database."""

UNASKED = 64
"""Items looked at together as long as none of them needed an engine."""

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
    """An item under way, its present try, and what the answer was if a second one is asked for."""

    item: PendingItem
    attempt: int
    seed: int
    first: Attempt | None = None
    answer: Any = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An answer that is good by itself."""

    item: PendingItem
    attempt: Attempt
    answer: Any


@dataclass(slots=True)
class _Poll:
    """What the events of one poll come to; it is saved before anything of it is told or asked."""

    settled: list[Settled] = field(default_factory=list)
    tries: list[tuple[str, Attempt]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    news: list[RunEvent] = field(default_factory=list)
    offered: list[_Candidate] = field(default_factory=list)
    """Answers that are good by themselves and may have to wait for their turn."""


class Runner:
    """Works through one run, or through the part of it that one teacher has, with one engine."""

    def __init__(
        self,
        project: Project,
        run: Run,
        engine: Callable[[], Engine],
        job: Job,
        step: AnyStep,
        mine: Callable[[PendingItem], bool] = lambda item: True,
    ) -> None:
        """Prepare; `work` does it. `engine` is called when the first request is made; `mine` picks the items."""
        self._project = project
        self._run = run
        self._open_engine = engine
        self._engine: Engine | None = None
        self._job = job
        self._step = step
        self._mine = mine
        self._notes = {"model": job.model_name, "model_sha256": job.model_sha256}
        self._is_teacher = False
        self._turns: Turns[_Candidate] | None = None
        self._flights: dict[str, _Flight] = {}
        self._after = -1
        self._drained = False
        self._is_poor = False
        self.completion_tokens = 0
        """Tokens of all answers so far, rejected ones too."""

    def teaching(self) -> Runner:
        """Note the model with every try: the run's own one is another."""
        self._is_teacher = True
        return self

    def work(self, stop: Callable[[], bool] = lambda: False) -> Iterator[RunEvent]:
        """Yield events until every item is settled, or soon after `stop` says so (what is under way is dropped).

        Where the engine's budget is spent, what is under way is finished and the other items stay pending.

        Raises ModelError, EngineError and StoreError; all that was reported as settled stays settled.
        """
        if self._step.ordered:
            self._turns = Turns(self._job.similarity, items.settled_texts(self._project, self._run.id))
        while not stop():
            most = UNASKED if self._engine is None else max(8, self._engine.model.slots * IN_FLIGHT_PER_SLOT)
            if not self._drained and len(self._flights) <= most // 2:
                yield from self._launch(most - len(self._flights))
            if self._drained and not self._flights:
                return
            if self._flights:
                assert self._engine is not None
                yield from self._land(list(self._engine.poll(POLL_S)))
        if self._engine is not None:
            self._engine.cancel(list(self._flights))

    def _launch(self, count: int) -> Iterator[RunEvent]:
        page = items.pending(self._project, self._run, count, self._after)
        self._drained = not page
        if not page:
            return
        self._after = page[-1].position
        poll = _Poll()
        for item in page:
            if not self._mine(item):
                continue
            if self._turns is not None:
                self._turns.expect(item.position)
            waived = self._step.waived(item)
            if waived is not None:
                self._settle(poll, item, waived, (), 0)
            elif item.held is not None:
                self._take_up(poll, item, item.held)
            else:
                poll.requests.append(self._request(item, item.attempts_made))
        yield from self._finish(poll)

    def _request(self, item: PendingItem, attempt: int) -> Request:
        seed = self._job.attempt_seed(item.record_id, item.sample, attempt)
        request_id = f"{item.key}:{attempt}"
        self._flights[request_id] = _Flight(item, attempt, seed)
        messages, sampling = self._step.messages(item), self._job.sampling_for(self._step.read(item).text)
        return Request(request_id, messages, seed, sampling, self._step.schema, adapter=self._job.adapter)

    def _take_up(self, poll: _Poll, item: PendingItem, held: Attempt) -> None:
        """Go on with a try that a former process has saved."""
        answer = self._job.task.parse(held.text, held.finish_reason or "stop")
        engine = {name: value for name, value in held.engine.items() if name != "cost"}  # it is paid for
        attempt = replace(held, engine=engine)
        if isinstance(answer, Unparsed):  # a file that was tampered with
            self._reject(poll, item, attempt, str(answer), None, "unparsed")
        else:
            self._after_first(poll, _Candidate(item, attempt, answer))

    def _land(self, events: list[Event]) -> Iterator[RunEvent]:
        poll = _Poll()
        for event in events:
            if isinstance(event, Progress | Restarted):
                poll.news.append(event)
                continue
            assert isinstance(event, Completion | Failure)
            flight = self._flights.pop(event.id, None)
            if flight is None:
                continue
            if isinstance(event, Failure):
                self._failed(poll, flight, event)
                continue
            self.completion_tokens += event.completion_tokens
            if flight.first is not None:
                self._judge_second(poll, flight, event)
            else:
                self._judge(poll, flight, event)
        yield from self._finish(poll)

    def _judge(self, poll: _Poll, flight: _Flight, completion: Completion) -> None:
        """Judge an answer by itself."""
        item = flight.item
        notes = self._notes if self._is_teacher else {}
        completion = replace(completion, text=self._step.whole(item, completion.text))
        attempt = _attempt(flight, completion, notes)
        answer = self._job.task.parse(completion.text, completion.finish_reason)
        if isinstance(answer, Unparsed):
            self._reject(poll, item, attempt, str(answer), None, "unparsed")
            return
        fault = self._step.fault(item, answer)
        if fault is not None:
            self._reject(poll, item, attempt, fault, answer)
        else:
            self._after_first(poll, _Candidate(item, attempt, answer))

    def _after_first(self, poll: _Poll, candidate: _Candidate) -> None:
        """Ask for the second answer, if the step wants one."""
        item, attempt = candidate.item, candidate.attempt
        messages = None if "second" in attempt.engine else self._step.second(item, candidate.answer)
        if messages is None:
            self._offer(poll, candidate)
            return
        # The first answer is saved now: what interrupts the second one does not cost the first.
        poll.tries.append((item.key, replace(attempt, verdict=HELD)))
        request_id = f"{item.key}:{attempt.attempt}:second"
        seed = attempt.seed or 0
        self._flights[request_id] = _Flight(item, attempt.attempt, seed, attempt, candidate.answer)
        poll.requests.append(Request(request_id, messages, seed, self._job.sampling, adapter=self._job.adapter))

    def _judge_second(self, poll: _Poll, flight: _Flight, completion: Completion) -> None:
        assert flight.first is not None
        cost = {"cost": flight.first.engine.get("cost", 0) + completion.cost} if completion.cost is not None else {}
        notes = {"second": completion.text, "second_tokens": completion.completion_tokens, **cost}
        attempt = replace(flight.first, engine={**flight.first.engine, **notes})
        fault = self._step.second_fault(flight.item, flight.answer, completion.text, completion.finish_reason)
        if fault is not None:
            self._reject(poll, flight.item, attempt, fault, flight.answer)
        else:
            self._offer(poll, _Candidate(flight.item, attempt, flight.answer))

    def _offer(self, poll: _Poll, candidate: _Candidate) -> None:
        """Accept a good answer, or let it wait for its turn."""
        if self._turns is None:
            self._accept(poll, candidate)
            return
        text = self._step.compared(candidate.answer)
        reason = self._turns.offer(candidate.item.position, text, candidate)
        if reason is not None:
            self._reject(poll, candidate.item, candidate.attempt, reason, candidate.answer)
        else:
            poll.offered.append(candidate)

    def _take_turns(self, poll: _Poll) -> None:
        """Rule on all whose turn has come; the others wait, and their tries are saved."""
        if self._turns is None:
            return
        for ruling in self._turns.rulings():
            candidate = ruling.candidate
            if ruling.reason is None:
                self._accept(poll, candidate)
            else:
                self._reject(poll, candidate.item, candidate.attempt, ruling.reason, candidate.answer)
        for candidate in poll.offered:
            if self._turns.waits(candidate.item.position):
                poll.tries.append((candidate.item.key, replace(candidate.attempt, verdict=HELD)))

    def _accept(self, poll: _Poll, candidate: _Candidate) -> None:
        outcome = self._step.accepted(candidate.item, candidate.answer)
        verdict = "accepted" if outcome.status == "accepted" else "rejected"
        attempt = replace(candidate.attempt, verdict=verdict, reason=outcome.reason)
        self._settle(poll, candidate.item, outcome, (attempt,), attempt.attempt + 1)

    def _reject(
        self, poll: _Poll, item: PendingItem, attempt: Attempt, reason: str, answer: Any, verdict: str = "rejected"
    ) -> None:
        """Note a try that was not good enough; try a new seed, or settle the item."""
        attempt = replace(attempt, verdict=verdict, reason=reason)
        # Greedy decoding gives the same answer whatever the seed.
        if attempt.attempt < self._job.retries and self._job.sampling.temperature > 0:
            poll.tries.append((item.key, attempt))
            poll.requests.append(self._request(item, attempt.attempt + 1))
            poll.news.append(TryRejected(item.position, reason))
        else:
            self._settle(poll, item, self._step.rejected(item, reason, answer), (attempt,), attempt.attempt + 1)

    def _failed(self, poll: _Poll, flight: _Flight, failure: Failure) -> None:
        item = flight.item
        if flight.first is not None:
            cost = {} if failure.cost is None else {"cost": flight.first.engine.get("cost", 0) + failure.cost}
            attempt = replace(flight.first, engine={**flight.first.engine, **cost}, reason=_said(failure))
        else:
            engine = {} if failure.cost is None else {"cost": failure.cost}
            attempt = Attempt(flight.attempt, flight.seed, "", "failed", _said(failure), engine=engine)
        if failure.code == "budget":
            if flight.first is None and failure.cost is not None:
                poll.tries.append((item.key, attempt))
            if not self._is_poor:
                self._is_poor = self._drained = True
                poll.news.append(BudgetSpent(failure.detail))
            return
        attempt = replace(attempt, verdict="failed")
        self._settle(poll, item, Outcome("failed", None, attempt.reason), (attempt,), flight.attempt + 1)

    def _settle(
        self, poll: _Poll, item: PendingItem, outcome: Outcome, attempts: tuple[Attempt, ...], tries: int
    ) -> None:
        settled = Settled(item.key, outcome.status, outcome.text, outcome.reason, attempts, outcome.child)
        poll.settled.append(settled)
        poll.news.append(
            ItemSettled(item.position, outcome.status, outcome.reason, item.instruction, outcome.text, tries)
        )
        if self._turns is not None and outcome.status != "accepted":
            self._turns.close(item.position)

    def _finish(self, poll: _Poll) -> Iterator[RunEvent]:
        """Save what a poll came to, then ask and tell."""
        self._take_turns(poll)
        if poll.tries or poll.settled:
            items.settle(self._project, self._run, poll.settled, poll.tries)
        if poll.requests:
            if self._engine is None:
                self._engine = self._open_engine()
            self._engine.submit(poll.requests)
        yield from poll.news


def _said(failure: Failure) -> str:
    return f"{failure.code}: {failure.detail}"


def _attempt(flight: _Flight, completion: Completion, notes: Mapping[str, Any]) -> Attempt:
    cost = {} if completion.cost is None else {"cost": completion.cost}
    return Attempt(
        attempt=flight.attempt,
        seed=flight.seed,
        text=completion.text,
        verdict=HELD,
        finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        queued_s=completion.queued_s,
        first_token_s=completion.first_token_s,
        duration_s=completion.duration_s,
        engine={"shared_tokens": completion.shared_tokens, **notes, **cost},
    )
