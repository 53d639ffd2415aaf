"""Coverage: sparse regions get more and come first, the samples add up, and the same input always gets the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augtui.pipelines import coverage

CROWD = [f"Write a short poem about the sea and the number {n}" for n in range(12)]


def test_a_lonely_text_is_sparse_and_a_crowd_is_dense() -> None:
    found = coverage.densities([*CROWD, "Repair a bicycle chain"])
    assert max(found[:-1]) > 0.8
    assert found[-1] < 0.2


def test_equal_texts_are_as_dense_as_can_be_and_one_alone_is_not() -> None:
    assert coverage.densities(["a b c"] * 9) == pytest.approx([1.0] * 9)
    assert coverage.densities(["a b c"]) == [0.0]
    assert coverage.densities([]) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*CROWD, "Repair a bicycle chain", "写一首诗", "!"]), max_size=20), st.integers(0, 60))
def test_the_samples_add_up_and_are_always_the_same(texts: list[str], total: int) -> None:
    found = coverage.shares(texts, total)
    assert sum(samples for _, samples in found) == (total if texts else 0)
    assert len({number for number, _ in found}) == len(found)
    assert found == coverage.shares(texts, total)


def test_a_large_input_is_judged_by_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = coverage.densities([*CROWD * 10, "Repair a bicycle chain"])
    monkeypatch.setattr(coverage, "LANDMARKS", 40)
    estimated = coverage.densities([*CROWD * 10, "Repair a bicycle chain"])
    assert estimated[-1] < 0.2 < 0.6 < min(estimated[:-1])
    assert exact[-1] < 0.2
