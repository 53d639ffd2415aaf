"""Which rows of tokens have a run of tokens in common with reference rows, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from augtui.metrics.minhash import mixed
from augtui.metrics.token_table import Ints, TokenTable, distinct, offsets_of, ranges

_FILTER_BITS: Final = 24
_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)
_WINDOWS: Final = 1 << 22
"""Runs of tokens that are looked up at a time."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A run of tokens that stands in a row and in a reference row."""

    row: int
    start: int
    """Where it begins in the row, in tokens."""
    size: int
    reference: int


@dataclass(frozen=True, slots=True)
class _Runs:
    """The runs of one size in the reference, by their hashes."""

    size: int
    hashes: NDArray[np.uint64]
    """Ascending."""
    rows: Ints
    """The first reference row that has it."""
    starts: Ints
    """Where it begins in all of the reference's tokens."""
    seen: NDArray[np.bool_]
    """Which beginnings of hashes occur: most runs of other rows are told off by this alone."""


class RunIndex:
    """The runs of `size` tokens of reference rows; of a shorter row, all of it, if it has `least` tokens or more.

    A run of more than `common` different reference rows is left out: a template, which says nothing of a row.
    """

    def __init__(self, reference: TokenTable, size: int, least: int, common: int) -> None:
        """Index the rows of `reference`."""
        self._reference = reference
        self.templates = 0
        """How many runs were left out because they are common."""
        sizes = reference.sizes
        different = np.zeros(len(reference), dtype=bool)
        different[distinct(reference)[0]] = True
        self._runs = [self._indexed(np.flatnonzero(different & (sizes >= size)), size, common)]
        for shorter in range(min(least, size), size):
            rows = np.flatnonzero(different & (sizes == shorter))
            if len(rows):
                self._runs.append(self._indexed(rows, shorter, common))

    def _indexed(self, rows: Ints, size: int, common: int) -> _Runs:
        counts = self._reference.sizes[rows] - size + 1
        starts = ranges(self._reference.offsets[:-1][rows], counts)
        owners = np.repeat(rows, counts)
        hashes = _hashes(self._reference, starts, size)
        order = np.lexsort((owners, hashes))
        hashes, owners, starts = hashes[order], owners[order], starts[order]
        new = np.flatnonzero(_differs(hashes))
        users = np.add.reduceat(_differs(hashes) | _differs(owners), new) if len(new) else new
        kept = new[users <= common]
        self.templates += len(new) - len(kept)
        seen = np.zeros(1 << _FILTER_BITS, dtype=bool)
        seen[_beginnings(hashes[kept])] = True
        return _Runs(size, hashes[kept], owners[kept], starts[kept], seen)

    def hits(self, table: TokenTable) -> list[Hit]:
        """Return for each row and reference row that have runs in common the first of these, in order."""
        found: dict[tuple[int, int], Hit] = {}
        for runs in self._runs:
            if not len(runs.hashes):
                continue
            counts = np.maximum(table.sizes - runs.size + 1, 0)
            before = offsets_of(counts)
            start = 0
            while start < len(table):
                stop = int(np.searchsorted(before, before[start] + _WINDOWS, side="right")) - 1
                stop = min(len(table), max(start + 1, stop))
                self._look_up(table, runs, start, counts[start:stop], found)
                start = stop
        return [found[key] for key in sorted(found)]

    def _look_up(
        self, table: TokenTable, runs: _Runs, first: int, counts: Ints, found: dict[tuple[int, int], Hit]
    ) -> None:
        starts = ranges(table.offsets[first : first + len(counts)], counts)
        hashes = _hashes(table, starts, runs.size)
        likely = np.flatnonzero(runs.seen[_beginnings(hashes)])
        place = np.searchsorted(runs.hashes, hashes[likely])
        place[place == len(runs.hashes)] = 0
        equal = runs.hashes[place] == hashes[likely]
        rows = np.repeat(np.arange(first, first + len(counts)), counts)
        for at, entry in zip(likely[equal].tolist(), place[equal].tolist(), strict=True):
            row, reference = int(rows[at]), int(runs.rows[entry])
            ours, theirs = int(starts[at]), int(runs.starts[entry])
            if (row, reference) in found or not np.array_equal(
                table.ids[ours : ours + runs.size], self._reference.ids[theirs : theirs + runs.size]
            ):
                continue
            found[row, reference] = Hit(row, ours - int(table.offsets[row]), runs.size, reference)


def _differs(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return where a value differs from the one before it."""
    new = np.ones(len(values), dtype=bool)
    new[1:] = values[1:] != values[:-1]
    return new


def _beginnings(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return hashes >> np.uint64(64 - _FILTER_BITS)


def _hashes(table: TokenTable, starts: Ints, size: int) -> NDArray[np.uint64]:
    """Return a hash of the `size` tokens from each start on."""
    hashes = np.zeros(len(starts), dtype=np.uint64)
    for place in range(size):
        hashes = mixed(hashes * _FACTOR + table.ids[starts + place].astype(np.uint64) + np.uint64(1))
    return hashes
