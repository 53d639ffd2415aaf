"""Whatever order answers come in, the same ones are accepted: those that a plain loop in order accepts."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from augtui.metrics.similarity import rouge_l
from augtui.pipelines.precedence import Turns

TEXTS = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f"]), min_size=1, max_size=6).map(" ".join)
LIMIT = 0.7


def in_order(tries: list[list[str]], earlier: dict[int, str]) -> dict[int, tuple[int, str]]:
    """The plain loop: (number of the try, text) accepted at each position."""
    known: list[str] = []
    accepted: dict[int, tuple[int, str]] = {}
    for position in range(len(tries)):
        if position in earlier:
            known.append(earlier[position])
            continue
        for number, text in enumerate(tries[position]):
            if all(rouge_l(other, text) < LIMIT for other in known):
                accepted[position] = number, text
                known.append(text)
                break
    return accepted


def taken_in(tries: list[list[str]], earlier: dict[int, str], draw: random.Random) -> dict[int, tuple[int, str]]:
    """Offer the same texts in a random order, a position's next try after its last one was rejected."""
    turns: Turns[tuple[int, int]] = Turns(LIMIT, sorted(earlier.items()))
    under_way: list[tuple[int, int]] = []
    accepted: dict[int, tuple[int, str]] = {}

    def again(position: int, number: int) -> None:
        if number < len(tries[position]):
            under_way.append((position, number))
        else:
            turns.close(position)

    waiting = [position for position in range(len(tries)) if position not in earlier]
    while waiting or under_way:
        if waiting and (not under_way or draw.random() < 0.3):
            position = waiting.pop(0)
            turns.expect(position)
            under_way.append((position, 0))
            continue
        position, number = under_way.pop(draw.randrange(len(under_way)))
        if turns.offer(position, tries[position][number], (position, number)) is not None:
            again(position, number + 1)
        for ruling in turns.rulings():
            place, tried = ruling.candidate
            if ruling.reason is None:
                accepted[place] = tried, tries[place][tried]
            else:
                again(place, tried + 1)
    assert not any(turns.waits(position) for position in range(len(tries)))
    return accepted


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(TEXTS, min_size=1, max_size=3), max_size=12),
    st.dictionaries(st.integers(0, 11), TEXTS, max_size=3),
    st.integers(0, 10_000),
)
def test_the_accepted_ones_do_not_depend_on_the_order_of_arrival(
    tries: list[list[str]], earlier: dict[int, str], seed: int
) -> None:
    earlier = {position: text for position, text in earlier.items() if position < len(tries)}
    assert taken_in(tries, earlier, random.Random(seed)) == in_order(tries, earlier)
