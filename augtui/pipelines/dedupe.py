"""Dedupe: of records that say the same, the first one stays.

All methods are first-come: a record is dropped if it is at least `threshold` like an earlier record that was kept, and
names that record (the earliest) and how like it is.
"""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Literal, get_args

from augtui.domain.records import Record
from augtui.errors import UsageError
from augtui.pipelines.decisions import KEPT, Decision, On, Progress, no_progress, require_threshold, text_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from augtui.metrics.token_table import Ints

Method = Literal["exact", "minhash", "rouge-l", "embedding"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)
Embed = Callable[[Sequence[str]], "NDArray[np.float32]"]
"""Texts to their vectors, shape (texts, dimensions)."""

REASONS: Final[dict[Method, str]] = {
    "exact": "duplicate",
    "minhash": "near duplicate",
    "rouge-l": "near duplicate",
    "embedding": "similar in meaning",
}
_Found = tuple[int, float] | None
"""The place of the kept text that a text is like, and how like it is; None if it is kept."""


def decide(
    records: Iterable[Record],
    method: Method = "rouge-l",
    threshold: float = 0.7,
    on: On = "instruction",
    *,
    embed: Embed | None = None,
    progress: Progress = no_progress,
) -> list[Decision]:
    """Return a decision for each record, in order; the detail of a dropped one is `of`, `similarity` and `method`.

    `of` is the position of the kept record. A record without the text that is looked at is kept. The embedding method
    needs `embed`. Raises UsageError: an unknown method, a threshold that is none.
    """
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r}", hint="methods: " + ", ".join(METHODS))
    require_threshold(threshold)
    if method == "embedding" and embed is None:
        raise UsageError("the embedding method needs a model")
    positions = array("q")
    count = 0

    def texts() -> Iterator[str]:
        """Yield what is looked at of each record, which can be forgotten then."""
        nonlocal count
        for record in records:
            text = text_of(record, on)
            if text is not None:
                positions.append(count)
                yield text
            count += 1

    every = _found(texts(), method, threshold, embed, progress)
    decisions = [KEPT] * count
    for place, found in enumerate(every):
        if found is not None:
            of, similarity = found
            detail = {"of": positions[of], "similarity": round(similarity, 6), "method": method}
            decisions[positions[place]] = Decision(REASONS[method], detail)
    progress(count, count)
    return decisions


def _found(
    texts: Iterator[str], method: Method, threshold: float, embed: Embed | None, see: Progress
) -> Sequence[_Found]:
    match method:
        case "exact":
            return _exact(texts)
        case "rouge-l":
            return _rouge_l(texts, threshold, see)
        case "minhash":
            return _minhash(texts, threshold, see)
        case "embedding":
            assert embed is not None
            return _embedding(embed(list(texts)), threshold, see)


def normal(text: str) -> str:
    """Return a text as the exact method compares it: Unicode NFKC, no case, single spaces, none at the ends."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _exact(texts: Iterable[str]) -> list[_Found]:
    first: dict[str, int] = {}
    found: list[_Found] = []
    for place, text in enumerate(texts):
        of = first.setdefault(normal(text), place)
        found.append(None if of == place else (of, 1.0))
    return found


def _rouge_l(texts: Iterable[str], threshold: float, see: Progress) -> list[_Found]:
    from augtui.metrics.rouge_join import RougeJoin
    from augtui.metrics.token_table import Numbering, distinct

    table = Numbering().table(texts)
    firsts, places = distinct(table)
    unique = table.chosen(firsts)
    sizes = unique.sizes
    join = RougeJoin(unique, threshold)
    found: list[_Found] = [None] * len(unique)
    for block in join.blocks():
        for row, other, lcs in zip(block.first.tolist(), block.second.tolist(), block.lcs.tolist(), strict=True):
            if found[row] is None and join.alive[other]:
                found[row] = (other, 2 * lcs / int(sizes[row] + sizes[other]))
                join.alive[row] = False
        see(block.stop, len(unique))
    return _spread(found, firsts, places)


def _spread(found: list[_Found], firsts: Ints, places: Ints) -> list[_Found]:
    """Return what was found for distinct texts for all of them.

    What repeats a text that was kept is like it and like no earlier kept one, which the first would be like too; what
    repeats a dropped text is dropped for the same kept one, which came before both.
    """
    rows = firsts.tolist()
    spread: list[_Found] = []
    for row, place in enumerate(places.tolist()):
        match = found[place]
        if match is None:
            spread.append(None if rows[place] == row else (rows[place], 1.0))
        else:
            spread.append((rows[match[0]], match[1]))
    return spread


def _minhash(texts: Iterable[str], threshold: float, see: Progress) -> list[_Found]:
    from augtui.metrics import minhash
    from augtui.metrics.token_table import Numbering, distinct

    table = Numbering().table(texts)
    firsts, places = distinct(table)
    unique = table.chosen(firsts)
    shingles = minhash.shingles(unique)
    meetings: dict[int, list[tuple[int, int]]] = {}
    for band, (rows, numbers) in enumerate(minhash.buckets(minhash.signatures(shingles), threshold)):
        for row, number in zip(rows.tolist(), numbers.tolist(), strict=True):
            meetings.setdefault(row, []).append((band, number))
    found: list[_Found] = [None] * len(unique)
    kept: dict[tuple[int, int], list[int]] = {}
    for done, row in enumerate(sorted(meetings)):
        keys = meetings[row]
        for other in sorted({other for key in keys for other in kept.get(key, ())}):
            similarity = shingles.jaccard(row, other)
            if similarity >= threshold:
                found[row] = (other, similarity)
                break
        else:
            for key in keys:
                kept.setdefault(key, []).append(row)
        if done % 1024 == 0:
            see(done, len(meetings))
    return _spread(found, firsts, places)


def _embedding(vectors: NDArray[np.float32], threshold: float, see: Progress) -> list[_Found]:
    from augtui.metrics import cosine

    of, similarity = cosine.first_come(vectors, threshold, see)
    return [
        None if other < 0 else (other, min(1.0, likeness))
        for other, likeness in zip(of.tolist(), similarity.tolist(), strict=True)
    ]
