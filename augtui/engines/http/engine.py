"""An OpenAI-compatible server as an engine: vLLM, Ollama, llama-server, a cloud API.

One thread runs an event loop; each piece of work under way is a task in it, at most `slots` at a time. A task makes
tries until one gives an outcome (`retry`), under the budget (`spending`). Nothing that a server sends is trusted
(`answers`), and no failure of a single request is an exception in a thread.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from augtui.engines.base import (
    Completion,
    Embedding,
    EmbedRequest,
    Event,
    Failure,
    FailureCode,
    ModelInfo,
    Outcome,
    Progress,
    Request,
    ScoreRequest,
    Work,
)
from augtui.engines.events import Events
from augtui.engines.http import answers
from augtui.engines.http.answers import ListedModel, Nonsense, ServerTrouble, Usage
from augtui.engines.http.credentials import Key
from augtui.engines.http.dialect import Dialect, answer_limit
from augtui.engines.http.endpoint import Endpoint
from augtui.engines.http.retry import TRIES, Clock, Pause, Trouble, asked_wait_s, backoff_s
from augtui.engines.http.server import TIMEOUT_S, Lost, NotSent, Reply, Server, run
from augtui.engines.http.spending import (
    TEMPLATE_TOKENS,
    Prices,
    Spending,
    most_chat_tokens,
    most_prompt_tokens,
)
from augtui.errors import AugtuiError, EngineError, ModelError, UsageError

CONTEXT_TOKENS = 131_072
"""Taken for the context of a server that does not tell it; what is longer, it refuses by itself."""
BEAT_S = 0.5
CLOSE_LIMIT_S = 2.0
EMBEDDINGS = "embeddings"
DOUBTS = 4
"""So many requests failed in a row with nothing answered between, and it is the server that is to blame."""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How a server is used."""

    slots: int = 16
    """Requests under way at a time."""
    timeout_s: float = TIMEOUT_S
    """For one try, from the connection to the last byte."""
    prices: Prices | None = None
    """None takes what the server tells, if it does."""
    budget: float | None = None
    """US dollars that may be spent."""
    spent_before: float = 0.0
    """US dollars of the budget that are spent already."""


@dataclass(slots=True, eq=False)
class _Flight:
    """A piece of work between its submission and its outcome."""

    work: Work
    submitted: float
    worst: float = 0.0
    """The most that one try can cost (US dollars)."""
    reserved: bool = False
    """Whether that is set aside."""
    started: float | None = None
    cost: float | None = None
    """What its tries have cost so far; None while nothing is known."""
    troubles: Counter[Trouble] = field(default_factory=Counter)
    poor: bool = False
    """Whether there was no money for its next try; it waits again."""


@dataclass(frozen=True, slots=True)
class _Again:
    """A try that failed, and may succeed later."""

    trouble: Trouble | None
    """None: the request was put in other words and goes out at once."""
    detail: str = ""
    asked_s: float | None = None
    """The wait that the server asks for."""


