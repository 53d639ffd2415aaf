"""The HTTP engine against a server on loopback that does what real ones do on their bad days."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from augtui.domain.templates import Message
from augtui.engines.base import (
    Completion,
    Embedding,
    EmbedRequest,
    Event,
    Failure,
    Progress,
    Request,
    Sampling,
    ScoreRequest,
    Work,
)
from augtui.engines.http.credentials import Key
from augtui.engines.http.endpoint import Endpoint, parse
from augtui.engines.http.engine import HttpEngine, HttpOptions
from augtui.engines.http.retry import TRIES, Clock
from augtui.engines.http.spending import Prices, most_chat_tokens
from augtui.errors import EngineError, ExitCode, ModelError, UsageError
from tests.engines.http import fakeserver
from tests.engines.http.clocks import QuickClock
from tests.engines.http.fakeserver import MODEL, Ask, Deed, FakeServer

KEY = "sk-test-0123456789abcdefghij"
SHORT = Sampling(max_tokens=20)
ENDED = (Completion, Embedding, Failure)


@pytest.fixture
def clock() -> QuickClock:
    return QuickClock()


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeServer]]:
    servers: list[FakeServer] = []

    def make(behave: Callable[[Ask], Deed] = lambda ask: fakeserver.answer(), **changes: Any) -> FakeServer:
        servers.append(FakeServer(behave, **changes).__enter__())
        return servers[-1]

    yield make
    for server in servers:
        server.__exit__()


@pytest.fixture
def engine_for(clock: QuickClock) -> Iterator[Callable[..., HttpEngine]]:
    made: list[HttpEngine] = []

    def make(server: FakeServer | str, key: str | None = None, model: str = "", **options: Any) -> HttpEngine:
        address = parse((server if isinstance(server, str) else server.address) + (f"#{model}" if model else ""))
        settings = HttpOptions(**{"slots": 4, "timeout_s": 20.0, **options})
        secret = Key(key, "AUGTUI_API_KEY") if key else None
        made.append(HttpEngine(address, settings, key=secret, clock=clock, draw=random.Random(7)))
        return made[-1]

    yield make
    for engine in made:
        engine.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "http engine"]


def ask(name: str, prompt: str = "hello", **changes: Any) -> Request:
    return replace(Request(name, (Message("user", prompt),), 5, SHORT), **changes)


def collect(engine: HttpEngine, work: list[Work], limit_s: float = 60.0) -> dict[str, Event]:
    """Submit the work and return its outcomes by id; each comes exactly once."""
    engine.submit(work)
    outcomes: dict[str, Event] = {}
    deadline = time.monotonic() + limit_s
    while len(outcomes) < len(work):
        assert time.monotonic() < deadline, (len(outcomes), len(work))
        for event in engine.poll(0.1):
            if isinstance(event, ENDED):
                assert event.id not in outcomes
                outcomes[event.id] = event
    assert [event for event in engine.poll(0.05) if isinstance(event, ENDED)] == []
    return outcomes


def only(engine: HttpEngine, work: Work) -> Any:
    return collect(engine, [work])[work.id]


# -- what is asked and read ----------------------------------------------------------------------------------------


def test_a_request_is_what_the_protocol_says(serve: Any, engine_for: Any) -> None:
    server = serve(lambda ask: fakeserver.answer("Bonjour le monde"))
    sampling = Sampling(temperature=0.5, top_p=0.8, top_k=0, max_tokens=9, stop=("END",))
    outcome = only(engine_for(server), ask("a", "Say hello", sampling=sampling, seed=2**32 - 1))
    assert isinstance(outcome, Completion)
    assert (outcome.text, outcome.finish_reason, outcome.cost) == ("Bonjour le monde", "stop", None)
    assert (outcome.prompt_tokens, outcome.completion_tokens) == (3, 3)
    listing, post = server.asks
    assert (listing.path, post.path) == ("/v1/models", "/v1/chat/completions")
    assert dict(post.body) == {
        "model": MODEL, "messages": [{"role": "user", "content": "Say hello"}], "n": 1, "stream": False,
        "temperature": 0.5, "top_p": 0.8, "max_tokens": 9, "seed": 2**31 - 1, "stop": ["END"],
    }  # fmt: skip
    assert "Authorization" not in post.headers


def test_extensions_are_sent_only_where_they_are_set(serve: Any, engine_for: Any) -> None:
    server = serve()
    engine = engine_for(server)
    only(engine, ask("plain", sampling=Sampling(top_k=0)))
    only(engine, ask("set", sampling=Sampling(top_k=20, min_p=0.1, repeat_penalty=1.1)))
    plain, extended = (dict(ask.body) for ask in server.asks[1:])
    assert not {"top_k", "min_p", "repeat_penalty"} & plain.keys()
    assert (extended["top_k"], extended["min_p"], extended["repeat_penalty"]) == (20, 0.1, 1.1)
    assert plain["max_tokens"] == 1024


def test_schemas_grammars_and_adapters_go_along(serve: Any, engine_for: Any) -> None:
    server = serve()
    engine = engine_for(server, model="base")
    only(engine, ask("schema", schema='{"type": "object"}'))
    only(engine, ask("grammar", grammar='root ::= "a"', adapter="my-lora"))
    first, second = (dict(ask.body) for ask in server.asks[1:])
    assert first["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert first["model"] == "base"
    assert second["grammar"] == 'root ::= "a"'
    assert second["model"] == "my-lora"


@pytest.mark.parametrize(
    ("changes", "deed", "code", "words"),
    [
        ({"schema": "{"}, None, "bad request", "not JSON"),
        ({"schema": "{}", "grammar": "x"}, None, "bad request", "at once"),
        ({"schema": "{}"}, fakeserver.status(400, "response_format is not supported"), "unsupported", "not supported"),
        ({"grammar": "?"}, fakeserver.status(400, "Failed to parse grammar"), "unsupported", "Failed to parse"),
        ({"adapter": "x"}, fakeserver.status(404, "The model `x` does not exist."), "unsupported", "does not exist"),
        ({}, fakeserver.status(400, "I do not like that"), "refused", "I do not like that"),
        ({}, fakeserver.status(400, {"detail": [{"loc": ["body", "n"], "msg": "too odd"}]}), "refused", "too odd"),
        ({}, fakeserver.status(400, "This model's maximum context length is 512"), "context overflow", "512"),
        ({}, fakeserver.raw(b"<html><style>x{}</style><h1>Bad\x1b[31m</h1>", "text/html", 400), "refused", "Bad␛[31m"),
        ({}, fakeserver.status(400, "long " * 500), "refused", "…"),
    ],
)  # fmt: skip
def test_a_refusal_is_final_and_says_why(
    serve: Any, engine_for: Any, changes: dict[str, Any], deed: Deed | None, code: str, words: str
) -> None:
    server = serve(lambda ask: deed or fakeserver.answer())
    outcome = only(engine_for(server), ask("a", **changes))
    assert isinstance(outcome, Failure)
    assert (outcome.code, len(server.asks)) == (code, 1 + (deed is not None))
    assert words in outcome.detail
    assert len(outcome.detail) <= 320
    assert outcome.detail.isprintable()


def test_words_that_a_server_does_not_take_are_put_differently(serve: Any, engine_for: Any) -> None:
    def behave(ask: Ask) -> Deed:
        if "max_tokens" in ask.body:
            error = {"message": "Unsupported parameter", "param": "max_tokens", "code": "unsupported_parameter"}
            return fakeserver.status(400, {"error": error})
        if "seed" in ask.body:
            return fakeserver.status(422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]})
        return fakeserver.answer()

    server = serve(behave)
    outcomes = collect(engine_for(server), [ask(f"r{n}", f"prompt {n}") for n in range(8)])
    assert all(isinstance(outcome, Completion) for outcome in outcomes.values())
    assert server.asks[-1].body["max_completion_tokens"] == 20


def test_embeddings_have_length_one(serve: Any, engine_for: Any) -> None:
    content = {"data": [{"embedding": [3.0, 0, -4]}], "usage": {"prompt_tokens": 7}}
    server = serve(lambda ask: fakeserver.status(200, content))
    outcome = only(engine_for(server), EmbedRequest("e", "a text"))
    assert isinstance(outcome, Embedding)
    assert outcome.vector == pytest.approx((0.6, 0.0, -0.8))
    assert outcome.tokens == 7
    assert (server.asks[-1].path, server.asks[-1].body["input"]) == ("/v1/embeddings", "a text")


def test_scores_are_plainly_unsupported(serve: Any, engine_for: Any) -> None:
    outcome = only(engine_for(serve()), ScoreRequest("s", (Message("user", "x"),), "y"))
    assert isinstance(outcome, Failure)
    assert outcome.code == "unsupported"


@pytest.mark.parametrize(
    ("finish", "content", "expected"),
    [("length", "cut", ("cut", "length")), ("length", None, ("", "length")), ("eos", "x", ("x", "stop")),
     ("stop", "\ud800", ("\ufffd", "stop")), (None, "x", ("x", "stop"))],
)  # fmt: skip
def test_how_an_answer_ended(serve: Any, engine_for: Any, finish: Any, content: Any, expected: Any) -> None:
    choice = {"message": {"content": content}, "finish_reason": finish}
    server = serve(lambda ask: fakeserver.answer(choices=[choice], usage=None))
    outcome = only(engine_for(server), ask("a"))
    assert isinstance(outcome, Completion)
    assert (outcome.text, outcome.finish_reason) == expected


def test_a_model_that_refuses_is_not_asked_again(serve: Any, engine_for: Any) -> None:
    choice = {"message": {"content": None, "refusal": "I cannot\x07 help"}, "finish_reason": "stop"}
    server = serve(lambda ask: fakeserver.answer(choices=[choice]))
    outcomes = collect(engine_for(server), [ask(f"r{n}", f"prompt {n}") for n in range(6)])
    assert {outcome.code for outcome in outcomes.values()} == {"refused"}  # type: ignore[union-attr]
    assert len(server.asks) == 7


# -- faults --------------------------------------------------------------------------------------------------------

FAULTS: dict[str, Callable[[], Deed]] = {
    "429": lambda: fakeserver.status(429),
    "429 with a wait": lambda: fakeserver.status(429, "slow down", {"Retry-After": "3"}),
    "429 with milliseconds": lambda: fakeserver.status(429, "slow down", {"retry-after-ms": "250"}),
    "503 with a date": lambda: fakeserver.status(503, "busy", {"Retry-After": "Fri, 15 Jan 2027 08:00:05 GMT"}),
    "500": lambda: fakeserver.status(500),
    "502 in HTML": lambda: fakeserver.raw(b"<html>Bad gateway</html>", "text/html", 502),
    "504": lambda: fakeserver.status(504),
    "408": lambda: fakeserver.status(408),
    "reset": fakeserver.reset,
    "cut short": fakeserver.cut_short,
    "slammed": fakeserver.slam,
    "truncated JSON": lambda: fakeserver.raw(b'{"choices": [{"message": {"content": "half'),
    "another type": lambda: fakeserver.raw(b"<html>hello</html>", "text/html"),
    "not UTF-8": lambda: fakeserver.raw(b'{"choices": "\xff\xfe"}'),
    "an empty body": lambda: fakeserver.raw(b""),
    "deep nesting": lambda: fakeserver.raw(b"[" * 200_000),
    "a list": lambda: fakeserver.raw(b"[1, 2]"),
    "no choices": lambda: fakeserver.answer(choices=[]),
    "choices of another type": lambda: fakeserver.answer(choices="all"),
    "null content": lambda: fakeserver.answer(choices=[{"message": {"content": None}, "finish_reason": "stop"}]),
    "content of another type": lambda: fakeserver.answer(choices=[{"message": {"content": [1]}}]),
    "negative usage": lambda: fakeserver.answer(usage={"prompt_tokens": -5, "completion_tokens": 1}),
    "usage of another type": lambda: fakeserver.answer(usage={"prompt_tokens": "many"}),
    "NaN": lambda: fakeserver.raw(b'{"choices": NaN}'),
    "an infinite cost": lambda: fakeserver.answer(usage={"prompt_tokens": 1, "cost": 1e999}),
    "an error in a success": lambda: fakeserver.raw(b'{"error": {"code": 502, "message": "upstream died"}}'),
    "a broken-off answer": lambda: fakeserver.answer(finish="abort"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_is_overcome(serve: Any, engine_for: Any, fault: str) -> None:
    server = serve(lambda ask: fakeserver.answer() if ask.nth else FAULTS[fault]())
    outcome = only(engine_for(server), ask("a"))
    assert isinstance(outcome, Completion), outcome
    assert len(server.asks) == 3


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lasting_fault_ends_in_a_failure(serve: Any, engine_for: Any, fault: str) -> None:
    server = serve(lambda ask: FAULTS[fault]())
    outcome = only(engine_for(server), ask("a"))
    assert isinstance(outcome, Failure)
    assert outcome.code == "unreachable"
    assert len(server.asks) - 1 in TRIES.values()


@pytest.mark.parametrize("deed", [fakeserver.drip, fakeserver.hang])
def test_a_server_that_takes_for_ever_is_left(serve: Any, engine_for: Any, deed: Callable[[], Deed]) -> None:
    server = serve(lambda ask: fakeserver.answer() if ask.nth else deed())
    outcome = only(engine_for(server, timeout_s=0.3), ask("a"))
    assert isinstance(outcome, Completion)


def test_a_flood_is_not_read(serve: Any, engine_for: Any) -> None:
    server = serve(lambda ask: fakeserver.answer("short") if ask.nth else fakeserver.flood())
    assert only(engine_for(server), ask("a")).text == "short"


def test_waits_that_a_server_asks_for_are_kept_and_capped(serve: Any, engine_for: Any, clock: QuickClock) -> None:
    def behave(ask: Ask) -> Deed:
        waits = ["3", "100000", "Fri, 15 Jan 2027 08:00:05 GMT"]
        if ask.nth < len(waits):
            return fakeserver.status(429, "slow down", {"Retry-After": waits[ask.nth]})
        return fakeserver.answer()

    only(engine_for(serve(behave)), ask("a"))
    assert len(clock.waits) == 3
    for wait, asked in zip(clock.waits, (3, 120, 5), strict=True):
        assert asked - 0.5 < wait <= asked + 1


class StandingClock(Clock):
    """Stands still: who waits does so until the test moves it."""

    def __init__(self) -> None:
        self.time = 0.0
        self.waited_for = threading.Event()

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        until = self.time + seconds
        self.waited_for.set()
        while self.time < until:
            await asyncio.sleep(0.005)


def test_one_request_that_is_told_to_slow_down_slows_all(serve: Any) -> None:
    def behave(ask: Ask) -> Deed:
        limited = ask.prompt == "limited" and not ask.nth
        return fakeserver.status(429, "", {"Retry-After": "60"}) if limited else fakeserver.answer()

    server, standing = serve(behave), StandingClock()
    engine = HttpEngine(parse(server.address), HttpOptions(slots=4), clock=standing)
    try:
        engine.submit([ask("limited", "limited")])
        assert standing.waited_for.wait(10)
        engine.submit([ask(f"r{n}", f"prompt {n}") for n in range(6)])
        assert [event for event in engine.poll(0.3) if isinstance(event, ENDED)] == []
        assert len(server.asks) == 2
        standing.time = 100.0
        ended = 0
        while ended < 7:
            ended += sum(isinstance(event, Completion) for event in engine.poll(0.1))
    finally:
        engine.close()


MIXED: list[Callable[[], Deed]] = [
    *(FAULTS[name] for name in FAULTS if name not in ("deep nesting", "429 with a wait")),
    fakeserver.drip,
]


@pytest.mark.parametrize("seed", range(3))
def test_mixed_faults_lose_nothing_and_never_exceed_the_bound(serve: Any, engine_for: Any, seed: int) -> None:
    def behave(ask: Ask) -> Deed:
        draw = random.Random(f"{seed} {ask.prompt} {ask.nth}")
        number = int(ask.prompt.split()[-1])
        if number % 50 == 10:
            return fakeserver.status(400, "never")
        if number % 50 == 20:
            return fakeserver.raw(b"nonsense")
        return draw.choice(MIXED)() if draw.random() < 0.25 else fakeserver.answer(delay_s=0.02)

    server = serve(behave)
    engine = engine_for(server, slots=8, timeout_s=0.4)
    outcomes = collect(engine, [ask(f"r{n}", f"prompt {n}") for n in range(300)])
    assert 4 < server.most_at_once <= 8
    for n in range(300):
        outcome = outcomes[f"r{n}"]
        if n % 50 in (10, 20):
            assert isinstance(outcome, Failure)
            assert outcome.code == ("refused" if n % 50 == 10 else "unreachable")
        else:  # three nonsensical answers in a row are given up
            assert isinstance(outcome, Completion) or outcome.code == "unreachable"  # type: ignore[union-attr]
    assert sum(isinstance(outcome, Completion) for outcome in outcomes.values()) > 270


# -- money ---------------------------------------------------------------------------------------------------------

PRICES = Prices(prompt=1_000_000.0, completion=2_000_000.0)  # a dollar a prompt token, two a token of an answer


def test_a_cost_is_tokens_times_prices(serve: Any, engine_for: Any) -> None:
    server = serve(lambda ask: fakeserver.answer("one two three"))
    engine = engine_for(server, prices=PRICES)
    assert only(engine, ask("a", "four words are here")).cost == 5 + 6


def test_failed_tries_that_were_billed_count(serve: Any, engine_for: Any) -> None:
    poison = fakeserver.answer("one two", choices=[])
    server = serve(lambda ask: fakeserver.answer("one two") if ask.nth == 2 else poison)
    assert only(engine_for(server, prices=PRICES), ask("a", "word")).cost == 3 * (2 + 4)
    failing = only(engine_for(serve(lambda ask: poison), prices=PRICES), ask("b", "word"))
    assert isinstance(failing, Failure)
    assert failing.cost == 3 * (2 + 4)


@pytest.mark.parametrize("deed", [fakeserver.reset, fakeserver.cut_short, fakeserver.slam, fakeserver.flood])
def test_a_lost_answer_counts_as_the_most_that_it_can_have_cost(serve: Any, engine_for: Any, deed: Any) -> None:
    worst = most_chat_tokens([Message("user", "word")]) + 2 * 20
    server = serve(lambda ask: fakeserver.answer("one two") if ask.nth else deed())
    assert only(engine_for(server, prices=PRICES), ask("a", "word")).cost == worst + 2 + 4


@pytest.mark.parametrize("code", [429, 500, 503, 408])
def test_an_error_costs_nothing(serve: Any, engine_for: Any, code: int) -> None:
    server = serve(lambda ask: fakeserver.answer("one two") if ask.nth else fakeserver.status(code))
    assert only(engine_for(server, prices=PRICES), ask("a", "word")).cost == 2 + 4


def test_what_a_server_says_that_it_cost_is_taken(serve: Any, engine_for: Any) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.25}
    server = serve(lambda ask: fakeserver.answer(usage=usage))
    engine = engine_for(server)
    engine.submit([ask("a"), ask("b")])
    events: list[Event] = []
    while sum(isinstance(event, Completion) for event in events) < 2:
        events.extend(engine.poll(0.1))
    assert [event.cost for event in events if isinstance(event, Completion)] == [0.25, 0.25]
    assert [event.cost for event in events if isinstance(event, Progress)][-1] == 0.5


def test_prices_that_a_server_tells_are_taken(serve: Any, engine_for: Any) -> None:
    listed = {
        "data": [{"id": "other"}, {"id": "m", "pricing": {"prompt": "0.25", "completion": "0.5", "request": "0"}}]
    }
    server = serve(lambda ask: fakeserver.answer("one"), models=listed)
    assert only(engine_for(server, model="m", budget=1000.0), ask("a", "x")).cost == 0.5 + 0.5


def test_a_budget_needs_prices(serve: Any, engine_for: Any) -> None:
    server = serve()
    with pytest.raises(UsageError, match="needs prices") as caught:
        engine_for(server, budget=1.0).submit([ask("a")])
    assert caught.value.exit_code == ExitCode.USAGE
    assert [ask.path for ask in server.asks] == ["/v1/models"]


@pytest.mark.parametrize("seed", range(3))
def test_spending_never_passes_the_budget_whatever_happens(serve: Any, engine_for: Any, seed: int) -> None:
    def behave(ask: Ask) -> Deed:
        draw = random.Random(f"{seed} {ask.prompt} {ask.nth}")
        words = "word " * draw.randrange(1, 25)
        return draw.choice(MIXED)() if draw.random() < 0.3 else fakeserver.answer(words, delay_s=0.002)

    server, budget = serve(behave), 4_000.0
    engine = engine_for(server, slots=8, timeout_s=0.4, prices=PRICES, budget=budget, spent_before=1_000.0)
    outcomes = collect(engine, [ask(f"r{n}", f"prompt {n}") for n in range(120)])
    codes = {outcome.code for outcome in outcomes.values() if isinstance(outcome, Failure)}
    assert "budget" in codes
    assert codes <= {"budget", "unreachable"}
    billed = server.billed_prompt + 2 * server.billed_completion
    spent = sum(getattr(outcome, "cost", None) or 0 for outcome in outcomes.values())
    assert 0 < billed <= spent <= budget - 1_000.0
    assert any(isinstance(outcome, Completion) for outcome in outcomes.values())


def test_what_is_under_way_ends_and_the_money_it_leaves_is_used(serve: Any, engine_for: Any) -> None:
    server = serve(lambda ask: fakeserver.answer("one", delay_s=0.02))
    worst = 1 + 256 + 16 + 6 + 40  # the estimate of a prompt of six bytes and 20 tokens of an answer
    engine = engine_for(server, prices=PRICES, budget=worst + 40.0)
    outcomes = collect(engine, [ask(f"r{n}", f"word {n}") for n in range(20)])
    done = [outcome for outcome in outcomes.values() if isinstance(outcome, Completion)]
    poor = [outcome for outcome in outcomes.values() if isinstance(outcome, Failure)]
    assert len(done) == 9  # at 5 dollars each, as long as the worst case of the next still fits
    assert {failure.code for failure in poor} == {"budget"}
    assert server.most_at_once == 1


# -- the run as a whole --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_ends_the_run_and_says_which_variable(serve: Any, engine_for: Any, code: int) -> None:
    server = serve(lambda ask: fakeserver.status(code, "go away"))
    engine = engine_for(server)
    engine.submit([ask(f"r{n}", f"prompt {n}") for n in range(20)])
    with pytest.raises(EngineError, match="go away") as caught:
        for _ in range(100):
            engine.poll(0.1)
    assert "AUGTUI_API_KEY" in (caught.value.hint or "")
    assert caught.value.exit_code == ExitCode.UNAVAILABLE
    with pytest.raises(EngineError):
        engine.submit([ask("later")])


@pytest.mark.parametrize(
    ("code", "body", "words"),
    [
        (402, "Insufficient credits", "wants to be paid"),
        (429, {"error": {"code": "insufficient_quota", "message": "You exceeded"}}, "wants to be paid"),
        (404, "model 'x' not found", "no model that the server has"),
    ],
)
def test_what_no_retry_mends_ends_the_run(serve: Any, engine_for: Any, code: int, body: Any, words: str) -> None:
    engine = engine_for(serve(lambda ask: fakeserver.status(code, body)))
    engine.submit([ask("a")])
    with pytest.raises(EngineError, match=words):
        for _ in range(100):
            engine.poll(0.1)


def test_a_server_that_is_not_there_is_named(engine_for: Any) -> None:
    with FakeServer() as server:
        address = server.address
    with pytest.raises(EngineError, match=address) as caught:
        _ = engine_for(address).model
    assert caught.value.exit_code == ExitCode.UNAVAILABLE


def test_a_server_that_goes_away_fails_no_more_than_it_must(serve: Any, engine_for: Any) -> None:
    gone = threading.Event()
    server = serve(lambda ask: fakeserver.slam() if gone.is_set() else fakeserver.answer())
    engine = engine_for(server)
    assert isinstance(only(engine, ask("first")), Completion)
    gone.set()
    engine.submit([ask(f"r{n}", f"prompt {n}") for n in range(50)])
    failures: list[Event] = []
    with pytest.raises(EngineError, match="fails every request"):
        for _ in range(100):
            failures += [event for event in engine.poll(0.1) if isinstance(event, Failure)]
    assert failures == []


def test_a_server_that_is_still_loading_is_waited_for(serve: Any, engine_for: Any, clock: QuickClock) -> None:
    server = serve(models_status=503)

    def load() -> None:
        while len(server.asks) < 3:
            time.sleep(0.001)
        server.models_status = 200

    threading.Thread(target=load, daemon=True).start()
    assert engine_for(server).model.description.startswith(MODEL)


def test_a_server_that_does_not_list_needs_a_name(serve: Any, engine_for: Any) -> None:
    server = serve(models_status=404)
    with pytest.raises(ModelError, match="does not say"):
        _ = engine_for(server).model
    assert only(engine_for(server, model="named"), ask("a")).text == "fine"


def test_what_a_server_tells_of_its_context_is_taken(serve: Any, engine_for: Any) -> None:
    server = serve(models={"data": [{"id": "m", "max_model_len": 4096}]})
    assert engine_for(server).model.context_sequence == 4096
    assert engine_for(serve()).model.context_sequence == 131_072


def test_requests_can_be_cancelled_wherever_they_are(serve: Any, engine_for: Any) -> None:
    server = serve(lambda ask: fakeserver.hang())
    engine = engine_for(server, slots=2, prices=PRICES, budget=10_000.0)
    work = [ask(f"r{n}", f"prompt {n}") for n in range(6)]
    engine.submit(work)
    while server.most_at_once < 2:
        time.sleep(0.005)
    engine.cancel([request.id for request in work])
    ended: list[Failure] = []
    while len(ended) < 6:
        ended += [event for event in engine.poll(0.2) if isinstance(event, Failure)]
    assert {failure.code for failure in ended} == {"cancelled"}
    # Two were being worked on, and may be billed.
    assert sum(failure.cost is not None for failure in ended) == 2


def test_money_set_aside_for_what_is_cancelled_before_it_begins_is_free_again(serve: Any, engine_for: Any) -> None:
    server = serve(lambda ask: fakeserver.answer("one"))
    worst = most_chat_tokens([Message("user", "hello")]) + 2 * 20
    engine = engine_for(server, prices=PRICES, budget=float(worst))
    _ = engine.model
    engine._call(time.sleep, 0.05)  # the engine's thread sees the submission and its end at once
    engine.submit([ask("early")])
    engine.cancel(["early"])
    ended: list[Event] = []
    while not ended:
        ended += [event for event in engine.poll(0.2) if isinstance(event, Failure)]
    assert ended == [Failure("early", "cancelled", "cancelled")]
    assert isinstance(only(engine, ask("late")), Completion)
    assert len(server.asks) == 2


def test_close_is_prompt_while_requests_hang(serve: Any, engine_for: Any) -> None:
    server = serve(lambda ask: fakeserver.hang())
    engine = engine_for(server, slots=8)
    engine.submit([ask(f"r{n}", f"prompt {n}") for n in range(20)])
    while server.most_at_once < 8:
        time.sleep(0.005)
    engine.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "http engine"]
    engine.close()
    with pytest.raises(EngineError):
        engine.submit([ask("later")])


def start_in_background(engine: HttpEngine) -> threading.Thread:
    def start() -> None:
        with pytest.raises(EngineError, match="closed"):
            _ = engine.model

    thread = threading.Thread(target=start)
    thread.start()
    return thread


def test_close_is_prompt_while_the_server_does_not_answer_at_all() -> None:
    engine = HttpEngine(Endpoint("http://192.0.2.1/v1"), HttpOptions())  # TEST-NET-1 (RFC 5737): nobody is there
    starter = start_in_background(engine)
    time.sleep(0.05)
    engine.close()
    starter.join(10)
    assert not starter.is_alive()
    assert not [thread for thread in threading.enumerate() if thread.name == "http engine"]


def test_close_is_prompt_while_a_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    looking, found = threading.Event(), threading.Event()

    def look_up(*arguments: object, **more: object) -> list[object]:
        looking.set()
        found.wait(30)
        raise socket.gaierror("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    engine = HttpEngine(Endpoint("http://slow.example/v1"), HttpOptions())
    starter = start_in_background(engine)
    assert looking.wait(10)
    engine.close()
    starter.join(10)
    assert not starter.is_alive()
    assert not [thread for thread in threading.enumerate() if thread.name == "http engine"]
    found.set()


# -- secrets -------------------------------------------------------------------------------------------------------


def test_the_key_is_sent_and_shown_nowhere(
    serve: Any, engine_for: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)

    def behave(ask: Ask) -> Deed:
        said = ask.headers["Authorization"]
        return {
            "json": fakeserver.status(400, f"You sent {said}, how nice. " + "x" * 400),
            "cut": fakeserver.status(400, f"You sent {said[:24]}"),
            "html": fakeserver.raw(f"<p>{json.dumps(dict(ask.headers))}</p>".encode(), "text/html", 422),
            "answer": fakeserver.answer(f"The header was {said}"),
            "lasting": fakeserver.status(500, f"{said} {said}", {"X-Echo": said}),
            "fine": fakeserver.answer(),
        }[ask.prompt]

    server = serve(behave)
    engine = engine_for(server, key=KEY)
    outcomes = collect(engine, [ask(name, name) for name in ("fine", "json", "cut", "html", "answer", "lasting")])
    assert all(ask.headers["Authorization"] == f"Bearer {KEY}" for ask in server.asks)
    engine.close()
    shown = f"{outcomes!r} {engine!r} {engine.__dict__!r} {caplog.text} {capfd.readouterr()}"
    assert all(KEY[at : at + 8] not in shown for at in range(len(KEY) - 8))
    assert "You sent Bearer ***, how nice." in outcomes["json"].detail  # type: ignore[union-attr]
    assert isinstance(outcomes["answer"], Failure)


def test_a_refused_key_is_not_in_the_error(serve: Any, engine_for: Any) -> None:
    server = serve(lambda ask: fakeserver.status(401, f"bad key {ask.headers['Authorization']}"))
    engine = engine_for(server, key=KEY)
    engine.submit([ask("a")])
    with pytest.raises(EngineError) as caught:
        for _ in range(100):
            engine.poll(0.1)
    assert KEY not in f"{caught.value!r} {caught.value.message} {caught.value.hint}"
    assert "AUGTUI_API_KEY" in (caught.value.hint or "")


@pytest.mark.parametrize("target", ["http://[broken", "//\x01", "", "/elsewhere"])
def test_a_redirect_to_nowhere_is_an_error_of_the_run(serve: Any, engine_for: Any, target: str) -> None:
    engine = engine_for(serve(lambda ask: fakeserver.status(302, "", {"Location": target})))
    engine.submit([ask("a")])
    with pytest.raises(EngineError, match=r"redirects|fails every"):
        for _ in range(100):
            engine.poll(0.1)


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_named_and_not_followed(serve: Any, engine_for: Any, code: int) -> None:
    other = serve()
    target = f"{other.address.replace('127.0.0.1', 'user:secret@localhost')}/chat/completions"
    server = serve(lambda ask: fakeserver.status(code, "", {"Location": target}))
    engine = engine_for(server, key=KEY)
    engine.submit([ask("a")])
    with pytest.raises(EngineError, match="redirects to localhost") as caught:
        for _ in range(100):
            engine.poll(0.1)
    assert "secret" not in caught.value.message
    assert other.asks == []
