"""Decontaminate: find the records that say what a test set asks, so that a model is not trained on its examination.

A record is contaminated if a text of it has a run of n tokens in common with a text of a test row (13 in GPT-3,
https://arxiv.org/abs/2005.14165, appendix C; tokens are words, or single characters of Chinese), or if it is nearly the
same text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from augtui.domain.records import Record
from augtui.errors import UsageError
from augtui.pipelines.decisions import KEPT, Decision, On, Progress, no_progress, require_threshold

if TYPE_CHECKING:
    from augtui.metrics.token_table import Numbering, TokenTable

Near = Literal["rouge-l", "minhash", "off"]
NEARS: Final[tuple[Near, ...]] = get_args(Near)
FIELDS: Final = ("instruction", "response")

Match = dict[str, Any]
"""One thing that a record and a test row have in common, as JSON values."""

REASON: Final = "contaminated"
LEAST_WHOLE: Final = 8
"""A test text shorter than n counts as a whole if it has so many tokens (GPT-3's least n); a shorter instruction if it
is all of a record's instruction; a shorter response, such as "yes", never."""
COMMON: Final = 10
"""A run that so many test rows share is their template, not what they ask; GPT-3 ignored runs as common."""
SHOWN: Final = 5
"""Matches that a record's decision lists; it counts all."""


class Examination:
    """Test rows, indexed once, and what of other records they contaminate."""

    def __init__(
        self,
        tests: Iterable[Record],
        *,
        size: int = 13,
        near: Near = "rouge-l",
        threshold: float = 0.8,
        common: int = COMMON,
    ) -> None:
        """Index the tests: runs of `size` tokens, and near matches by `near` from `threshold` on.

        Runs that more than `common` different test rows share are not compared. Raises UsageError.
        """
        from augtui.metrics.ngrams import RunIndex
        from augtui.metrics.token_table import Numbering

        if near not in NEARS:
            raise UsageError(f"there is no near match {near!r}", hint="near matches: " + ", ".join(NEARS))
        if size < 1:
            raise UsageError(f"a run of tokens has at least one token, not {size}")
        require_threshold(threshold)
        self._near, self._threshold = near, threshold
        self._numbering = Numbering()
        self._tests = _texts(tests, FIELDS, self._numbering)
        self._runs = {
            name: RunIndex(texts.table, size, LEAST_WHOLE, common) for name, texts in self._tests.texts.items()
        }

    @property
    def tests(self) -> int:
        """Return the number of test rows."""
        return self._tests.count

    @property
    def templates(self) -> int:
        """Return how many runs are not compared because they are common."""
        return sum(runs.templates for runs in self._runs.values())

    def decide(self, records: Iterable[Record], on: On = "both", progress: Progress = no_progress) -> list[Decision]:
        """Return a decision for each record, in order.

        The detail of a contaminated one is `matches`, at most `SHOWN`, and their `count`. A match has `test` (the
        position of the test row), `field` and `test_field` (instruction or response), `method`, and `ngram` (the run in
        common, its tokens joined by spaces), or `similarity`.
        """
        given = _texts(records, FIELDS if on == "both" else (on,), self._numbering)
        words = self._numbering.words
        found: defaultdict[int, dict[tuple[int, str, str], Match]] = defaultdict(dict)
        done, steps = 0, 2 * len(given.texts)
        for name, texts in given.texts.items():
            for row, match in self._in_common(texts, name, words):
                found[row].setdefault((match["test"], match["test_field"], match["method"]), match)
            progress(given.count * (done + 1) // steps, given.count)
            for row, match in self._alike(texts, name):
                found[row].setdefault((match["test"], match["test_field"], match["method"]), match)
            done += 2
            progress(given.count * done // steps, given.count)
        return [_decision(found[row]) if row in found else KEPT for row in range(given.count)]

    def _in_common(self, texts: _Texts, name: str, words: Sequence[str]) -> Iterator[tuple[int, Match]]:
        for test_name, runs in self._runs.items():
            tests = self._tests.texts[test_name]
            for hit in runs.hits(texts.table):
                run = texts.table.row(hit.row)[hit.start : hit.start + hit.size].tolist()
                ngram = " ".join(words[number] for number in run)
                match = _match(tests.rows[hit.reference], name, test_name, "n-gram", ngram=ngram)
                yield texts.rows[hit.row], match

    def _alike(self, texts: _Texts, name: str) -> Iterator[tuple[int, Match]]:
        """Yield what is nearly the same text: instructions like test instructions, responses like test responses."""
        tests = self._tests.texts[name]
        # "Yes" is the answer to many questions.
        least = LEAST_WHOLE if name == "response" else 0
        sizes = tests.table.sizes
        for row, test, how, similarity in _near(tests.table, texts.table, self._near, self._threshold):
            if sizes[test] >= least:
                match = _match(tests.rows[test], name, name, how, similarity=round(similarity, 6))
                yield texts.rows[row], match


def _match(test: int, name: str, test_name: str, method: str, **found: str | float) -> Match:
    return {"test": test, "field": name, "test_field": test_name, "method": method, **found}


def _decision(matches: Mapping[tuple[int, str, str], Match]) -> Decision:
    return Decision(REASON, {"matches": list(matches.values())[:SHOWN], "count": len(matches)})


@dataclass(frozen=True, slots=True)
class _Texts:
    """One text of those records that have it."""

    rows: list[int]
    """The positions of the records."""
    table: TokenTable


@dataclass(frozen=True, slots=True)
class _Given:
    count: int
    texts: dict[str, _Texts]


def _texts(records: Iterable[Record], names: Iterable[str], numbering: Numbering) -> _Given:
    """Return the texts of records by name; each record is looked at once and forgotten."""
    builders = {name: (list[int](), numbering.builder()) for name in names}
    count = 0
    for count, record in enumerate(records, start=1):
        for name, (rows, builder) in builders.items():
            text = record.instruction if name == "instruction" else record.response
            if text is not None:
                rows.append(count - 1)
                builder.add(text)
    return _Given(count, {name: _Texts(rows, builder.table()) for name, (rows, builder) in builders.items()})


def _near(
    tests: TokenTable, table: TokenTable, method: Near, threshold: float
) -> Iterator[tuple[int, int, str, float]]:
    """Yield (row, test row, how, similarity) of what is alike; equal texts whatever the method, `off` too."""
    from augtui.metrics.token_table import distinct, joined

    both = joined(tests, table)
    firsts, places = distinct(both)
    members: defaultdict[int, list[int]] = defaultdict(list)
    for row, place in enumerate(places[: len(tests)].tolist()):
        members[place].append(row)
    asking: defaultdict[int, list[int]] = defaultdict(list)
    for row, place in enumerate(places[len(tests) :].tolist()):
        asking[place].append(row)
    for place in members.keys() & asking.keys():
        for row in asking[place]:
            yield row, members[place][0], "equal", 1.0
    # Equal rows were numbered by their first: the tests' own come first, what is no test follows.
    known = len(members)
    if method == "off" or not known or known == len(firsts):
        return
    find = _rouge_l if method == "rouge-l" else _minhash
    for place, test, similarity in find(both.chosen(firsts), known, threshold):
        for row in asking[place]:
            yield row, members[test][0], method, similarity


def _rouge_l(table: TokenTable, tests: int, threshold: float) -> Iterator[tuple[int, int, float]]:
    from augtui.metrics.rouge_join import RougeJoin

    sizes = table.sizes
    for block in RougeJoin(table, threshold, tests).blocks():
        for row, test, lcs in zip(block.first.tolist(), block.second.tolist(), block.lcs.tolist(), strict=True):
            yield row, test, 2 * lcs / int(sizes[row] + sizes[test])


def _minhash(table: TokenTable, tests: int, threshold: float) -> Iterator[tuple[int, int, float]]:
    from augtui.metrics import minhash

    shingles = minhash.shingles(table)
    met: defaultdict[int, set[int]] = defaultdict(set)
    for rows, numbers in minhash.buckets(minhash.signatures(shingles), threshold):
        here: defaultdict[int, list[int]] = defaultdict(list)
        for row, number in zip(rows.tolist(), numbers.tolist(), strict=True):  # ascending, so tests come first
            if row < tests:
                here[number].append(row)
            elif number in here:
                met[row].update(here[number])
    for row in sorted(met):
        for test in sorted(met[row]):
            similarity = shingles.jaccard(row, test)
            if similarity >= threshold:
                yield row, test, similarity
