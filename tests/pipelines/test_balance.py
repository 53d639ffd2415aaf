"""Balance: every present class gets its renormalised share, to within one row."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augtui.domain.records import Record
from augtui.domain.taxonomy import CLASSES, OTHERS, SHARES, class_named, renormalised
from augtui.errors import UsageError
from augtui.pipelines import balance

NAMES = st.lists(st.sampled_from(CLASSES[:8]), min_size=1, max_size=80)
SIZES = st.integers(1, 3000)


def test_the_published_shares_add_up_to_one() -> None:
    assert len(CLASSES) == 32
    assert sum(Fraction(str(share)) for share in SHARES.values()) == 1
    assert [class_named(text) for text in ("code debug", "CodeDebug", "common sense", " Math.", "Cooking")] == [
        "Code Debug", "Code Debug", "Common-Sense", "Math", None,
    ]  # fmt: skip


@given(NAMES, SIZES, st.integers(0, 5))
@settings(deadline=None, max_examples=50)
def test_present_classes_hit_their_renormalised_share_within_one_row(names: list[str], size: int, seed: int) -> None:
    plan = balance.plan(names, size, shortage="repeat", seed=seed)
    shares = renormalised(SHARES, set(names))
    assert sum(plan.times) == size
    for name, share in shares.items():
        assert abs(plan.taken[name] - share * size) < 1 + 1e-9
    assert sum(shares.values()) == pytest.approx(1)


@given(NAMES, SIZES, st.integers(0, 5))
@settings(deadline=None, max_examples=50)
def test_repeats_are_spread_evenly_and_classes_with_enough_rows_have_none(
    names: list[str], size: int, seed: int
) -> None:
    plan = balance.plan(names, size, seed=seed)
    for name, target in plan.targets.items():
        times = [count for label, count in zip(names, plan.times, strict=True) if label == name]
        assert max(times) - min(times) <= 1
        assert max(times) <= 1 or target > len(times)


@given(NAMES, SIZES, st.integers(0, 5))
@settings(deadline=None, max_examples=50)
def test_expansions_make_up_for_what_is_missing_and_nothing_is_copied(names: list[str], size: int, seed: int) -> None:
    plan = balance.plan(names, size, shortage="expand", seed=seed)
    assert set(plan.times) <= {0, 1}
    wanted: Counter[str] = Counter()
    for expansion in plan.expansions:
        assert names[expansion.position] == expansion.label
        assert plan.times[expansion.position] == 1
        wanted[expansion.label] += expansion.count
    for name, target in plan.targets.items():
        assert plan.taken[name] + wanted[name] == target
    assert sum(plan.times) + sum(wanted.values()) == size
    less = balance.plan(names, size, shortage="less", seed=seed)
    assert (less.times, less.expansions) == (plan.times, ())


def test_the_sampler_that_forgets_absent_classes_is_not_copied() -> None:
    """EasyDistill's sampler makes 36 rows of these 100, though it promises as many as went in."""
    names = ["Math"] * 60 + ["Reasoning"] * 20 + ["Writing"] * 20
    plan = balance.plan(names, 100)
    assert plan.taken == {"Math": 48, "Reasoning": 47, "Writing": 5}
    assert sum(plan.times) == 100


def test_the_same_seed_takes_the_same_rows_and_another_one_others() -> None:
    names = ["Math"] * 300 + ["Writing"] * 300
    first = balance.plan(names, 100, seed=1)
    assert first == balance.plan(names, 100, seed=1)
    assert first.times != balance.plan(names, 100, seed=2).times
    assert first.taken == balance.plan(names, 100, seed=2).taken


def test_a_mix_is_taken_as_it_is_and_renormalised() -> None:
    shares = balance.mix({"mix": {"math": 3, "Code Debug": 1, "house style": 0, "Physics": 9}})
    assert shares == {"Math": 3.0, "Code Debug": 1.0, "house style": 0.0, "Physics": 9.0}
    plan = balance.plan(["Math", "Code Debug", "house style", "Art"], 8, shares)
    assert plan.taken == {"Math": 6, "Code Debug": 2, "house style": 0, "Art": 0}
    assert plan.reason(3) == balance.NO_SHARE
    assert set(balance.uniform().values()) == {1.0}


@pytest.mark.parametrize(
    "mix", [{}, {"mix": {}}, {"mix": 3}, {"Math": -1}, {"Math": "much"}, {"Math": True}, {"Math": 0},
            {"Math": float("nan")}, {"Math": float("inf")}, {"Math": 1, "math": 2}],
)  # fmt: skip
def test_a_mix_that_is_none_is_refused(mix: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        balance.mix(mix)


def test_records_none_of_which_has_a_share_are_refused_and_no_records_are_fine() -> None:
    with pytest.raises(UsageError, match="no class that is present"):
        balance.plan(["Art"], 3, {"Math": 1.0})
    empty = balance.plan([], 3)
    assert (empty.times, empty.targets, empty.expansions) == ((), {}, ())


def test_given_labels_are_taken_as_they_are_and_the_rest_is_classified() -> None:
    rows = [
        (Record("x"), "math"), (Record("x"), "Physics"), (Record("x"), "gardening"), (Record("x"), 7),
        (Record("Solve the equation 3x + 5 = 20 and calculate x."), None),
    ]  # fmt: skip
    found = list(balance.labels(rows))
    assert [one.name for one in found] == ["Math", "Physics", OTHERS, OTHERS, "Math"]
    assert [one.given for one in found] == ["math", None, "gardening", "7", None]
    assert found[0].as_json() == {"label": "Math", "by": "field", "given": "math"}
    assert found[4].as_json()["by"] == "classifier"
    own = list(balance.labels(rows[2:3], shares={"gardening": 1.0}))
    assert own == [balance.Label("gardening")]


@given(st.dictionaries(st.sampled_from(CLASSES), st.floats(0, 1e6), min_size=1), st.integers(0, 10**6))
@settings(deadline=None, max_examples=50)
def test_apportioned_numbers_add_up_and_stay_within_one(shares: dict[str, float], size: int) -> None:
    found = balance.apportioned(shares, size)
    total = sum(Fraction(str(share)) for share in shares.values())
    if not total:
        assert found == {}
        return
    assert sum(found.values()) == size
    for name, share in shares.items():
        assert abs(found[name] - size * Fraction(str(share)) / total) < 1
