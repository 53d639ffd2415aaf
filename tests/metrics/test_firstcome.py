"""The first accepted text that a new one is too like is the one that a plain loop finds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augtui.metrics.firstcome import FirstCome
from augtui.metrics.similarity import rouge_l

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "水", "火", "e5", "!"]), max_size=9).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=25), WORDS, st.sampled_from([0.3, 0.5, 0.7, 0.9, 1.0]))
def test_it_finds_what_a_plain_loop_finds(accepted: list[str], text: str, threshold: float) -> None:
    known = FirstCome(threshold)
    for other in accepted:
        known.add(other)
    assert len(known) == len(accepted)
    scores = [rouge_l(other, text) for other in accepted]
    expected = next(((place, score) for place, score in enumerate(scores) if score >= threshold - 1e-9), None)
    found = known.like(text)
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert found[0] == expected[0]
        assert found[1] == pytest.approx(expected[1])


def test_a_likeness_of_just_the_threshold_is_too_much() -> None:
    known = FirstCome(0.7)
    known.add("a b c d e f g x y z")
    assert known.like("a b c d e f g 1 2 3") == (0, pytest.approx(0.7))


def test_chinese_is_compared_by_characters() -> None:
    known = FirstCome(0.7)
    known.add("请写一首关于大海的诗。")
    assert known.like("请写一首关于大山的诗") is not None
    assert known.like("把这段话翻译成英文") is None


def test_more_tokens_than_there_are_characters_before_the_surrogates() -> None:
    known = FirstCome(0.7)
    for number in range(56_000):
        known._letter(f"w{number}")
    letters = {known._letter(f"w{number}") for number in range(56_000)}
    assert len(letters) == 56_000
    "".join(letters).encode()
