"""The nearest neighbours of each vector, looked for in the cells nearby (an inverted file, Jégou et al. 2011)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from augtui.pipelines.decisions import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXACT: Final = 4_000
"""Up to so many vectors each is compared with all others."""
CELL: Final = 400
"""Vectors in a cell, on average."""
PROBED: Final = 12
"""Cells that a vector is compared with."""
BLOCK: Final = 512


def nearest(
    vectors: NDArray[np.float32], count: int, seed: int, see: Progress
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return places and likeness (cosine) of each vector's nearest others, the nearest first, shape (n, count).

    Vectors have length 1. Beyond `EXACT` vectors the search is approximate, and always the same.
    """
    import numpy as np

    size = len(vectors)
    count = min(count, size - 1)
    places = np.zeros((size, count), dtype=np.int32)
    likeness = np.zeros((size, count), dtype=np.float32)
    if count < 1:
        return places, likeness
    done = 0
    for rows, others in _groups(vectors, count, seed):
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            found = vectors[block] @ vectors[others].T
            found[others[None, :] == block[:, None]] = -2.0  # itself
            best = np.argpartition(found, len(others) - count, axis=1)[:, len(others) - count :]
            values = np.take_along_axis(found, best, axis=1)
            order = np.lexsort((others[best], -values), axis=1)
            places[block] = np.take_along_axis(others[best], order, axis=1)
            likeness[block] = np.take_along_axis(values, order, axis=1)
            done += len(block)
            see(done, size)
    return places, np.clip(likeness, -1.0, 1.0)


def _groups(vectors: NDArray[np.float32], count: int, seed: int) -> Any:
    """Yield (vectors that are asked for, vectors that they are compared with), as ascending places."""
    import numpy as np

    from augtui.pipelines.mapping.tree import divided

    size = len(vectors)
    if size <= EXACT:
        everything = np.arange(size)
        yield everything, everything
        return
    cell, centres = divided(vectors, max(2, size // CELL), seed)
    order = np.argsort(cell, kind="stable")
    bounds = np.searchsorted(cell[order], np.arange(len(centres) + 1))
    members = [order[bounds[number] : bounds[number + 1]] for number in range(len(centres))]
    near = np.argsort(-(centres @ centres.T), axis=1, kind="stable")
    for number, rows in enumerate(members):
        chosen: list[Any] = []
        total = 0
        for place, other in enumerate(near[number]):
            if place >= PROBED and total > 2 * count:
                break
            chosen.append(members[other])
            total += len(members[other])
        yield rows, np.sort(np.concatenate(chosen))
