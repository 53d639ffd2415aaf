"""Loops are seen, and what only resembles one is left alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from augtui.engines.loops import LEAST_TOKENS, LONGEST_PERIOD, REPEATS, loops

PIECES = st.lists(st.integers(0, 5), min_size=1, max_size=LONGEST_PERIOD)


@given(st.lists(st.integers(0, 5), max_size=50), PIECES)
def test_a_piece_repeated_to_the_end_is_a_loop(start: list[int], piece: list[int]) -> None:
    times = max(REPEATS, -(-LEAST_TOKENS // len(piece)))
    assert loops(start + piece * times)


@given(st.lists(st.integers(0, 10**6), max_size=300, unique=True))
def test_different_tokens_are_no_loop(tokens: list[int]) -> None:
    assert not loops(tokens)


@given(PIECES)
def test_a_loop_that_was_left_is_none(piece: list[int]) -> None:
    assert not loops(piece * 20 + [99])


def test_a_few_repeats_are_no_loop() -> None:
    assert not loops([1, 2, 3] * 10)
    assert not loops(list(range(30)) * 3)
    assert loops(list(range(30)) * 4)
    assert loops([7] * LEAST_TOKENS)
    assert not loops([7] * (LEAST_TOKENS - 1))
