"""All pairs of texts whose ROUGE-L F1 reaches a threshold, exactly, without comparing all pairs.

With m and n tokens and LCS the length of their longest common subsequence, F1 = 2 LCS / (m + n) (Lin 2004,
https://aclanthology.org/W04-1013), so a pair reaches the threshold t if and only if LCS >= ceil(t (m + n) / 2).
Two texts have at least as many tokens in common (as multisets) as their LCS is long. Nothing that has enough of them is
ever left out; what has not is left out by, in this order:

1. Prefixes (Chaudhuri, Ganti, Kaushik 2006, https://doi.org/10.1109/ICDE.2006.9): with every text's tokens sorted by
   how rare they are, two texts that share `need` tokens share one among the first m - need + 1 and n - need + 1.
2. Positions (Xiao, Wang, Lin, Yu 2008, PPJoin, https://doi.org/10.1145/1367497.1367516): the first token in common, at
   places i and j of the sorted texts, leaves at most min(m - i, n - j) in common. That bounds the lengths too.
3. Signatures: each token sets one bit of a word; a bit that is set in one text alone is a token, at least, that the
   other text has not.

What is left is measured: rapidfuzz's bit-parallel LCS (Hyyrö 2004) of the token numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import LCSseq

from augtui.metrics.token_table import Ints, TokenTable, offsets_of, ranges

BLOCK_ROWS: Final = 2048
BLOCK_ENTRIES: Final = 1 << 21
"""A block of rows ends where more entries than this would have to be looked at; it bounds the memory."""
CROWDED: Final = 16
"""So many matches a row, and the next block has half as many rows, down to `LEAST_ROWS`."""
LEAST_ROWS: Final = 64
MEASURED_AT_ONCE: Final = 1 << 18
"""Pairs in one call to rapidfuzz."""
COMPACT_SHARE: Final = 0.25
"""Rows that were dropped leave the index once they are this share of it."""
_CODE_POINTS: Final = 0x110000


@dataclass(frozen=True, slots=True)
class Matches:
    """The pairs of a block: row `first[k]` is like the earlier (or reference) row `second[k]`."""

    start: int
    stop: int
    """The block is rows start … stop - 1."""
    first: Ints
    """In ascending order."""
    second: Ints
    """In ascending order for each `first`."""
    lcs: Ints
    """Tokens in their longest common subsequence."""


def needed(threshold: float, longest: int) -> Ints:
    """Return for m + n = 0 … `longest` the shortest LCS with which 2 LCS / (m + n) reaches the threshold.

    The threshold is the decimal number as it is written: 0.7 is 7/10, so a pair at exactly 0.7 reaches it.
    """
    exact = Fraction(str(threshold))
    top, bottom = exact.numerator, 2 * exact.denominator
    return np.array([max(1, -(-top * total // bottom)) for total in range(longest + 1)], dtype=np.int64)


class RougeJoin:
    """Finds the pairs block by block, so that a row which the caller drops is never compared again."""

    def __init__(self, table: TokenTable, threshold: float, reference: int | None = None, *, workers: int = 2) -> None:
        """Index the rows of `table` (no row without tokens), which are compared with all earlier rows.

        With `reference`, the first so many rows are what all others, and only they, are compared with.
        """
        if not 0 < threshold <= 1:
            raise ValueError(f"a threshold is above 0 and at most 1, not {threshold}")
        self._table = table
        self._first_query = 0 if reference is None else reference
        self._indexed = len(table) if reference is None else reference
        self._workers = workers
        self._sizes = table.sizes
        self._need = needed(threshold, 2 * int(self._sizes.max(initial=0)))
        self.alive = np.ones(len(table), dtype=bool)
        """The caller sets this to False for rows that later ones need not be compared with."""
        grams = _grams(table)
        self._signatures = _signatures(grams, table.offsets)
        self._strings: list[Any] = _strings(table)
        self._index(grams)

    @property
    def rows(self) -> tuple[int, int]:
        """Return the first and the last row (exclusive) that are compared with others."""
        return self._first_query, len(self._table)

    def _index(self, grams: NDArray[np.int32]) -> None:
        """Make the inverted index of the prefixes, and what each row has to look up in it."""
        lengths = self._prefix_lengths()
        within = ranges(self._table.offsets[:-1], lengths)
        rows = np.repeat(np.arange(len(self._table), dtype=np.int32), lengths)
        left = np.repeat(self._sizes, lengths) - ranges(np.zeros_like(lengths), lengths)
        gram = grams[within]
        order = np.argsort(gram, kind="stable")  # by gram, then by row
        gram, sorted_rows = gram[order], rows[order]
        indexed = sorted_rows < self._indexed
        before = offsets_of(indexed)
        new = np.flatnonzero(np.diff(gram, prepend=-1))
        begin = np.repeat(before[new], np.diff(new, append=len(gram)))
        self._starts, self._ends = np.empty_like(before[:-1]), np.empty_like(before[:-1])
        self._starts[order], self._ends[order] = begin, before[:-1]
        self._left = left.astype(np.int32)
        self._offsets = offsets_of(lengths)
        kept = order[indexed]
        self._posted_row, self._posted_left = rows[kept], self._left[kept]
        self._posted_size = self._sizes[self._posted_row].astype(np.int32)

    def _prefix_lengths(self) -> Ints:
        lengths = np.zeros(len(self._need) // 2 + 1, dtype=np.int64)
        for size in np.unique(self._sizes).tolist():
            other = 1
            low, high = 1, size  # the shortest text that may reach the threshold together with this one
            while low < high:
                other = (low + high) // 2
                low, high = (low, other) if self._need[size + other] <= other else (other + 1, high)
            lengths[size] = size - self._need[size + low] + 1
        return lengths[self._sizes]

    def blocks(self) -> Iterator[Matches]:
        """Yield the pairs of all rows, block by block; those with rows that are not `alive` may be missing."""
        start, stop = self.rows
        gone, most = 0, BLOCK_ROWS
        while start < stop:
            dead = int(np.count_nonzero(~self.alive[: min(start, self._indexed)]))
            if dead - gone > COMPACT_SHARE * (start - gone):
                self._compact()
                gone = dead
            end = self._block_end(start, min(stop, start + most))
            matches = self._matches(start, end)
            # Where many rows are alike most are going to be dropped: a shorter block compares fewer of those.
            crowded = len(matches.first) > CROWDED * (end - start)
            most = max(LEAST_ROWS, most // 2) if crowded else min(BLOCK_ROWS, most * 2)
            yield matches
            start = end

    def _block_end(self, start: int, stop: int) -> int:
        first, last = self._offsets[start], self._offsets[stop]
        entries = offsets_of(self._ends[first:last] - self._starts[first:last])
        by_row = entries[self._offsets[start : stop + 1] - first]
        return max(start + 1, start + int(np.searchsorted(by_row, BLOCK_ENTRIES, side="right")) - 1)

    def _compact(self) -> None:
        living = self.alive[self._posted_row]
        before = offsets_of(living)
        self._starts, self._ends = before[self._starts], before[self._ends]
        self._posted_row, self._posted_left = self._posted_row[living], self._posted_left[living]
        self._posted_size = self._posted_size[living]

    def _matches(self, start: int, stop: int) -> Matches:
        first, second = self._candidates(start, stop)
        need = self._need[self._sizes[first] + self._sizes[second]]
        lcs = self._measured(first, second)
        enough = lcs >= need
        return Matches(start, stop, first[enough], second[enough], lcs[enough])

    def _candidates(self, start: int, stop: int) -> tuple[Ints, Ints]:
        looked_up = slice(int(self._offsets[start]), int(self._offsets[stop]))
        starts = self._starts[looked_up]
        counts = self._ends[looked_up] - starts
        posted = ranges(starts, counts)
        lengths = np.diff(self._offsets[start : stop + 1])
        sizes = np.repeat(np.repeat(self._sizes[start:stop].astype(np.int32), lengths), counts)
        need = self._need[sizes + self._posted_size[posted]]
        most = np.minimum(np.repeat(self._left[looked_up], counts), self._posted_left[posted])
        chosen = np.flatnonzero(need <= most)
        first = np.repeat(np.repeat(np.arange(start, stop, dtype=np.int64), lengths), counts)[chosen]
        second = self._posted_row[posted[chosen]].astype(np.int64)
        chosen = np.flatnonzero(self.alive[second])
        pairs = np.unique(first[chosen] * len(self._table) + second[chosen])
        first, second = np.divmod(pairs, len(self._table))
        chosen = np.flatnonzero(self._may_match(first, second))
        return first[chosen], second[chosen]

    def _may_match(self, first: Ints, second: Ints) -> NDArray[np.bool_]:
        sizes, others = self._sizes[first], self._sizes[second]
        need = self._need[sizes + others]
        lacking, extra = np.zeros(len(first), np.int64), np.zeros(len(first), np.int64)
        for words in self._signatures:
            ours, theirs = words[first], words[second]
            lacking += np.bitwise_count(ours & ~theirs)
            extra += np.bitwise_count(theirs & ~ours)
        enough: NDArray[np.bool_] = np.minimum(sizes - lacking, others - extra) >= need
        return enough

    def _measured(self, first: Ints, second: Ints) -> Ints:
        lcs = np.empty(len(first), dtype=np.int64)
        strings = self._strings
        for at in range(0, len(first), MEASURED_AT_ONCE):
            part = slice(at, at + MEASURED_AT_ONCE)
            lcs[part] = process.cpdist(
                [strings[row] for row in first[part].tolist()],
                [strings[row] for row in second[part].tolist()],
                scorer=LCSseq.similarity,
                dtype=np.int32,
                workers=self._workers,
            )
        return lcs


def _grams(table: TokenTable) -> NDArray[np.int32]:
    """Return each row's tokens as numbers of their own by rarity, ascending: the second "a" is not the first one."""
    rows = np.repeat(np.arange(len(table), dtype=np.int32), table.sizes)
    order = np.lexsort((table.ids, rows))
    ids = table.ids[order].astype(np.int64)
    new = np.flatnonzero((np.diff(ids, prepend=-1) != 0) | (np.diff(rows, prepend=-1) != 0))
    counts = np.diff(new, append=len(ids))
    occurrence = ranges(np.zeros_like(counts), counts)
    codes = ids * (int(occurrence.max(initial=0)) + 1) + occurrence
    _, place, usage = np.unique(codes, return_inverse=True, return_counts=True)
    rarity = np.empty(len(usage), dtype=np.int32)
    rarity[np.argsort(usage, kind="stable")] = np.arange(len(usage), dtype=np.int32)
    grams = rarity[place]
    return grams[np.lexsort((grams, rows))]


