"""The supervisor: what a child's death, hang or refusal means for the requests it had."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from augtui.domain.templates import Message
from augtui.engines import client
from augtui.engines.base import Completion, Event, Failure, Request, Restarted
from augtui.engines.client import LocalEngine
from augtui.engines.options import EngineOptions
from augtui.errors import EngineError, ModelError
from tests.engines import scripted


@pytest.fixture
def engine_of(tmp_path: Path) -> Iterator[Callable[..., LocalEngine]]:
    made: list[LocalEngine] = []

    def make(*arguments: str, beat_limit_s: float = 5.0, patience_s: float = 60.0) -> LocalEngine:
        engine = LocalEngine(
            tmp_path / "model.gguf",
            EngineOptions(slots=4),
            log_path=tmp_path / "engine.log",
            command=[*scripted.command(), *arguments],
            beat_limit_s=beat_limit_s,
            patience_s=patience_s,
        )
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()


def ask(name: str, prompt: str) -> Request:
    return Request(name, (Message("user", prompt),))


def collect(engine: LocalEngine, count: int, limit_s: float = 30.0) -> list[Event]:
    """All events until `count` requests have ended."""
    events: list[Event] = []
    deadline = time.monotonic() + limit_s
    while sum(isinstance(event, Completion | Failure) for event in events) < count:
        assert time.monotonic() < deadline, events
        events.extend(engine.poll(0.2))
    return events


def ended(events: list[Event]) -> dict[str, str]:
    return {
        event.id: event.text if isinstance(event, Completion) else event.code
        for event in events
        if isinstance(event, Completion | Failure)
    }


def test_every_request_gets_exactly_one_answer(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of()
    engine.submit([ask(str(number), f"echo answer {number}") for number in range(100)])
    events = collect(engine, 100)
    assert ended(events) == {str(number): f"answer {number}" for number in range(100)}
    assert sum(isinstance(event, Completion) for event in events) == 100


def test_a_death_is_survived_and_what_was_in_flight_is_answered(
    engine_of: Callable[..., LocalEngine], tmp_path: Path
) -> None:
    engine = engine_of()
    requests = [ask(str(number), f"echo {number}") for number in range(20)]
    requests.insert(7, ask("once", f"die once {tmp_path / 'died'}"))
    engine.submit(requests)
    events = collect(engine, 21)
    answers = ended(events)
    assert len(answers) == 21
    assert "engine died" not in answers.values()
    assert any(isinstance(event, Restarted) and event.reason.startswith("SIGSEGV") for event in events)


def test_a_request_that_kills_twice_is_set_aside_and_all_others_are_answered(
    engine_of: Callable[..., LocalEngine],
) -> None:
    engine = engine_of()
    requests = [ask(str(number), f"echo {number}") for number in range(12)]
    requests.insert(5, ask("poison", "die"))
    engine.submit(requests)
    answers = ended(collect(engine, 13))
    assert answers.pop("poison") == "engine died"
    assert answers == {str(number): str(number) for number in range(12)}


def test_a_request_that_cannot_even_be_read_is_set_aside_too(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of()
    requests = [ask(str(number), f"echo {number}") for number in range(12)]
    requests.insert(5, ask("poison", "choke"))
    engine.submit(requests)
    answers = ended(collect(engine, 13))
    assert answers.pop("poison") == "engine died"
    assert answers == {str(number): str(number) for number in range(12)}


def test_an_engine_that_dies_of_every_request_is_given_up(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of()
    engine.submit([ask(str(number), "die") for number in range(20)])
    with pytest.raises(EngineError, match="dies on every record"):
        collect(engine, 20)


def test_a_suspect_can_be_cancelled_while_the_engine_is_down(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of()
    engine.submit([ask("poison", "die"), ask("a", "echo a"), ask("b", "echo b")])
    while not any(isinstance(event, Restarted) for event in engine.poll(0.05)):
        pass
    engine.cancel(["poison", "a"])
    assert ended(collect(engine, 3))["b"] == "b"


def test_requests_for_a_child_that_does_not_read_hold_up_nobody(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of(beat_limit_s=1.0)
    engine.submit([ask("first", "echo first")])
    collect(engine, 1)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    engine.submit([ask(str(number), "echo " + "x" * 100_000) for number in range(10)])
    assert len(ended(collect(engine, 10))) == 10


def test_a_stop_of_the_parent_is_not_taken_for_the_childs_death(tmp_path: Path) -> None:
    program = f"""
