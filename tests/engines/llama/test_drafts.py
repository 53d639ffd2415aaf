"""Prompt lookup, and the arithmetic that decides whether to use it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.engines.llama.drafts import SHORTEST_NGRAM, PromptLookup
from augtui.engines.llama.pace import Chance, StepCost, draft_lengths


def test_what_followed_the_same_words_before_is_proposed() -> None:
    lookup = PromptLookup([1, 2, 3, 4, 5, 6])
    assert lookup.propose(4) == ([], 0)
    for token in (9, 2, 3):
        lookup.append(token)
    assert lookup.propose(2) == ([4, 5], 2)
    lookup.append(4)
    assert lookup.propose(8) == ([5, 6, 9, 2, 3, 4], 3)


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 8))
def test_a_proposal_stands_in_the_text_after_its_present_end(tokens: list[int], most: int) -> None:
    draft, size = PromptLookup(tokens).propose(most)
    assert len(draft) <= most
    if size:
        assert size >= SHORTEST_NGRAM
        needle = tokens[-size:] + draft
        assert any(tokens[place : place + len(needle)] == needle for place in range(len(tokens)))
    else:
        end = tuple(tokens[-SHORTEST_NGRAM:])
        earlier = [tuple(tokens[place : place + SHORTEST_NGRAM]) for place in range(len(tokens) - SHORTEST_NGRAM)]
        assert len(tokens) < SHORTEST_NGRAM or end not in earlier


def test_the_cost_of_steps_is_learnt_from_their_times() -> None:
    cost = StepCost()
    assert cost.line() is None
    draw = random.Random(3)
    for _ in range(300):
        tokens = draw.randint(1, 40)
        cost.observe(tokens, (10 + 2 * tokens) * draw.uniform(0.95, 1.05))
    line = cost.line()
    assert line is not None
    assert line[0] == pytest.approx(10, rel=0.2)
    assert line[1] == pytest.approx(2, rel=0.1)


def test_steps_of_one_size_leave_it_to_the_prior_which_adds_up() -> None:
    cost = StepCost()
    for _ in range(50):
        cost.observe(4, 8.0)
    line = cost.line()
    assert line is not None
    fixed, each = line
    assert fixed + 4 * each == pytest.approx(8.0)
    assert fixed > 0 < each


def test_drafts_are_taken_where_a_step_costs_little_more_and_not_where_it_does() -> None:
    # A step of one token takes 10 ms and each further one 1 ms: nearly certain tokens pay.
    assert draft_lengths([16], [0.9], 1, 1, (9, 1), 31)[0] > 4
    # With 32 sequences a further token takes as long as one of the others: only certain ones would pay.
    assert draft_lengths([16] * 32, [0.9] * 32, 32, 32, (0.5, 1), 31) == [0] * 32
    # An unlikely one never pays.
    assert draft_lengths([16], [0.05], 1, 1, (9, 1), 31) == [0]
    assert sum(draft_lengths([16, 16], [0.99, 0.99], 2, 2, (50, 1), 5)) == 5
    assert draft_lengths([3], [0.99], 1, 1, (50, 1), -1) == [0]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0.05, 0.99)), min_size=1, max_size=3),
    st.floats(0.1, 20),
    st.floats(0.1, 5),
)
def test_no_other_choice_yields_more_tokens_a_second(
    sequences: list[tuple[int, float]], fixed: float, each: float
) -> None:
    import itertools

    proposals, chances = [length for length, _ in sequences], [chance for _, chance in sequences]
    count = len(sequences)

    def rate(lengths: tuple[int, ...]) -> float:
        expected = count + sum(
            chance**place for chance, length in zip(chances, lengths, strict=True) for place in range(1, length + 1)
        )
        return expected / (fixed + each * (count + sum(lengths)))

    chosen = draft_lengths(proposals, chances, count, count, (fixed, each), 100)
    best = max(rate(lengths) for lengths in itertools.product(*(range(most + 1) for most in proposals)))
    assert rate(tuple(chosen)) == pytest.approx(best, rel=1e-9)


def test_chances_follow_what_was_seen() -> None:
    chance = Chance(4)
    before = chance.of(2)
    for _ in range(30):
        chance.observe(2, 0, refuted=True)
        chance.observe(4, 8, refuted=False)
    assert chance.of(2) < 0.2 < before
    assert chance.of(4) > 0.95
    assert chance.of(3) == before
