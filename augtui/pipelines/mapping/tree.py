"""Clusters within clusters: spherical k-means, again in each cluster that is large enough."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST: Final = 32
"""Clusters of one level at most: what a list on a screen and as many signs can tell apart."""
SMALLEST: Final = 100
"""A cluster of fewer records has no clusters inside."""
DEEPEST: Final = 3
AT_ONCE: Final = 5_000
"""Vectors up to which k-means looks at all of them in each round."""


@dataclass(slots=True)
class Node:
    """A cluster: its records, and the clusters inside."""

    path: str
    """Numbers from the top, such as `3.1`."""
    rows: NDArray[np.int64]
    """Places of its records, ascending."""
    centre: NDArray[np.float32]
    children: list[Node] = field(default_factory=list)


def usual(size: int) -> int:
    """Return how many clusters a set of some size is divided into: 2 for 20, 7 for 1,000, 32 for 52,000."""
    return max(1, min(MOST, size // 5, round(math.pow(size, 0.4) / 2.4)))


def grown(vectors: NDArray[np.float32], seed: int, clusters: int | None = None) -> list[Node]:
    """Return the clusters of vectors, the largest first; `clusters` is their number on the first level."""
    import numpy as np

    return _level(vectors, np.arange(len(vectors)), seed, "", 1, clusters)


def _level(
    vectors: NDArray[np.float32], rows: NDArray[np.int64], seed: int, path: str, depth: int, wanted: int | None
) -> list[Node]:
    import numpy as np

    if not len(rows):
        return []
    labels, centres = divided(vectors[rows], wanted or usual(len(rows)), seed)
    sizes = np.bincount(labels, minlength=len(centres))
    if depth > 1 and (sizes > 0).sum() < 2:
        return []
    order = sorted(range(len(centres)), key=lambda label: (-int(sizes[label]), int(np.argmax(labels == label))))
    found = []
    for number, label in enumerate((label for label in order if sizes[label]), start=1):
        node = Node(f"{path}{number}", rows[labels == label], centres[label])
        if depth < DEEPEST and len(node.rows) >= SMALLEST:
            node.children = _level(vectors, node.rows, seed, f"{node.path}.", depth + 1, None)
        found.append(node)
    return found


def divided(vectors: NDArray[np.float32], count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return each vector's cluster and the clusters' centres at length 1; equal vectors are in one cluster.

    There are never more clusters than different vectors.
    """
    import numpy as np
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    from augtui.pipelines.mapping.vectors import unit

    count = min(count, len(vectors))
    if count < 2:
        return np.zeros(len(vectors), dtype=np.int64), unit(vectors.mean(axis=0, keepdims=True))
    means: Any
    if len(vectors) <= AT_ONCE:
        means = KMeans(count, random_state=seed, n_init=4, max_iter=100)
    else:
        means = MiniBatchKMeans(count, random_state=seed, n_init=3, batch_size=2048)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different vectors than clusters
        means.fit(vectors)
    centres = unit(means.cluster_centers_.astype(np.float32))
    labels = means.predict(vectors).astype(np.int64)
    return labels, centres
