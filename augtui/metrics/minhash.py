"""Near duplicates by the Jaccard similarity of their shingles, found by MinHash and locality-sensitive hashing.

Broder 1997 (https://doi.org/10.1109/SEQUEN.1997.666900); Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets",
chapter 3. Pairs that share a bucket are verified by their exact Jaccard similarity, so nothing is found that is not
there; a pair at the threshold is overlooked with a probability of at most `MISSED`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from augtui.metrics.token_table import Ints, TokenTable, offsets_of, ranges

PERMUTATIONS: Final = 128
MISSED: Final = 0.001
SHINGLE: Final = 3
"""Tokens in a shingle. Instructions are short: with the 5 or more that suit documents, one changed word of ten
would leave hardly anything in common."""
_SEED: Final = 20241122
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Shingles:
    """The distinct shingles of each row, as ascending 64-bit hashes."""

    hashes: NDArray[np.uint64]
    offsets: Ints

    def row(self, number: int) -> NDArray[np.uint64]:
        """Return the shingles of a row."""
        return self.hashes[self.offsets[number] : self.offsets[number + 1]]

    def jaccard(self, first: int, second: int) -> float:
        """Return the share of two rows' shingles that they have in common."""
        a, b = self.row(first), self.row(second)
        common = len(np.intersect1d(a, b, assume_unique=True))
        return common / (len(a) + len(b) - common)


def shingles(table: TokenTable, size: int = SHINGLE) -> Shingles:
    """Return the runs of `size` tokens of each row; a shorter row is one shingle, all of it. No row may be empty."""
    lengths = table.sizes
    counts = np.maximum(lengths - size + 1, 1)
    rows = np.repeat(np.arange(len(table), dtype=np.int64), counts)
    starts = ranges(table.offsets[:-1], counts)
    ends = table.offsets[1:][rows]
    hashes = np.zeros(len(starts), dtype=np.uint64)
    padded = np.append(table.ids, np.int32(0)).astype(np.uint64)
    for place in range(size):
        at = starts + place
        inside = at < ends
        token = np.where(inside, padded[np.where(inside, at, len(table.ids))] + np.uint64(1), np.uint64(0))
        hashes = mixed(hashes * np.uint64(0x9E3779B97F4A7C15) + token)
    order = np.lexsort((hashes, rows))
    rows, hashes = rows[order], hashes[order]
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (rows[1:] != rows[:-1]) | (hashes[1:] != hashes[:-1])
    return Shingles(hashes[new], offsets_of(np.bincount(rows[new], minlength=len(table))))


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return SplitMix64's finaliser of the values (https://doi.org/10.1145/2714064.2660195)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def rows_of_a_band(threshold: float) -> int:
    """Return the most rows a band may have if a pair at the threshold is to be missed no oftener than `MISSED`."""
    fitting = (rows for rows in range(PERMUTATIONS, 0, -1) if (1 - threshold**rows) ** (PERMUTATIONS // rows) <= MISSED)
    return next(fitting, 1)


def signatures(found: Shingles) -> NDArray[np.uint32]:
    """Return `PERMUTATIONS` minima of hash functions for each row, shape (rows, PERMUTATIONS)."""
    random = np.random.default_rng(_SEED)
    factors = random.integers(0, 2**63, PERMUTATIONS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    terms = random.integers(0, 2**63, PERMUTATIONS, dtype=np.uint64)
    rows = len(found.offsets) - 1
    minima = np.empty((rows, PERMUTATIONS), dtype=np.uint32)
    for start in range(0, rows, _CHUNK):
        stop = min(rows, start + _CHUNK)
        first, last = found.offsets[start], found.offsets[stop]
        hashes, begins = found.hashes[first:last], found.offsets[start:stop] - first
        for column, (factor, term) in enumerate(zip(factors, terms, strict=True)):
            values = ((hashes * factor + term) >> np.uint64(32)).astype(np.uint32)
            minima[start:stop, column] = np.minimum.reduceat(values, begins)
    return minima


def buckets(minima: NDArray[np.uint32], threshold: float) -> list[tuple[Ints, Ints]]:
    """Return for each band the rows that share a bucket with another one, and the number of their bucket."""
    size = rows_of_a_band(threshold)
    found = []
    for start in range(0, minima.shape[1] // size * size, size):
        keys = np.zeros(len(minima), dtype=np.uint64)
        for column in range(start, start + size):
            keys = mixed(keys * np.uint64(0x9E3779B97F4A7C15) + minima[:, column])
        _, number, usage = np.unique(keys, return_inverse=True, return_counts=True)
        shared = np.flatnonzero(usage[number] > 1)
        found.append((shared, number[shared]))
    return found
