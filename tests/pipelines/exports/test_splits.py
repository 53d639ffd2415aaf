"""Splits: whole families, exact shares, the seed alone decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.errors import UsageError
from augtui.pipelines.exports import splits
from augtui.pipelines.exports.rows import TrainingRow


@given(
    st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), min_size=1, max_size=300),
    st.floats(0.01, 0.5),
    st.integers(0, 5),
)
def test_relatives_are_on_one_side_and_the_share_is_kept(families: list[str], share: float, seed: int) -> None:
    sides = splits.assign(families, share, seed)
    assert sides == splits.assign(families, share, seed)
    chosen = {family for family, side in zip(families, sides, strict=True) if side}
    assert sum(sides) == sum(family in chosen for family in families)
    wanted = round(share * len(families))
    assert sum(sides) <= wanted
    rest = [families.count(family) for family in set(families) - chosen]
    assert not rest or wanted - sum(sides) < min(rest)


def test_single_rows_hit_the_share_exactly() -> None:
    assert sum(splits.assign(map(str, range(1000)), 0.05)) == 50
    assert splits.assign(map(str, range(1000)), 0.05, 1) != splits.assign(map(str, range(1000)), 0.05, 2)


@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=3), max_size=25))
def test_kinship_is_what_connects(rows: list[list[int]]) -> None:
    kinship = splits.Kinship()
    for keys in rows:
        kinship.add(*map(str, keys))
    groups = kinship.groups()
    # Naive closure over shared keys.
    parts: list[set[int]] = []
    for keys in rows:
        joined = [part for part in parts if part & set(keys)]
        parts = [part for part in parts if not part & set(keys)] + [set(keys).union(*joined)]
    naive = [next(at for at, part in enumerate(parts) if set(keys) <= part) for keys in rows]
    for a in range(len(rows)):
        for b in range(a):
            assert (groups[a] == groups[b]) == (naive[a] == naive[b])


def test_equal_instructions_and_one_conversation_are_relatives() -> None:
    one, other = TrainingRow("1", "Write  a HAIKU", family="a"), TrainingRow("2", "ｗrite a haiku", family="b")
    assert len({*splits.keys(one), *splits.keys(other)}) == 3
    first, later = TrainingRow("1", "Hi"), TrainingRow("2", "And?", history=(("Hi", "Hello"),))
    assert set(splits.keys(first)) & set(splits.keys(later))


@pytest.mark.parametrize("share", [0.0, -1.0, 0.51, 1.0, float("nan")])
def test_shares_that_make_no_sense(share: float) -> None:
    with pytest.raises(UsageError):
        splits.choose([1, 2], share, 0)
