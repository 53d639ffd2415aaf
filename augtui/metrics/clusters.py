"""The clusters of a map with what has become of their records, and what pruning one would reject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from augtui.errors import UsageError
from augtui.metrics.centrality import central, repeating
from augtui.store import maps, pruning
from augtui.store.maps import Cluster
from augtui.store.projects import Project

ORDERS: Final = ("size", "sparse", "acceptance", "duplicates")


@dataclass(frozen=True, slots=True)
class Figures:
    """A cluster and its figures."""

    cluster: Cluster
    share: float
    """Of all records in the map, 0 to 1."""
    accepted: int
    """Results of its records that were accepted."""
    settled: int
    """Results of its records in all."""
    rejected: int
    """Of its records, by a person."""
    children: int

    @property
    def acceptance(self) -> float | None:
        """Return the share of accepted results, None where there are none."""
        return self.accepted / self.settled if self.settled else None

    @property
    def duplicates(self) -> float:
        """Return the share of records that nearly repeat an earlier one."""
        return self.cluster.duplicates / max(1, self.cluster.size)


def figures(project: Project) -> list[Figures]:
    """Return every cluster of the map with its figures, in the order of the tree."""
    clusters = maps.clusters(project)
    total = sum(cluster.size for cluster in clusters if cluster.parent is None)
    results = maps.acceptance(project)
    gone = pruning.rejected(project)
    lost: Counter[int] = Counter()
    if gone:
        lost.update(point.cluster for point in maps.points(project) if point.record in gone)
    children = Counter(cluster.parent for cluster in clusters)
    found = []
    for cluster in clusters:
        inside = range(cluster.number, cluster.last + 1)
        known = [results[number] for number in inside if number in results]
        found.append(
            Figures(
                cluster, cluster.size / max(1, total), sum(row[0] for row in known), sum(row[1] for row in known),
                sum(lost[number] for number in inside), children[cluster.number],
            )
        )  # fmt: skip
    return found


def ordered(listed: Sequence[Figures], order: str, *, all_levels: bool = False) -> list[Figures]:
    """Return the clusters of the first level, or all, in an order of `ORDERS`. Raises UsageError for another one."""
    some = [one for one in listed if all_levels or one.cluster.parent is None]
    match order:
        case "size":
            return sorted(some, key=lambda one: (-one.cluster.size, one.cluster.number))
        case "sparse":
            return sorted(some, key=lambda one: (one.cluster.density, one.cluster.number))
        case "acceptance":
            return sorted(some, key=lambda one: (2.0 if one.acceptance is None else one.acceptance, one.cluster.number))
        case "duplicates":
            return sorted(some, key=lambda one: (-one.duplicates, one.cluster.number))
        case _:
            raise UsageError(f"there is no order {order!r}", hint="orders: " + ", ".join(ORDERS))


def prunable(project: Project, cluster: Cluster, *, keep: int | None = None, duplicates: bool = False) -> list[int]:
    """Return the records that pruning would reject: all, all but the `keep` most central, or those that repeat.

    What a person has rejected is neither kept nor counted.
    """
    gone = pruning.rejected(project)
    if duplicates:
        return [number for number in repeating(project, cluster) if number not in gone]
    alive = [number for number in central(project, cluster) if number not in gone]
    return sorted(alive[keep or 0 :])


def why(cluster: Cluster, *, keep: int | None = None, duplicates: bool = False) -> str:
    """Return the reason of a pruning in words."""
    if duplicates:
        return f"repeats a record of cluster {cluster.path}"
    return f"cluster {cluster.path}" + (f", not among its {keep:,} most central" if keep else "")