import time
from pathlib import Path
from augtui.engines.client import LocalEngine
from tests.engines import scripted
engine = LocalEngine(Path("m"), command=scripted.command(), log_path=Path({str(tmp_path / "log")!r}), beat_limit_s=0.5)
engine.model
first = engine.pid
print(first, flush=True)
input()
time.sleep(1)
print(engine.pid == first)
engine.close()
"""
    command = [sys.executable, "-c", program]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        parent.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        parent.send_signal(signal.SIGCONT)
        said, _ = parent.communicate(b"\n", timeout=30)
    assert said == b"True\n"


def test_a_log_that_nobody_asked_for_goes_with_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    engine = LocalEngine(tmp_path / "model.gguf", command=scripted.command())
    _ = engine.model
    assert [path.suffix for path in tmp_path.iterdir()] == [".log"]
    engine.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_murdered_child_is_replaced(engine_of: Callable[..., LocalEngine], number: int) -> None:
    engine = engine_of(beat_limit_s=1.0)
    engine.submit([ask(str(index), "sleep 0.1") for index in range(10)])
    collect(engine, 2)
    assert engine.pid is not None
    os.kill(engine.pid, number)
    events = collect(engine, 8)
    assert any(isinstance(event, Restarted) for event in events)
    assert "engine died" not in ended(events).values()


def test_a_child_that_is_stopped_is_let_go_on(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of(beat_limit_s=60.0)
    engine.submit([ask(str(index), "sleep 0.05") for index in range(10)])
    collect(engine, 2)
    child = engine.pid
    assert child is not None
    os.kill(child, signal.SIGSTOP)
    events = collect(engine, 8)
    assert engine.pid == child
    assert not any(isinstance(event, Restarted) for event in events)


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="the system does not tell that a child is stopped")
def test_a_child_that_is_stopped_again_and_again_is_replaced(
    engine_of: Callable[..., LocalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "STOPPED_LIMIT_S", 0.5)
    engine = engine_of(beat_limit_s=60.0)
    engine.submit([ask("a", "sleep 3"), ask("b", "echo b")])
    child = engine.pid
    assert child is not None
    events: list[Event] = []
    while not any(isinstance(event, Restarted) for event in events):
        if engine.pid == child:
            with suppress(ProcessLookupError):  # it may just have been given up
                os.kill(child, signal.SIGSTOP)
        events.extend(engine.poll(0.02))
    assert ended([*events, *collect(engine, 2)]) == {"a": "3", "b": "b"}


def test_a_child_that_is_killed_all_the_time_from_outside_loses_no_request(
    engine_of: Callable[..., LocalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "LONGEST_WAIT_S", 0.1)
    engine = engine_of()
    engine.submit([ask(str(number), "sleep 0.03") for number in range(40)])
    answers: dict[str, str] = {}
    killed = 0
    while len(answers) < 40:
        answers |= ended(list(engine.poll(0.1)))
        # Something ends between two kills: what never gets that far is, rightly, suspected of being the cause.
        if engine.pid is not None and killed < 12 and len(answers) >= killed:
            os.kill(engine.pid, signal.SIGKILL if killed % 2 else signal.SIGTERM)
            killed += 1
    assert set(answers.values()) == {"0.03"}
    assert killed == 12


def test_an_engine_that_cannot_be_kept_alive_is_given_up(
    engine_of: Callable[..., LocalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "LONGEST_WAIT_S", 0.1)
    engine = engine_of(patience_s=1.0)
    engine.submit([ask("a", "sleep 60")])
    with pytest.raises(EngineError, match="times in a row"):
        while True:
            if engine.pid is not None:
                os.kill(engine.pid, signal.SIGKILL)
            engine.poll(0.05)


def test_records_are_set_aside_only_by_an_engine_that_works_for_others(
    engine_of: Callable[..., LocalEngine],
) -> None:
    engine = engine_of()
    engine.submit([ask("good", "echo good")])
    collect(engine, 1)
    engine.submit([ask(str(number), "die") for number in range(30)])
    seen: list[Event] = []
    with pytest.raises(EngineError, match="dies on every record"):
        while True:
            seen.extend(engine.poll(0.2))
    assert ended(seen) == {}


def test_a_request_that_was_cancelled_before_a_death_stays_cancelled(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of()
    engine.submit([ask("a", "sleep 0.3"), ask("b", "sleep 0.3")])
    while not engine.poll(0.05) and engine.pid is None:
        pass
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    engine.cancel(["b"])
    os.kill(engine.pid, signal.SIGKILL)
    assert ended(collect(engine, 2)) == {"a": "0.3", "b": "cancelled"}


@pytest.mark.parametrize(("how", "error"), [("SIGKILL", EngineError), ("SIGSEGV", ModelError), ("SIGPROF", ModelError)])
def test_a_child_that_is_killed_whenever_it_loads_is_given_up(
    engine_of: Callable[..., LocalEngine], how: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        _ = engine_of("raise", how).model


def test_one_death_while_loading_may_be_a_chance(engine_of: Callable[..., LocalEngine], tmp_path: Path) -> None:
    engine = engine_of("raise", "SIGSEGV", str(tmp_path / "once"))
    assert engine.model == scripted.INFO


def test_a_child_that_takes_no_step_is_replaced(
    engine_of: Callable[..., LocalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "STALL_LIMIT_S", 1.0)
    engine = engine_of(beat_limit_s=60.0)
    engine.submit([ask("stall", "stall"), ask("fine", "echo fine")])
    events = collect(engine, 2)
    assert ended(events) == {"stall": "engine died", "fine": "fine"}
    assert any(isinstance(event, Restarted) and "no progress" in event.reason for event in events)


def test_a_child_without_work_is_not_taken_for_hung(
    engine_of: Callable[..., LocalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "STALL_LIMIT_S", 1.0)
    engine = engine_of("idle steps")
    engine.submit([ask("a", "echo a")])
    events = collect(engine, 1)
    time.sleep(1.5)
    engine.submit([ask("b", "sleep 0.7")])
    events += collect(engine, 1)
    assert ended(events) == {"a": "a", "b": "0.7"}
    assert not any(isinstance(event, Restarted) for event in events)


def test_a_model_that_is_never_loaded_is_a_model_error(
    engine_of: Callable[..., LocalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "START_LIMIT_S", 1.0)
    with pytest.raises(ModelError, match="not loaded after"):
        _ = engine_of("load for ever").model


def test_a_child_that_speaks_nonsense_is_replaced(engine_of: Callable[..., LocalEngine], tmp_path: Path) -> None:
    engine = engine_of()
    engine.submit([ask("a", f"babble once {tmp_path / 'babbled'}"), ask("b", "echo b")])
    events = collect(engine, 2)
    assert ended(events)["b"] == "b"
    assert any(isinstance(event, Restarted) and "sense" in event.reason for event in events)


def test_a_child_that_stops_beating_is_replaced(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of(beat_limit_s=1.0)
    engine.submit([ask("hang", "hang"), ask("fine", "echo fine")])
    assert ended(collect(engine, 2)) == {"hang": "engine died", "fine": "fine"}


def test_a_refused_model_is_a_model_error(engine_of: Callable[..., LocalEngine]) -> None:
    with pytest.raises(ModelError, match="refuses"):
        _ = engine_of("refuse").model


def test_an_abort_while_loading_is_a_model_error_that_names_the_cause(engine_of: Callable[..., LocalEngine]) -> None:
    with pytest.raises(ModelError, match="SIGABRT: GGML_ASSERT"):
        _ = engine_of("abort").model


def test_a_worker_that_cannot_be_started_is_an_engine_error(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path / "model.gguf", command=[str(tmp_path / "missing")], log_path=tmp_path / "log")
    with pytest.raises(EngineError):
        _ = engine.model


def test_cancelled_requests_end_as_cancelled(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of()
    engine.submit([ask(str(number), "sleep 0.05") for number in range(40)])
    engine.cancel([str(number) for number in range(20, 40)])
    answers = ended(collect(engine, 40))
    assert [answers[str(number)] for number in range(20, 40)] == ["cancelled"] * 20


def test_a_second_request_of_the_same_name_is_refused(engine_of: Callable[..., LocalEngine]) -> None:
    engine = engine_of()
    engine.submit([ask("a", "sleep 0.5")])
    with pytest.raises(ValueError, match="under way"):
        engine.submit([ask("a", "echo")])


def test_the_child_ends_with_its_parent(tmp_path: Path) -> None:
    """Kill -9 of the parent, even while the child is stopped, leaves no child behind."""
    program = f"""
import time
from pathlib import Path
from augtui.engines.client import LocalEngine
from tests.engines import scripted
engine = LocalEngine(Path("m"), command=scripted.command(), log_path=Path({str(tmp_path / "log")!r}))
engine.model
print(engine.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    if sys.platform == "linux":
        os.kill(child, signal.SIGSTOP)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while _alive(child):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False