class HttpEngine:
    """Works through an OpenAI-compatible server; see `augtui.engines.base.Engine`."""

    def __init__(
        self,
        endpoint: Endpoint,
        options: HttpOptions | None = None,
        *,
        key: Key | None = None,
        clock: Clock | None = None,
        draw: random.Random | None = None,
    ) -> None:
        """Prepare; nothing is sent yet. `clock` and `draw` replace time and chance (for tests)."""
        self._endpoint = endpoint
        self._options = options or HttpOptions()
        self._key = key
        self._clock: Final = clock or Clock()
        self._draw: Final = draw or random.Random()
        self._pause = Pause(self._clock, self._draw)
        self._spending = Spending(self._options.budget, self._options.spent_before)
        self._prices = self._options.prices
        self._dialect = Dialect()
        self._lock = threading.Lock()
        self._outstanding: set[str] = set()
        self._waiting: deque[_Flight] = deque()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancelled: set[str] = set()
        self._doubts: list[Failure] = []
        self._answered = False
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._events = Events()
        self._ready = threading.Event()
        self._info: ModelInfo | None = None
        self._error: AugtuiError | None = None
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def model(self) -> ModelInfo:
        """Ask the server what it has, if that was not yet done, and return it.

        Raises EngineError if it cannot be reached or refuses the key, ModelError if it names no model, UsageError for
        a budget without prices.
        """
        with self._lock:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="http engine", daemon=True)
                self._thread.start()
        if self._thread is not None:
            self._ready.wait()
        if self._error is not None:
            raise self._error
        if self._info is None or self._closing:
            raise EngineError("the engine is closed")
        return self._info

    def submit(self, requests: Sequence[Work]) -> None:
        """Queue work, reaching out to the server if need be; raises as `model` does."""
        _ = self.model
        with self._lock:
            for request in requests:
                if request.id in self._outstanding:
                    raise ValueError(f"request {request.id!r} is under way already")
                self._outstanding.add(request.id)
        self._call(self._enqueue, tuple(requests))

    def poll(self, timeout_s: float) -> Iterable[Event]:
        """Return what happened, waiting up to `timeout_s`; raises EngineError once the server is given up."""
        events = self._events.take(timeout_s)
        if not events and self._error is not None:
            raise self._error
        return events

    def cancel(self, ids: Sequence[str]) -> None:
        """Give up requests; each ends in a `Failure` with code `cancelled`."""
        self._call(self._drop, frozenset(ids))

    def close(self) -> None:
        """End the thread and what is under way, within two seconds."""
        with self._lock:
            self._closing = True
        self._call(self._stop)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_LIMIT_S)

    @property
    def spent(self) -> float:
        """Return what this engine has spent, in US dollars."""
        return self._spending.spent

    def kill(self) -> None:
        """End at once: the connections end with the process."""
        self._closing = True

    # -- the engine's thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            run(self._main())
        except AugtuiError as error:
            self._error = self._error or error
        except BaseException as error:  # a fault of augtui; its text may hold anything
            self._error = self._error or EngineError(f"the HTTP engine failed ({type(error).__name__})")
        finally:
            if self._info is None and self._error is None:
                self._error = EngineError("the engine was closed before it was ready")
            self._ready.set()
            self._events.put(None)

    async def _main(self) -> None:
        self._end = asyncio.Event()
        self._server = server = Server(
            self._endpoint, self._key, timeout_s=self._options.timeout_s, connections=self._options.slots
        )
        with self._lock:
            if self._closing:
                return
            self._loop = asyncio.get_running_loop()
        beat = asyncio.create_task(self._beat())
        start = asyncio.create_task(self._start(server))
        end = asyncio.create_task(self._end.wait())
        try:
            await asyncio.wait({start, end}, return_when=asyncio.FIRST_COMPLETED)
            if start.done():
                self._info = start.result()
                self._ready.set()
                await end
        finally:
            with self._lock:
                self._loop = None
            tasks = [beat, start, end, *self._tasks.values()]
            for task in tasks:
                task.cancel()
            ended, _ = await asyncio.wait(tasks, timeout=CLOSE_LIMIT_S / 2)
            for task in ended:
                if not task.cancelled():
                    task.exception()  # else asyncio logs that nobody looked
            await server.close()

    async def _start(self, server: Server) -> ModelInfo:
        models = await server.listed(self._clock, self._draw) or []
        if self._endpoint.model is None:
            if not models:
                raise ModelError(
                    f"{self._endpoint.base} does not say which models it has",
                    hint=f"Name one: --model '{self._endpoint.base}#model-name'.",
                )
            self._endpoint = self._endpoint.named(models[0].name)
        name = self._endpoint.model or ""
        listed = next((model for model in models if model.name == name), ListedModel(name))
        self._prices = self._prices or listed.prices
        if self._options.budget is not None and self._prices is None:
            raise UsageError(
                f"--max-cost needs prices, and {self._endpoint.host} does not tell them before it is asked for answers",
                hint="Give --price-in and --price-out, US dollars for a million tokens (0 for your own server).",
            )
        context = listed.context or CONTEXT_TOKENS
        return ModelInfo(
            description=f"{name} at {self._endpoint.host}",
            parameters=0,
            bytes=0,
            context_train=context,
            context_sequence=context,
            slots=self._options.slots,
        )

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            if self._outstanding:
                self._events.put(self._progress())

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        """Have the engine's thread do something; nothing if it is not there (any more)."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function, *arguments)

    def _stop(self) -> None:
        if self._end is not None:
            self._end.set()

    def _enqueue(self, requests: tuple[Work, ...]) -> None:
        now = self._clock.now()
        for request in requests:
            if isinstance(request, ScoreRequest):
                detail = "a server's chat interface does not tell how likely a given text is; score with a local model"
                self._emit(Failure(request.id, "unsupported", detail))
            elif isinstance(request, Request) and (fault := _fault(request)) is not None:
                self._emit(Failure(request.id, "bad request", fault))
            else:
                self._waiting.append(_Flight(request, now, self._worst(request)))
        self._dispatch()

    def _drop(self, ids: frozenset[str]) -> None:
        dropped = [flight for flight in self._waiting if flight.work.id in ids]
        self._waiting = deque(flight for flight in self._waiting if flight.work.id not in ids)
        doubted = [doubt for doubt in self._doubts if doubt.id in ids]
        self._doubts = [doubt for doubt in self._doubts if doubt.id not in ids]
        for outcome in (*(_failure(flight, "cancelled", "cancelled") for flight in dropped), *doubted):
            self._emit(outcome)
        for name in ids & self._tasks.keys():
            self._cancelled.add(name)
            self._tasks[name].cancel()
        self._dispatch()

    def _dispatch(self) -> None:
        """Send what there is room and money for."""
        if self._error is not None or self._closing:
            return
        while self._waiting and len(self._tasks) < self._options.slots:
            flight = self._waiting[0]
            if not self._reserve(flight):
                if self._tasks:
                    return  # what is under way may leave more than its worst case
                self._waiting.popleft()
                self._emit(_failure(flight, "budget", self._poverty(flight.worst)))
                continue
            self._waiting.popleft()
            task = asyncio.get_running_loop().create_task(self._serve(flight))
            self._tasks[flight.work.id] = task
            task.add_done_callback(partial(self._landed, flight))
        if not self._tasks and not self._waiting and self._doubts:
            self._trust()

    async def _serve(self, flight: _Flight) -> None:
        """Try a request until it has its outcome. The money for the first try is set aside already."""
        try:
            while isinstance(held := await self._try(flight), _Again):
                if held.trouble is not None:
                    flight.troubles[held.trouble] += 1
                    if flight.troubles[held.trouble] >= TRIES[held.trouble]:
                        detail = f"{held.detail} (tried {flight.troubles.total()} times)"
                        self._finish(_failure(flight, "unreachable", detail))
                        return
                    await self._wait(flight, held)
                if not self._reserve(flight):
                    flight.poor = True  # it waits again once its task has ended: until then its name is taken
                    return
            self._finish(held)
        except AugtuiError as error:
            self._give_up(error)
        except Exception as error:  # a fault of augtui, and no reason to leave the others without an end
            self._give_up(EngineError(f"the HTTP engine failed ({type(error).__name__})"))

    def _landed(self, flight: _Flight, task: asyncio.Task[None]) -> None:
        name = flight.work.id
        self._tasks.pop(name, None)
        if flight.reserved:  # it was cancelled before it sent anything
            self._settle(flight, self._nothing)
        dropped = name in self._cancelled
        if (task.cancelled() or flight.poor) and dropped and self._error is None:
            self._emit(_failure(flight, "cancelled", "cancelled"))
        elif flight.poor:
            self._waiting.appendleft(flight)
        flight.poor = False
        self._cancelled.discard(name)
        self._dispatch()

    async def _wait(self, flight: _Flight, again: _Again) -> None:
        assert again.trouble is not None
        wait = backoff_s(flight.troubles[again.trouble], self._draw) if again.asked_s is None else again.asked_s
        if again.trouble == "busy" or again.asked_s is not None:
            self._pause.extend(wait)  # the server means us, not this one request
        else:
            await self._clock.sleep(wait)

    async def _try(self, flight: _Flight) -> Outcome | _Again:
        """Send a request once, and put what it did cost in the place of its worst case."""
        assert self._server is not None
        await self._pause.over()
        flight.started = self._clock.now() if flight.started is None else flight.started
        path, body = self._body(flight.work)
        try:
            reply = await self._server.ask(path, body)
        except NotSent as error:
            self._settle(flight, self._nothing)
            return _Again("fault", str(error))
        except Lost as error:
            self._settle(flight, self._dollars(flight, None))
            return _Again("fault", str(error))
        except asyncio.CancelledError:
            self._settle(flight, self._dollars(flight, None))
            raise
        if not 200 <= reply.status < 300:
            self._settle(flight, self._nothing)
            return self._refused(flight, reply, body)
        try:
            return self._embedded(flight, reply) if path == EMBEDDINGS else self._completed(flight, reply)
        except Nonsense as error:
            self._settle(flight, self._dollars(flight, error.usage))
            return _Again("nonsense", str(error))
        except ServerTrouble as error:
            self._settle(flight, self._nothing)
            told = Reply(error.status, reply.headers, str(error).encode("utf-8", "replace"))
            return self._refused(flight, told, body)

    def _body(self, work: Work) -> tuple[str, dict[str, object]]:
        model = self._endpoint.model or ""
        if isinstance(work, EmbedRequest):
            return EMBEDDINGS, self._dialect.embedding(model, work)
        assert isinstance(work, Request)
        return "chat/completions", self._dialect.chat(model, work)

    def _completed(self, flight: _Flight, reply: Reply) -> Outcome | _Again:
        answer = answers.read_chat(reply.body)
        if self._key is not None and self._key.is_in(answer.text):
            raise Nonsense("an answer that repeats the API key", answer.usage)
        self._settle(flight, self._dollars(flight, answer.usage))
        self._answered = True
        if answer.refusal is not None:
            return _failure(flight, "refused", answers.cleaned(answer.refusal, self._key))
        usage = answer.usage or Usage(0, 0)
        self._prompt_tokens += usage.prompt_tokens
        self._completion_tokens += usage.completion_tokens
        took = self._clock.now() - flight.submitted
        return Completion(
            id=flight.work.id,
            text=answer.text,
            finish_reason=answer.finish_reason,
            prompt_tokens=usage.prompt_tokens,
            shared_tokens=0,
            completion_tokens=usage.completion_tokens,
            queued_s=(flight.started or flight.submitted) - flight.submitted,
            first_token_s=took,  # a whole answer comes at once
            duration_s=took,
            cost=flight.cost,
        )

    def _embedded(self, flight: _Flight, reply: Reply) -> Outcome:
        vector, usage = answers.read_embedding(reply.body)
        self._settle(flight, self._dollars(flight, usage))
        self._answered = True
        tokens = usage.prompt_tokens if usage is not None else 0
        self._prompt_tokens += tokens
        return Embedding(flight.work.id, vector, tokens)

    def _refused(self, flight: _Flight, reply: Reply, body: dict[str, object]) -> Outcome | _Again:
        """Decide what an error status means; raises EngineError where no request has a chance."""
        assert self._server is not None
        self._server.require_welcome(reply)
        status, words = reply.status, self._server.words(reply)
        detail = f"HTTP {status}: {words}"
        asked = asked_wait_s(reply.headers, self._clock.wall())
        if status == 429:
            return _Again("busy", detail, asked)
        if status in (408, 425) or (status >= 500 and status != 501):
            return _Again("fault", detail, asked)
        work = flight.work
        if status in (404, 405, 410, 501):
            if status == 501 or isinstance(work, EmbedRequest) or (isinstance(work, Request) and work.adapter):
                return _failure(flight, "unsupported", detail)
            raise EngineError(
                f"{self._endpoint} is no model that the server has ({detail})",
                hint="Is the name behind # right? Most addresses end in /v1.",
            )
        if self._dialect.learn(status, answers.faulted_fields(reply.body), words, body):
            return _Again(None)
        if answers.tells_of_overflow(f"{words} {answers.error_code(reply.body)}"):
            return _failure(flight, "context overflow", detail)
        shaped = isinstance(work, Request) and (work.schema is not None or work.grammar is not None)
        return _failure(flight, "unsupported" if shaped and answers.tells_of_formats(words) else "refused", detail)

    # -- money -------------------------------------------------------------------------------------------------------

    @property
    def _nothing(self) -> float | None:
        """What a try costs that is not billed: nothing is 0 only where something would have been more."""
        return None if self._prices is None else 0.0

    def _worst(self, work: Request | EmbedRequest) -> float:
        """Return the most that a request can cost in one try, in US dollars."""
        if self._prices is None:
            return 0.0
        if isinstance(work, EmbedRequest):
            return self._prices.cost(most_prompt_tokens([work.text]) + TEMPLATE_TOKENS, 0)
        return self._prices.cost(most_chat_tokens(work.messages, work.schema or ""), answer_limit(work.sampling))

    def _dollars(self, flight: _Flight, usage: Usage | None) -> float | None:
        """Return what a try cost; where the server does not tell, the most that it can have cost."""
        if usage is not None and usage.cost is not None:
            return usage.cost
        if self._prices is None:
            return None
        return flight.worst if usage is None else self._prices.cost(usage.prompt_tokens, usage.completion_tokens)

    def _reserve(self, flight: _Flight) -> bool:
        flight.reserved = self._spending.reserve(flight.worst)
        return flight.reserved

    def _settle(self, flight: _Flight, dollars: float | None) -> None:
        flight.reserved = False
        self._spending.settle(flight.worst, dollars or 0.0)
        if dollars is not None:
            flight.cost = (flight.cost or 0.0) + dollars

    def _poverty(self, worst: float) -> str:
        spending = self._spending
        spent, budget = spending.before + spending.spent, spending.budget or 0.0
        return f"${spent:.4f} of ${budget:.4f} are spent, and the next request may cost ${worst:.4f}"

    # -- outcomes ----------------------------------------------------------------------------------------------------

    def _finish(self, outcome: Outcome) -> None:
        """Tell an outcome, unless it may be the server's fault and not the request's: then others are waited for."""
        if isinstance(outcome, Failure):
            if outcome.code == "unreachable" or (outcome.code == "refused" and not self._answered):
                self._doubts.append(outcome)
                if len(self._doubts) >= DOUBTS:
                    base, detail = self._endpoint.base, outcome.detail
                    hint = "What is not done stays to be done: run the same command again."
                    self._give_up(EngineError(f"{base} fails every request: {detail}", hint=hint))
                return
        else:
            self._trust()
        self._emit(outcome)

    def _trust(self) -> None:
        """The server does answer: what failed before failed by itself."""
        doubts, self._doubts = self._doubts, []
        for doubt in doubts:
            self._emit(doubt)

    def _emit(self, outcome: Outcome) -> None:
        with self._lock:
            self._outstanding.discard(outcome.id)
            is_last = not self._outstanding
        if is_last:
            self._events.put(self._progress())
        self._events.put(outcome)

    def _progress(self) -> Progress:
        spent = self._spending.spent
        return Progress(
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            active=len(self._tasks),
            waiting=len(self._waiting),
            slots=self._options.slots,
            context_used=0,
            context_size=self._info.context_sequence if self._info is not None else 0,
            rss_bytes=0,
            cost=spent if spent > 0 or self._prices is not None else None,
        )

    def _give_up(self, error: AugtuiError) -> None:
        self._error = self._error or error
        for task in self._tasks.values():
            task.cancel()
        self._events.put(None)


def _failure(flight: _Flight, code: FailureCode, detail: str) -> Failure:
    """Return a failure, with its cost if it has any."""
    if flight.cost:
        return Failure(flight.work.id, code, detail, flight.cost)
    return Failure(flight.work.id, code, detail)


def _fault(request: Request) -> str | None:
    """Return why a request cannot be sent at all, or None."""
    if request.schema is None:
        return None
    if request.grammar is not None:
        return "a schema and a grammar at once"
    try:
        json.loads(request.schema)
    except (ValueError, RecursionError):
        return "the schema is not JSON"
    return None
