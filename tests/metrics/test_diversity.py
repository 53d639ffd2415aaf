"""Diversity: by hand on small texts, and by its laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.metrics.diversity import distinct, self_rouge

TEXTS = st.lists(st.text("ab 请c", max_size=12), max_size=8)


def test_distinct_by_hand() -> None:
    assert distinct(["a b a", "a b"], 1) == pytest.approx(2 / 5)
    assert distinct(["a b a", "a b"], 2) == pytest.approx(2 / 3)
    assert distinct(["请写诗"], 1) == 1
    assert distinct(["a"], 2) is None
    assert distinct([], 1) is None


def test_self_rouge_by_hand() -> None:
    assert self_rouge(["a b", "a b"]) == 1
    assert self_rouge(["a b", "a c"]) == pytest.approx(0.5)
    assert self_rouge(["a b", "c d", "a b"]) == pytest.approx(1 / 3)
    assert self_rouge(["a"]) is None


@given(texts=TEXTS)
def test_shares_are_shares_and_copies_are_not_diverse(texts: list[str]) -> None:
    for value in (distinct(texts, 1), distinct(texts, 2), self_rouge(texts)):
        assert value is None or 0 <= value <= 1
    once, twice = distinct(texts, 1), distinct(texts * 2, 1)
    if once is not None and twice is not None:
        assert twice == pytest.approx(once / 2)


def test_many_texts_are_sampled_the_same_way_each_time() -> None:
    texts = [f"word{number} word{number % 7}" for number in range(200)]
    assert self_rouge(texts) == self_rouge(texts)
    assert 0 < (self_rouge(texts) or 0) < 0.5
