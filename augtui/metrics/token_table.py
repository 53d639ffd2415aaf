"""Texts as sequences of token numbers, side by side in one array."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from augtui.metrics.similarity import tokenized

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TokenTable:
    """Rows of tokens: row i is `ids[offsets[i] : offsets[i + 1]]`."""

    ids: NDArray[np.int32]
    offsets: Ints
    """One more than there are rows; the first is 0."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.offsets) - 1

    @property
    def sizes(self) -> Ints:
        """Return the number of tokens of each row."""
        return np.diff(self.offsets)

    def row(self, number: int) -> NDArray[np.int32]:
        """Return the tokens of a row."""
        return self.ids[self.offsets[number] : self.offsets[number + 1]]

    def chosen(self, rows: Ints) -> TokenTable:
        """Return a table of these rows, in this order."""
        sizes = self.sizes[rows]
        return TokenTable(self.ids[ranges(self.offsets[rows], sizes)], offsets_of(sizes))


def offsets_of(sizes: NDArray[np.integer] | NDArray[np.bool_]) -> Ints:
    """Return where rows of these sizes begin, and where the last one ends."""
    offsets = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def ranges(starts: NDArray[np.integer], sizes: NDArray[np.integer]) -> Ints:
    """Return the numbers starts[0] … starts[0] + sizes[0] - 1, then those of the next range, and so on."""
    ends = np.cumsum(sizes, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - sizes), sizes) + np.arange(total, dtype=np.int64)


class Numbering:
    """Gives every token a number, the same one in all tables that it makes."""

    def __init__(self) -> None:
        """Start without tokens."""
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__

    @property
    def words(self) -> list[str]:
        """Return the tokens by their numbers."""
        return list(self._numbers)

    def builder(self) -> Builder:
        """Return an empty table that texts are added to one by one."""
        return Builder(self._numbers)

    def table(self, texts: Iterable[str]) -> TokenTable:
        """Return the texts as a table; see `Builder.add`."""
        builder = self.builder()
        for text in texts:
            builder.add(text)
        return builder.table()


class Builder:
    """A table in the making."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        """Start without rows; `numbers` gives every token's number."""
        self._number = numbers.__getitem__
        self._ids, self._offsets = array("i"), array("q", [0])

    def add(self, text: str) -> None:
        """Add a text's tokens as `augtui.metrics.similarity` finds them.

        A text without any token is one token, itself, since such texts are alike only if they are equal.
        """
        self._ids.extend(map(self._number, tokenized(text) or (f"\0{text.strip()}",)))
        self._offsets.append(len(self._ids))

    def table(self) -> TokenTable:
        """Return the table; nothing can be added any more."""
        ids = np.frombuffer(self._ids, dtype=np.int32) if self._ids else np.zeros(0, np.int32)
        return TokenTable(ids, np.frombuffer(self._offsets, dtype=np.int64))


def joined(first: TokenTable, second: TokenTable) -> TokenTable:
    """Return the rows of one table, then those of another."""
    offsets = np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]])
    return TokenTable(np.concatenate([first.ids, second.ids]), offsets)


def distinct(table: TokenTable) -> tuple[Ints, Ints]:
    """Return the first row of each distinct sequence, in order, and for every row the place of its sequence there."""
    firsts: list[int] = []
    places = np.empty(len(table), dtype=np.int64)
    known: dict[bytes, int] = {}
    data, offsets = table.ids.tobytes(), (table.offsets * table.ids.itemsize).tolist()
    for number in range(len(table)):
        key = data[offsets[number] : offsets[number + 1]]
        place = known.setdefault(key, len(firsts))
        if place == len(firsts):
            firsts.append(number)
        places[number] = place
    return np.array(firsts, dtype=np.int64), places
