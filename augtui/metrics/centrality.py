"""Which records of a cluster stand at its centre, and which repeat another one of it."""

from __future__ import annotations

from augtui.store import maps
from augtui.store.maps import Cluster
from augtui.store.projects import Project


def central(project: Project, cluster: Cluster) -> list[int]:
    """Return the numbers of a cluster's records, the most central first (cosine to the mean of their vectors)."""
    import numpy as np

    rows = maps.members(project, cluster)
    if not rows:
        return []
    vectors = np.frombuffer(b"".join(row[2] for row in rows), dtype=np.float16).astype(np.float32)
    vectors = vectors.reshape(len(rows), -1)
    likeness = vectors @ vectors.mean(axis=0)
    numbers = np.array([row[0] for row in rows])
    return [int(number) for number in numbers[np.lexsort((numbers, -np.round(likeness, 6)))]]


def repeating(project: Project, cluster: Cluster) -> list[int]:
    """Return the numbers of the records that nearly repeat an earlier record of the same cluster."""
    rows = maps.members(project, cluster)
    here = {row[0] for row in rows}
    return [number for number, twin, _ in rows if twin in here]
