"""Splits that never part relatives: rows of one family, and rows with one instruction, stay on one side."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from augtui.errors import UsageError
from augtui.pipelines.exports.rows import TrainingRow

MOST: Final = 0.5
"""The largest share of a validation set."""


class Kinship:
    """Families that grow together: two keys of one row, such as its family and its instruction, are one family."""

    def __init__(self) -> None:
        """Begin with no rows."""
        self._of_key: dict[int, int] = {}
        self._parents: list[int] = []
        self.rows: list[int] = []
        """A family's number for each row, as it was when the row came; `groups` brings them up to date."""

    def add(self, *keys: str) -> None:
        """Take a row that belongs to the families of all its keys."""
        # Hashes of 64 bits instead of the texts: two that are equal by chance only join two families.
        known = [self._of_key[number] for number in (hash(key) for key in keys) if number in self._of_key]
        if known:
            top = self._root(known[0])
            for other in known[1:]:
                root = self._root(other)
                low, high = min(top, root), max(top, root)
                self._parents[high] = low
                top = low
        else:
            top = len(self._parents)
            self._parents.append(top)
        for key in keys:
            self._of_key[hash(key)] = top
        self.rows.append(top)

    def groups(self) -> list[int]:
        """Return a number for each row, in order; relatives have the same one: that of the family's first row."""
        return [self._root(number) for number in self.rows]

    def _root(self, number: int) -> int:
        while (parent := self._parents[number]) != number:
            self._parents[number] = self._parents[parent]
            number = parent
        return number


def instruction_key(instruction: str) -> str:
    """Return what equal instructions have in common, whatever their case, their width and their spaces."""
    return "i:" + " ".join(unicodedata.normalize("NFKC", instruction).casefold().split())


def keys(row: TrainingRow) -> list[str]:
    """Return what a row shares with its relatives: its family, its instruction, how its conversation began."""
    found = [f"f:{row.family or row.id}", instruction_key(row.instruction)]
    if row.history:
        found.append(instruction_key(row.history[0][0]))
    return found


def assign(families: Iterable[str], share: float, seed: int = 42) -> list[bool]:
    """Return for each row whether it goes to the validation set: rows of one family go together; see `choose`."""
    kinship = Kinship()
    for family in families:
        kinship.add(family)
    return choose(kinship.groups(), share, seed)


def choose(groups: Sequence[int], share: float, seed: int) -> list[bool]:
    """Return which rows make a validation set of `share` of all, as near as whole families allow, and never more.

    Families come in an order that the seed alone decides; one that would make the set too large is passed over. So
    the set falls short of its share by less than the smallest family that was passed over. Raises UsageError.
    """
    if not 0 < share <= MOST:
        raise UsageError(f"a validation share of {share} makes no sense", hint=f"above 0 and at most {MOST}")
    sizes: dict[int, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    order = list(sizes)
    random.Random(seed).shuffle(order)
    room = round(share * len(groups))
    chosen: set[int] = set()
    for group in order:
        if sizes[group] <= room:
            chosen.add(group)
            room -= sizes[group]
            if not room:
                break
    return [group in chosen for group in groups]
