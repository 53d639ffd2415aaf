"""Rows whose vectors point the same way, compared all with all, a block at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 512


def first_come(
    vectors: NDArray[np.float32], threshold: float, see: Callable[[int, int], None]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each row the earliest kept row whose cosine with it reaches the threshold (-1: none), and the cosine.

    A row is kept if there is none. `vectors` has a row for each text, shape (rows, dimensions), of any L2 norm; one of
    norm 0 is like nothing.
    """
    rows = len(vectors)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(norms > 0, norms, 1)
    kept = np.empty_like(unit)
    of = np.full(rows, -1, dtype=np.int64)
    cosine = np.zeros(rows, dtype=np.float32)
    numbers = np.empty(rows, dtype=np.int64)
    count = 0
    for start in range(0, rows, BLOCK):
        block = unit[start : start + BLOCK]
        before = block @ kept[:count].T
        within = block @ block.T
        known = count
        for place in range(len(block)):
            row = start + place
            hits = np.flatnonzero(before[place] >= threshold)
            if len(hits):
                of[row], cosine[row] = numbers[hits[0]], before[place, hits[0]]
                continue
            siblings = numbers[known:count] - start
            hits = np.flatnonzero(within[place, siblings] >= threshold)
            if len(hits):
                of[row], cosine[row] = numbers[known + hits[0]], within[place, siblings[hits[0]]]
                continue
            kept[count], numbers[count] = block[place], row
            count += 1
        see(min(rows, start + BLOCK), rows)
    return of, cosine