def _signatures(grams: NDArray[np.int32], offsets: Ints) -> list[NDArray[np.uint64]]:
    """Return words of 64 bits a row, about four bits for each token of a usual row."""
    rows = len(offsets) - 1
    usual = len(grams) / max(1, rows)
    count = int(min(16, max(2, 2 ** np.ceil(np.log2(max(1.0, usual * 4 / 64))))))
    mixed = grams.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)
    word = mixed % np.uint64(count)
    bit = np.uint64(1) << (mixed // np.uint64(count) % np.uint64(64))
    return [
        np.bitwise_or.reduceat(np.where(word == number, bit, np.uint64(0)), offsets[:-1]) for number in range(count)
    ]


def _strings(table: TokenTable) -> list[Any]:
    """Return each row as a string of one character a token, which rapidfuzz compares fastest.

    A token of a single row is in no common subsequence, so it is left out.
    """
    rows = np.repeat(np.arange(len(table), dtype=np.int64), table.sizes)
    size = int(table.ids.max(initial=-1)) + 1
    first, last = np.full(size, len(table), np.int64), np.full(size, -1, np.int64)
    np.minimum.at(first, table.ids, rows)
    np.maximum.at(last, table.ids, rows)
    shared = first < last
    numbers = np.cumsum(shared, dtype=np.int64)
    kept = shared[table.ids]
    letters = numbers[table.ids[kept]].astype(np.uint32)
    offsets = offsets_of(kept)[table.offsets].tolist()
    if size and int(numbers[-1]) >= _CODE_POINTS:
        return [letters[begin:end].tolist() for begin, end in pairwise(offsets)]
    text = letters.tobytes().decode("utf-32-le", "surrogatepass")
    return [text[begin:end] for begin, end in pairwise(offsets)]
