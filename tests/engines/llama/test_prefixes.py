"""The prefixes in the cache: found, shared, kept and dropped, against a cache that counts its cells."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from augtui.engines.llama.prefixes import LEAST_GAIN, Prefix, Prefixes, tokens_in_common, worthwhile


class CountingCells:
    """A cache whose cells know which sequences stand on them, as llama.cpp's unified cache does."""

    def __init__(self) -> None:
        self.cells: list[tuple[int, int, set[int]]] = []
        """(position, token, sequences)"""

    def compute(self, sequence: int, tokens: list[int], begin: int) -> None:
        self.cells += [(place, tokens[place], {sequence}) for place in range(begin, len(tokens))]

    def text(self, sequence: int) -> list[int]:
        return [token for _, token, owners in sorted(self.cells, key=lambda cell: cell[0]) if sequence in owners]

    def share(self, source: int, target: int, length: int) -> None:
        for place, _, owners in self.cells:
            if source in owners and place < length:
                owners.add(target)

    def forget(self, sequence: int) -> None:
        for _, _, owners in self.cells:
            owners.discard(sequence)
        self.cells = [cell for cell in self.cells if cell[2]]


PROMPT = st.lists(st.integers(0, 2), min_size=2, max_size=40)


@settings(max_examples=200, deadline=None)
@given(prompts=st.lists(PROMPT, min_size=1, max_size=12), places=st.integers(1, 3), data=st.data())
def test_every_cell_is_counted_once_and_every_sequence_holds_its_prompt(
    prompts: list[list[int]], places: int, data: st.DataObject
) -> None:
    cells = CountingCells()
    prefixes = Prefixes(cells, range(100, 100 + places))
    under_way: list[tuple[int, list[int], Prefix | None, int]] = []
    for number, prompt in enumerate(prompts):
        if under_way and data.draw(st.booleans()):
            sequence, _, prefix, _ = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
            cells.forget(sequence)
            if prefix is not None:
                prefixes.leave(prefix)
        if data.draw(st.booleans()):
            prefixes.drop_one()
        prefix, shared = prefixes.find(prompt, None, len(prompt) - 1)
        assert shared < len(prompt)
        if prefix is not None:
            prefixes.begin(prefix, number, shared)
        cells.compute(number, prompt, shared)
        own = len(prompt) - shared
        length = data.draw(st.integers(0, len(prompt)))
        if length > shared and (kept := prefixes.keep(number, prompt[:length], None, prefix, length - shared)):
            if prefix is not None:
                prefixes.leave(prefix)
            kept.users += 1
            prefix, own = kept, len(prompt) - length
        under_way.append((number, prompt, prefix, own))
        for sequence, tokens, _, _ in under_way:
            assert cells.text(sequence) == tokens
        assert prefixes.held + sum(entry[3] for entry in under_way) == len(cells.cells)
    for sequence, _, prefix, _ in under_way:
        cells.forget(sequence)
        if prefix is not None:
            prefixes.leave(prefix)
    while prefixes.drop_one():
        pass
    assert prefixes.held == len(cells.cells) == 0


def test_a_prefix_of_another_adapter_is_not_found() -> None:
    cells = CountingCells()
    prefixes = Prefixes(cells, [9])
    cells.compute(0, [1] * 20, 0)
    prefixes.keep(0, [1] * 20, "refine", None, 20)
    assert prefixes.find([1] * 30, None, 29) == (None, 0)
    assert prefixes.find([1] * 30, "refine", 29)[1] == 20
    assert prefixes.find([1] * 30, "refine", 7)[1] == 7


def test_the_prefix_not_used_for_longest_makes_room() -> None:
    cells = CountingCells()
    prefixes = Prefixes(cells, [8, 9])
    for number, token in enumerate((1, 2)):
        cells.compute(number, [token] * 20, 0)
        prefixes.keep(number, [token] * 20, None, None, 20)
    first = prefixes.find([1] * 21, None, 20)[0]
    assert first is not None
    prefixes.begin(first, 3, 20)
    prefixes.leave(first)
    cells.compute(4, [3] * 20, 0)
    prefixes.keep(4, [3] * 20, None, None, 20)
    assert prefixes.find([1] * 21, None, 20)[1] == 20
    assert prefixes.find([2] * 21, None, 20)[1] == 0


@given(tokens=PROMPT, others=st.lists(PROMPT, max_size=6), known=st.integers(0, 20))
def test_what_is_kept_saves_enough_and_nothing_longer_would(
    tokens: list[int], others: list[list[int]], known: int
) -> None:
    sharable = [(other, min(len(other), len(tokens)) - 1) for other in others]
    lengths = worthwhile(tokens, sharable, known)
    useful = [min(tokens_in_common(tokens, other), len(tokens) - 1, len(other) - 1) for other in others]
    assert lengths == sorted(lengths)
    assert all(length - known >= LEAST_GAIN and length in useful for length in lengths)
    assert not lengths or lengths[-1] == max(useful)
    assert lengths or all(length - known < LEAST_GAIN for length in useful)
