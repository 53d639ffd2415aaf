"""Later records put into a map that is there: nothing in it moves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from augtui.pipelines.mapping import layout, reading, vectors
from augtui.pipelines.mapping.reading import Embed, Options, Tell
from augtui.pipelines.mapping.vectors import Projection
from augtui.store import db, maps
from augtui.store.maps import Cluster, Model, Point, State
from augtui.store.projects import Project

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

MOST: Final = 0.25
"""Share of later records up to which they are put into a map; with more of them it is made anew."""


def fits(project: Project, known: State, options: Options) -> bool:
    """Say whether a map that is there can take what has come since: it was made so, and most of it was there."""
    later = maps.fresh(project, known) + known.placed
    return dict(known.options) == asdict(options) and 0 < later <= MOST * (known.records - known.placed)


def place(project: Project, known: State, options: Options, tell: Tell, embed: Embed | None = None) -> State:
    """Put the records that have come since into the map; return what it is made of now.

    A record goes down the tree to the cluster whose centre is nearest, and stands between its nearest five records
    there. Names, centres and places of clusters stay; sizes, lengths, densities and repetitions are counted anew.
    Whether a later record repeats an earlier one is looked for among the later ones.
    """
    import numpy as np

    began = time.monotonic()
    texts = reading.read(project, options.on, known.last, tell)
    kept = maps.model(project)
    if not texts.numbers or kept is None:
        return known
    projection = projection_of(kept)
    if embed is None:
        weighed = vectors.weighted(texts.counts, projection.weights)
        fresh = projection.features(weighed)
    else:
        fresh = projection.embeddings(reading.embedded(project, texts.numbers, options.on, embed))
    clusters = maps.clusters(project, centres=True)
    inside = descended(fresh, clusters)
    old = list(maps.points(project))
    known_vectors = dict(maps.vectors(project))
    rows: dict[int, list[int]] = {}
    for row, number in enumerate(inside):
        rows.setdefault(number, []).append(row)
    here: dict[int, list[Point]] = {}
    for point in old:
        here.setdefault(point.cluster, []).append(point)
    new: list[Point] = []
    for number, mine in rows.items():
        others = here.get(number, [])
        known_here = array([known_vectors[point.record] for point in others], fresh.shape[1])
        spots = np.array([(point.x, point.y) for point in others], dtype=np.float32).reshape(-1, 2)
        found = layout.between(fresh[mine], known_here, spots)
        if not others:
            found = found + np.array((clusters[number].x, clusters[number].y), dtype=np.float32)
        likeness = np.sort(fresh[mine] @ known_here.T, axis=1)[:, -reading.TELLING :]
        density = np.clip(likeness.mean(axis=1), 0, 1) if len(others) else np.zeros(len(mine))
        for at, row in enumerate(mine):
            twin = texts.twins[row]
            new.append(
                Point(
                    texts.numbers[row], number, round(float(found[at, 0]), 4), round(float(found[at, 1]), 4),
                    round(float(density[at]), 4), texts.lengths[row], None if twin is None else texts.numbers[twin],
                    fresh[row].astype(np.float16).tobytes(),
                )
            )  # fmt: skip
    new.sort(key=lambda point: point.record)
    last = new[-1].record
    state = replace(
        known, digest=reading.digest_of(project, options), records=len(old) + len(new), last=last,
        last_id=reading.id_of(project, last), placed=known.placed + len(new), made_at=db.now(),
        seconds=round(time.monotonic() - began, 1),
    )  # fmt: skip
    everything = [replace(point, vector=known_vectors[point.record]) for point in old] + new
    maps.save(project.path, state, recounted(clusters, everything), everything, None)
    return state


def descended(fresh: Floats, clusters: Sequence[Cluster]) -> list[int]:
    """Return for each vector the innermost cluster that it comes to, at each level by the nearest centre."""
    import numpy as np

    children: dict[int | None, list[int]] = {}
    for cluster in clusters:
        children.setdefault(cluster.parent, []).append(cluster.number)
    inside: list[int] = [-1] * len(fresh)
    waiting: list[tuple[int | None, Any]] = [(None, np.arange(len(fresh)))]
    while waiting:
        parent, rows = waiting.pop()
        level = children.get(parent, [])
        if not level or not len(rows):
            for row in rows:
                inside[row] = -1 if parent is None else parent
            continue
        centres = array([clusters[number].centre for number in level], fresh.shape[1])
        best = np.argmax(fresh[rows] @ centres.T, axis=1)
        waiting += [(number, rows[best == at]) for at, number in enumerate(level)]
    return inside


def recounted(clusters: Sequence[Cluster], points: Sequence[Point]) -> list[Cluster]:
    """Return the clusters with sizes, densities, lengths and repetitions of the points that are in them now."""
    sums = {cluster.number: [0.0, 0.0, 0.0, 0.0] for cluster in clusters}
    for point in points:
        number: int | None = point.cluster
        while number is not None:
            total = sums[number]
            total[0] += 1
            total[1] += point.density
            total[2] += point.words
            total[3] += point.twin is not None
            number = clusters[number].parent
    found = []
    for cluster in clusters:
        size, density, words, repeats = sums[cluster.number]
        found.append(
            replace(
                cluster, size=int(size), density=round(density / max(1, size), 4),
                length=round(words / max(1, size), 1), duplicates=int(repeats),
            )
        )  # fmt: skip
    return found


def projection_of(kept: Model) -> Projection:
    """Return a kept projection."""
    import numpy as np

    weights = np.frombuffer(kept.weights, dtype=np.float32)
    axes = np.frombuffer(kept.axes, dtype=np.float16).astype(np.float32).reshape(kept.dimensions, -1)
    return Projection(weights, axes, np.frombuffer(kept.centre, dtype=np.float32))


def array(pieces: Sequence[bytes], width: int) -> Floats:
    """Return kept vectors, shape (pieces, width)."""
    import numpy as np

    return np.frombuffer(b"".join(pieces), dtype=np.float16).astype(np.float32).reshape(-1, width)
