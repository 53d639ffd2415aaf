"""A project's map made: read, turned into vectors, compared, divided, laid out, named, kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from augtui.errors import StoreError
from augtui.pipelines.decisions import On
from augtui.pipelines.mapping import layout, naming, placing, tree, vectors
from augtui.pipelines.mapping.neighbours import nearest
from augtui.pipelines.mapping.reading import (
    TELLING,
    Embed,
    Options,
    Tell,
    Texts,
    digest_of,
    embedded,
    id_of,
    read,
    texts_of,
)
from augtui.pipelines.mapping.tree import Node
from augtui.store import db, locks, maps
from augtui.store.maps import Cluster, Model, Point, State
from augtui.store.projects import Project

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

EXAMPLES: Final = 10
LOCK: Final = "map"


def make(
    project: Project, options: Options, tell: Tell, embed: Embed | None = None, *, renew: bool = False
) -> tuple[State, bool]:
    """Make the map of a project's records; return what it was made of, and whether it was there already.

    Few later records are put into the map that is there, unless it is to be made anew (`renew`). Raises StoreError
    while another process makes it, UsageError where a library is missing.
    """
    # Threads that wait must not spin: the machine is also somebody's desk. Read when the libraries are loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    layout.require(options.method)
    try:
        lock = locks.acquire(project.path, LOCK)
    except locks.LockHeldError as error:
        raise StoreError(
            f"The map is being made by process {error.pid or '(unknown)'}.", hint="Wait for it, or stop that process."
        ) from None
    from threadpoolctl import threadpool_limits

    # One thread for sums: the same map on any number of cores. The layout, which takes longest, uses all.
    with lock, threadpool_limits(1):
        name = digest_of(project, options)
        known = maps.state(project)
        if known is not None and known.digest == name and not (renew and known.placed):
            return known, True
        if known is not None and not renew and placing.fits(project, known, options):
            return placing.place(project, known, options, tell, embed), False
        return _made(project, options, name, tell, embed), False


def _made(project: Project, options: Options, name: str, tell: Tell, embed: Embed | None) -> State:
    import numpy as np

    began = time.monotonic()
    texts = read(project, options.on, 0, tell)
    size = len(texts.numbers)
    if size == 0:
        state = State(name, asdict(options), 0, 0, "", 0, db.now(), 0.0)
        maps.save(project.path, state, (), (), Model(b"", b"", b"", 0))
        return state
    tell("turning into vectors", 0, 0)
    if embed is None:
        points, projection = vectors.of_counts(texts.counts, options.seed)
    else:
        points, projection = vectors.of_embeddings(embedded(project, texts.numbers, options.on, embed), options.seed)
    texts.counts = None
    count = max(TELLING, 3 * layout.PERPLEXITY)
    near = nearest(points, count, options.seed, lambda done, total: tell("comparing", done, total))
    tell("dividing", 0, 0)
    nodes = list(_in_order(tree.grown(vectors.smoothed(points, near[0]), options.seed, options.clusters)))
    places = layout.laid_out(
        points, near, options.method, options.seed, lambda done, total: tell("laying out", done, total)
    )
    densities = np.clip(near[1][:, :TELLING].mean(axis=1), 0, 1) if near[1].shape[1] else np.zeros(size)
    clusters, inside = described(nodes, points, places, densities, texts, _namer(project, texts, options.on, tell))
    found = (
        Point(
            texts.numbers[row], inside[row], round(float(places[row, 0]), 4), round(float(places[row, 1]), 4),
            round(float(densities[row]), 4), texts.lengths[row],
            None if (twin := texts.twins[row]) is None else texts.numbers[twin],
            points[row].astype(np.float16).tobytes(),
        )
        for row in range(size)
    )  # fmt: skip
    last = texts.numbers[-1]
    state = State(
        name, asdict(options), size, last, id_of(project, last), 0, db.now(), round(time.monotonic() - began, 1),
        "the same words" if embed is None else f"near in the embeddings of {options.model}",
    )  # fmt: skip
    model = Model(
        projection.weights.tobytes(), projection.axes.astype(np.float16).tobytes(), projection.centre.tobytes(),
        projection.axes.shape[0],
    )  # fmt: skip
    tell("keeping", 0, 0)
    maps.save(project.path, state, clusters, found, model)
    return state


def described(
    nodes: Sequence[tuple[Node, int | None, int]],
    points: Floats,
    places: Floats,
    densities: Any,
    texts: Texts,
    name: Callable[[Sequence[Sequence[int]]], list[list[str]]],
) -> tuple[list[Cluster], list[int]]:
    """Return the clusters, and each record's innermost one; `name` gives groups of places their words."""
    import numpy as np

    inside = np.zeros(len(points), dtype=np.int64)
    words: dict[int, list[str]] = {}
    families: dict[int | None, list[int]] = {}
    for number, (_, parent, _) in enumerate(nodes):
        families.setdefault(parent, []).append(number)
    for family in families.values():
        groups = [_spread(nodes[number][0].rows) for number in family]
        words.update(zip(family, name(groups), strict=True))
    lengths = np.array(texts.lengths)
    repeats = np.array([twin is not None for twin in texts.twins], dtype=bool)
    found = []
    for number, (node, parent, last) in enumerate(nodes):
        inside[node.rows] = number
        likeness = points[node.rows] @ node.centre
        central = node.rows[np.lexsort((node.rows, -likeness))]
        # Its sign stands on one of its central records: in the middle between two groups there may be nothing.
        middle = places[central[: max(1, len(central) // 4)]]
        x, y = middle[np.argmin(((middle - np.median(middle, axis=0)) ** 2).sum(axis=1))]
        found.append(
            Cluster(
                number, node.path, parent, last, len(node.rows), tuple(words[number]),
                round(float(densities[node.rows].mean()), 4), round(float(lengths[node.rows].mean()), 1),
                int(repeats[node.rows].sum()), round(float(x), 4), round(float(y), 4),
                tuple(texts.numbers[row] for row in central[:EXAMPLES]), node.centre.astype(np.float16).tobytes(),
            )
        )  # fmt: skip
    return found, inside.tolist()


def _in_order(nodes: Sequence[Node]) -> Iterator[tuple[Node, int | None, int]]:
    """Yield (node, its parent's number, the number of the last one inside) in the order of their numbers."""
    flat: list[tuple[Node, int | None]] = []
    last: dict[int, int] = {}

    def walk(node: Node, parent: int | None) -> None:
        number = len(flat)
        flat.append((node, parent))
        for child in node.children:
            walk(child, number)
        last[number] = len(flat) - 1

    for node in nodes:
        walk(node, None)
    for number, (node, parent) in enumerate(flat):
        yield node, parent, last[number]


def _spread(rows: Any) -> list[int]:
    """Return places of a cluster, at most `naming.SAMPLE`, evenly over all."""
    import numpy as np

    return [int(row) for row in rows[np.linspace(0, len(rows) - 1, min(len(rows), naming.SAMPLE)).astype(np.int64)]]


def _namer(project: Project, texts: Texts, on: On, tell: Tell) -> Callable[[Sequence[Sequence[int]]], list[list[str]]]:
    done = 0

    def name(groups: Sequence[Sequence[int]]) -> list[list[str]]:
        nonlocal done
        done += len(groups)
        tell("naming", done, 0)
        return naming.names([texts_of(project, [texts.numbers[row] for row in rows], on) for rows in groups])

    return name
