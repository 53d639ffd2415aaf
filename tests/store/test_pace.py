"""What items took: known times give known means, pauses and unfinished items do not count."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from augtui.domain.records import Record
from augtui.store import db, items, pace, runs
from augtui.store.items import Attempt, GeneratedRecord, PlannedItem, Settled
from augtui.store.projects import Project, open_project
from augtui.store.runs import RunPlan

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SMALL, LARGE = "a" * 64, "b" * 64


class Clock:
    """The store's clock, which the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr(db, "now", self.now)

    def now(self) -> str:
        return (BEGAN + timedelta(seconds=self.seconds)).isoformat(timespec="milliseconds")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def work(
    project: Project, clock: Clock, name: str, waits: Sequence[float], *, model: str = SMALL, rejected: int = 0
) -> int:
    """Settle an item after each wait in seconds, `rejected` tries before each last one; every third fails."""
    plan = RunPlan(name, "refine", "prompts.txt", {}, 42, "refine@1", "refine", "", "9", model, "nano", "/nano.gguf", 9)
    run = runs.begin(project, plan)
    planned = [PlannedItem(n, f"{name} {n}", Record(f"{name} {n}", line=n + 1)) for n in range(len(waits))]
    items.add_items(project, run, planned)
    for n, wait in enumerate(waits):
        clock.seconds += wait
        key, text = f"{name} {n}", f"better {name} {n}"
        tries = [Attempt(i, n, text, "rejected", "too long", "stop", 40, 90, 0.0, 0.1, 0.9) for i in range(rejected)]
        if n % 3 == 2:
            tries.append(Attempt(rejected, n, text, "rejected", "number lost", "stop", 40, 30, 0.0, 0.1, 0.9))
            items.settle(project, run, [Settled(key, "kept_original", None, "number lost", tuple(tries))])
        else:
            tries.append(Attempt(rejected, n, text, "accepted", None, "stop", 40, 30, 0.0, 0.1, 0.9))
            items.settle(project, run, [Settled(key, "accepted", text, None, tuple(tries), GeneratedRecord(text))])
    runs.finish(project, run, "finished")
    return run.id


def test_known_times_give_known_means(project: Project, clock: Clock) -> None:
    run = work(project, clock, "one", [0.5] * 12, rejected=1)
    found = pace.of_newest_run(project, "refine")
    assert found is not None
    assert (found.run, found.items) == (run, 12)
    assert (found.prompt_tokens, found.completion_tokens) == (80, 120)
    assert found.accepted == pytest.approx(8 / 12)
    # Two tries an item, noted together: 11 waits of half a second lie between 24 tries.
    assert found.seconds == pytest.approx(11 * 0.5 / 23 * 2, rel=1e-3)
    assert pace.of_model(project, "refine", SMALL) == found
    assert pace.of_model(project, "refine", LARGE) is None
    assert pace.of_model(project, "expand", SMALL) is None
    assert pace.of_newest_run(project, "expand") is None


def test_a_pause_is_no_work_and_what_is_pending_counts_for_nothing(project: Project, clock: Clock) -> None:
    work(project, clock, "one", [1.0] * 8 + [pace.PAUSE_S + 1, *[1.0] * 8])
    found = pace.of_newest_run(project, "refine")
    assert found is not None and found.seconds == pytest.approx(1.0, rel=1e-3)
    run = runs.begin(
        project,
        RunPlan("two", "refine", "p.txt", {}, 42, "refine@1", "refine", "", "9", LARGE, "nano", "/nano.gguf", 9),
    )
    planned = [PlannedItem(n, f"two {n}", Record(f"two {n}", line=n + 1)) for n in range(20)]
    items.add_items(project, run, planned)
    bad = Attempt(0, 1, "no", "rejected", "too long", "stop", 40, 90, 0.0, 0.1, 0.9)
    items.note_attempts(project, run, [(f"two {n}", bad) for n in range(20)])
    assert pace.of_model(project, "refine", LARGE) is None
    assert pace.of_newest_run(project, "refine") == found


def test_a_model_is_measured_over_its_runs_and_the_app_by_the_newest(project: Project, clock: Clock) -> None:
    slow = work(project, clock, "one", [4.0] * 10, model=LARGE)
    clock.seconds += 200.0  # between two runs: no work, though short
    work(project, clock, "two", [2.0] * 10, model=LARGE)
    quick = work(project, clock, "three", [0.25] * 10)
    few = work(project, clock, "four", [9.0] * (pace.LEAST_ITEMS - 1))
    assert slow < quick < few
    newest, large = pace.of_newest_run(project, "refine"), pace.of_model(project, "refine", LARGE)
    assert newest is not None and large is not None
    assert (newest.run, newest.seconds) == (quick, pytest.approx(0.25, rel=1e-3))
    assert (large.items, large.seconds) == (20, pytest.approx(3.0, rel=1e-3))


def test_times_that_say_nothing_are_none(project: Project, clock: Clock) -> None:
    work(project, clock, "one", [0.0] * 10)
    found = pace.of_model(project, "refine", SMALL)
    assert found is not None and found.seconds is None and found.items == 10
    assert pace.of_newest_run(project, "refine") is None


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(waits=st.lists(st.floats(0.01, pace.PAUSE_S - 1), min_size=pace.LEAST_ITEMS, max_size=20))
def test_the_mean_is_that_of_the_waits_between_tries(memory_folder: Path, clock: Clock, waits: list[float]) -> None:
    (memory_folder / "law.db").unlink(missing_ok=True)
    with open_project(memory_folder / "law.db") as project:
        work(project, clock, "one", waits)
        found = pace.of_newest_run(project, "refine")
        assert found is not None and found.seconds is not None
        assert found.seconds == pytest.approx(sum(waits[1:]) / len(waits[1:]), abs=2e-3)
