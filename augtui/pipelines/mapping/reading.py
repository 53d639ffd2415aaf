"""What a map is made from: the records, read once, and how it is to be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from augtui.domain.records import Record
from augtui.pipelines import dedupe
from augtui.pipelines.decisions import On
from augtui.pipelines.mapping import vectors
from augtui.pipelines.mapping.layout import Method
from augtui.pipelines.mapping.words import LONGEST
from augtui.store import db, maps
from augtui.store.projects import Project

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

TELLING: Final = 5
"""Nearest others whose likeness is a record's density."""
TWIN: Final = 0.7
"""ROUGE-L from which a record nearly repeats an earlier one, as in `augtui dedupe`."""
PAGE: Final = 500

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


def texts_of(project: Project, numbers: Sequence[int], on: On) -> list[str]:
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
