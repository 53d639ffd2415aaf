"""A project's map made: read, turned into vectors, compared, divided, laid out, named, kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from augtui.domain.records import Record
from augtui.errors import StoreError
from augtui.pipelines import dedupe
from augtui.pipelines.decisions import On
from augtui.pipelines.mapping import layout, naming, tree, vectors
from augtui.pipelines.mapping.layout import Method
from augtui.pipelines.mapping.neighbours import nearest
from augtui.pipelines.mapping.tree import Node
from augtui.pipelines.mapping.words import LONGEST
from augtui.store import db, locks, maps
from augtui.store.maps import Cluster, Model, Point, State
from augtui.store.projects import Project

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

TELLING: Final = 5
"""Nearest others whose likeness is a record's density."""
EXAMPLES: Final = 10
TWIN: Final = 0.7
"""ROUGE-L from which a record nearly repeats an earlier one, as in `augtui dedupe`."""
PAGE: Final = 500
LOCK: Final = "map"

Tell = Callable[[str, int, int], None]
"""(what is being done, how much of it, how much there is; 0: nobody knows)."""
Embed = Callable[[Sequence[str]], "Floats"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a map is made; equal options and records are an equal map."""

    on: On = "instruction"
    method: Method = "tsne"
    clusters: int | None = None
    """On the first level; None: by the number of records."""
    seed: int = 42
    model: str | None = None
    """A model's name, whose embeddings are compared; None: the words."""


@dataclass(slots=True)
class Texts:
    """What one reading of the records has brought."""

    numbers: list[int]
    lengths: list[int]
    """Words."""
    twins: list[int | None]
    """Places of the earlier texts that these nearly repeat."""
    counts: Any
    """Of their terms, a sparse matrix."""


def digest_of(project: Project, options: Options) -> str:
    """Return what names a map: the records' ids, each of which names a record's content, and the options."""
    import hashlib

    total = hashlib.sha256(db.to_json({**asdict(options), "format": maps.FORMAT}).encode())
    for page in _paged(project, "id", 0, None):
        total.update("".join(row[1] for row in page).encode())
    return total.hexdigest()


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

    from augtui.pipelines.mapping import placing

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


def read(project: Project, on: On, after: int, tell: Tell) -> Texts:
    """Read the records above a number once: their terms, their lengths, and which nearly repeat earlier ones."""
    from scipy.sparse import csr_matrix, vstack

    total = int(project.read("SELECT COUNT(*) FROM records WHERE number > ?", (after,))[0][0])
    found = Texts([], [], [], None)
    counts: list[Any] = []
    waiting: list[str] = []

    def records() -> Iterator[Record]:
        for page in _paged(project, _column(on), after, None):
            for number, text in page:
                found.numbers.append(number)
                found.lengths.append(_length(text))
                waiting.append(text[:LONGEST])
                if len(waiting) >= vectors.PIECE:
                    counts.append(vectors.counted(waiting))
                    waiting.clear()
                yield Record(text)
            tell("reading", len(found.numbers), total)

    decisions = dedupe.decide(
        records(), "rouge-l", TWIN, progress=lambda done, total: tell("looking for repetitions", done, total)
    )
    if waiting:
        counts.append(vectors.counted(waiting))
    found.twins = [None if decision.kept else int(decision.detail["of"]) for decision in decisions]
    found.counts = vstack(counts, format="csr") if counts else csr_matrix((0, vectors.FEATURES))
    return found


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
        return naming.names([_texts(project, [texts.numbers[row] for row in rows], on) for rows in groups])

    return name


def _texts(project: Project, numbers: Sequence[int], on: On) -> list[str]:
    """Return the texts of records by their numbers; those that are gone are left out."""
    found: list[str] = []
    for start in range(0, len(numbers), PAGE):
        page = numbers[start : start + PAGE]
        rows = project.read(
            f"SELECT SUBSTR({_column(on)}, 1, {LONGEST}) FROM records WHERE number IN ({', '.join('?' * len(page))})",
            list(page),
        )
        found += [row[0] for row in rows]
    return found


def embedded(project: Project, numbers: Sequence[int], on: On, embed: Embed) -> Floats:
    """Return a model's embeddings of records by their numbers."""
    import numpy as np

    texts = dict(
        row
        for page in _paged(project, f"SUBSTR({_column(on)}, 1, {LONGEST})", numbers[0] - 1, numbers[-1])
        for row in page
    )
    return np.asarray(embed([texts.get(number) or " " for number in numbers]), dtype=np.float32)


def _paged(project: Project, column: str, after: int, last: int | None) -> Iterator[list[tuple[int, str]]]:
    """Yield pages of (number, column) above a number, and not above `last`, in the order of the records."""
    top = _last(project) if last is None else last
    while rows := project.read(
        f"SELECT number, {column} FROM records WHERE number > ? AND number <= ? ORDER BY number LIMIT {PAGE}",
        (after, top),
    ):
        yield rows
        after = rows[-1][0]


def _last(project: Project) -> int:
    """Return the number of the project's last record."""
    return int(project.read("SELECT COALESCE(MAX(number), 0) FROM records")[0][0])


def _column(on: On) -> str:
    columns: Mapping[str, str] = {
        "instruction": "instruction",
        "response": "COALESCE(response, '')",
        "both": "instruction || char(10) || COALESCE(response, '')",
    }
    return columns[on]


def id_of(project: Project, number: int) -> str:
    """Return a record's id by its number."""
    return str(project.read("SELECT id FROM records WHERE number = ?", (number,))[0][0])


def _length(text: str) -> int:
    from augtui.metrics.similarity import tokenized

    return len(text.split()) if text.isascii() else len(tokenized(text))
