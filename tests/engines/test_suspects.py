"""Suspicion: who is blamed for the engine's deaths, and how many deaths that takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from augtui.engines.suspects import CHANCES, LONELY_KILLS, MOST_LENIENCE, MOST_WAYS, Suspects

NAMES = [f"r{number}" for number in range(16)]


def work_through(names: list[str], poison: set[str]) -> tuple[set[str], int]:
    """Who is condemned, and after how many deaths, where each of `poison` ends the engine whenever it is in it."""
    suspects, left, condemned, deaths = Suspects(), list(names), set(), 0
    while left:
        group = list(suspects.trial) or left
        if poison & set(group):
            deaths += 1
            narrowed, name = suspects.blame(group, "SIGSEGV", fault=True)
            assert narrowed, "every fault must narrow the suspicion, or it would never end"
            if name is not None:
                condemned.add(name)
                left.remove(name)
            continue
        for name in group:
            suspects.release(name)
            left.remove(name)
    assert suspects.trial == ()
    return condemned, deaths


def test_nobody_is_suspected_at_first() -> None:
    assert Suspects().trial == ()


def test_one_poisonous_request_of_sixteen_costs_seven_deaths() -> None:
    condemned, deaths = work_through(NAMES, {"r11"})
    assert condemned == {"r11"}
    assert deaths == 4 + LONELY_KILLS


@given(st.sets(st.sampled_from(NAMES)))
def test_exactly_the_poisonous_are_condemned(poison: set[str]) -> None:
    condemned, deaths = work_through(NAMES, poison)
    assert condemned == poison
    assert deaths <= len(poison) * (5 + LONELY_KILLS + MOST_LENIENCE)


def test_deaths_of_several_kinds_count_less() -> None:
    suspects = Suspects()
    ways = ["SIGSEGV", "SIGABRT"] * LONELY_KILLS
    condemned = [suspects.blame(["a"], way, fault=True)[1] for way in ways]
    assert condemned == [None] * (MOST_WAYS * LONELY_KILLS - 1) + ["a"]


def test_a_death_that_is_not_repeated_condemns_nobody_and_earns_the_next_ones_patience() -> None:
    suspects = Suspects()
    for _ in range(2):
        suspects.blame(NAMES, "SIGSEGV", fault=True)
        assert len(suspects.trial) == len(NAMES) // 2
        for name in NAMES:
            suspects.release(name)
        assert suspects.trial == ()
    assert suspects.kills_allowed == LONELY_KILLS + 2


def test_signals_from_outside_are_not_held_against_requests_at_first() -> None:
    suspects = Suspects()
    for _ in range(CHANCES):
        assert suspects.blame(["a", "b"], "SIGKILL", fault=False) == (False, None)
        assert suspects.trial == ()


def test_a_request_that_is_there_at_every_signal_from_outside_is_condemned_at_last() -> None:
    suspects = Suspects()
    deaths = 1
    while suspects.blame(["a"], "SIGKILL", fault=False) != (True, "a"):
        deaths += 1
        assert deaths < 10
    assert deaths == CHANCES + LONELY_KILLS


def test_a_signal_from_outside_during_a_trial_does_not_widen_it() -> None:
    suspects = Suspects()
    suspects.blame(NAMES, "SIGSEGV", fault=True)
    trial = list(suspects.trial)
    assert suspects.blame(trial, "SIGKILL", fault=False) == (False, None)
    assert list(suspects.trial) == trial
