"""Where examples come from: the lineage of a project, or files that augtui's steps wrote."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from augtui.domain.records import Quarantined, Record, kin
from augtui.pipelines.trainset.examples import Made
from augtui.store import family, reviews, stages
from augtui.store.projects import Project

REPLACING = ("respond", "refine")
"""Tasks whose record takes the place of the one it was made of."""


@dataclass(frozen=True, slots=True)
class _Edge:
    task: str
    parent: int
    child: int
    item: int


def of_project(project: Project, alive: Collection[str] | None = None) -> Iterator[Made]:
    """Yield what a project's models made, by its lineage, in the order of their making.

    With `alive`, the ids of records that a pipeline has kept, only what is one of them, or what one of them took the
    place of. People's verdicts count: what they rejected is not in, what they edited is in as they wrote it.
    """
    edges = [_Edge(*row) for row in project.read(_EDGES)]
    kept = None if alive is None else _with_replaced(project, edges, alive)
    names = {row[0]: row[1] for row in project.read("SELECT number, id FROM records")}
    family_of = family.families(project)
    answered = _answered(project, edges)
    contexts = _contexts(project)
    lookup = _Lookup(project, names)
    for edge in edges:
        if kept is not None and edge.child not in kept:
            continue
        if edge.task == "expand":
            yield from _expanded(edge, lookup, family_of(edge.child), answered)
        elif edge.task == "refine" and (target := lookup.target(edge.child)) is not None:
            ids = names[edge.parent], names[edge.child]
            yield Made("ir", lookup.record(edge.parent), target, family_of(edge.child), *ids)
    for item, child in project.read(_PAIRS):
        if kept is not None and child not in kept:
            continue
        target = lookup.target(child)
        if target is None or not target.response:
            continue
        context = contexts[item]
        shown = tuple(lookup.record(number) for number in context)
        ids = tuple(names[number] for number in context)
        yield Made("ire", None, target, family_of(child), "", names[child], shown, ids)


_EDGES = """
    SELECT i.task, l.parent, l.child, l.item FROM lineage l JOIN items i ON i.number = l.item
    WHERE i.status = 'accepted' AND i.task IN ('expand', 'refine', 'respond') ORDER BY l.child, l.parent
"""
_PAIRS = """
    SELECT i.number, i.result FROM items i WHERE i.task = 'pairs' AND i.status = 'accepted' AND i.result IS NOT NULL
    ORDER BY i.result
"""


class _Lookup:
    """Records of a project by their numbers, with what people made of them."""

    def __init__(self, project: Project, names: Mapping[int, str]) -> None:
        self._project = project
        self._names = names
        self._opinions = reviews.of_results(project)

    def record(self, number: int) -> Record:
        return next(iter(stages.fetch_records(self._project, [self._names[number]])))

    def target(self, number: int) -> Record | None:
        """Return a record that was made; None if people rejected it."""
        record = self.record(number)
        if number not in self._opinions:
            return record
        _, review = self._opinions[number]
        if review.verdict == "rejected":
            return None
        return Record(review.text, record.response) if review.verdict == "edited" and review.text else record

    def id(self, number: int) -> str:
        return self._names[number]


def _expanded(edge: _Edge, lookup: _Lookup, kin: str, answered: Mapping[int, int]) -> Iterator[Made]:
    """Yield an expansion; once more as a pair, where both it and its source have responses."""
    target = lookup.target(edge.child)
    if target is None:
        return
    source = lookup.record(edge.parent)
    yield Made("ie", source, target, kin, lookup.id(edge.parent), lookup.id(edge.child))
    asked, told = answered.get(edge.parent), answered.get(edge.child)
    if asked is None or told is None:
        return
    pair, output = lookup.record(asked), lookup.target(told)
    if output is not None:
        yield Made("ire", pair, output, kin, lookup.id(asked), lookup.id(told))


def _answered(project: Project, edges: Iterable[_Edge]) -> dict[int, int]:
    """Return for each record the one with its response: itself, or what `respond` made of it first."""
    found = {row[0]: row[0] for row in project.read("SELECT number FROM records WHERE response IS NOT NULL")}
    for edge in edges:
        if edge.task == "respond":
            found.setdefault(edge.parent, edge.child)
    return found


def _contexts(project: Project) -> Mapping[int, list[int]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    for item, record in project.read("SELECT item, record FROM item_context ORDER BY item, place"):
        found[item].append(record)
    return found


def _with_replaced(project: Project, edges: Iterable[_Edge], alive: Collection[str]) -> set[int]:
    wanted = set(alive)
    kept = {number for number, name in project.read("SELECT number, id FROM records") if name in wanted}
    parents: defaultdict[int, list[int]] = defaultdict(list)
    for edge in edges:
        if edge.task in REPLACING:
            parents[edge.child].append(edge.parent)
    todo = list(kept)
    while todo:
        for parent in parents[todo.pop()]:
            if parent not in kept:
                kept.add(parent)
                todo.append(parent)
    return kept


def of_file(outcomes: Iterable[Record | Quarantined]) -> Iterator[Made]:
    """Yield what the rows of a file say was made.

    `augtui expand` writes `source` beside `instruction`, `augtui refine` writes `refined`; any row with a response is
    a pair. Where `source_id` names another row of the file, that pair belongs into its context. Rows that failed or
    were kept as they were are left out.
    """
    records = [_unrefined(outcome) for outcome in outcomes if isinstance(outcome, Record)]
    by_id = {_name(record): record for record in records if record.response}
    for record in records:
        extra = record.extra
        if extra.get("status") in ("failed", "pending"):
            continue
        name, kin = _name(record), _kin(record)
        source, refined = extra.get("source"), extra.get("refined")
        # Other data sets call the place that a row is from its `source`.
        if isinstance(source, str) and source.strip() and "source_id" in extra:
            yield Made("ie", Record(source), record, kin, _source_name(record), name)
        is_new = isinstance(refined, str) and refined.strip() and refined != record.instruction
        if isinstance(refined, str) and is_new and extra.get("status", "accepted") == "accepted":
            yield Made("ir", record, Record(refined), kin, name, f"{name}~refined")
        if record.response and not isinstance(refined, str):
            pair = by_id.get(_source_name(record))
            yield Made("ire", pair, record, kin, _source_name(record) if pair else "", name)


def _unrefined(record: Record) -> Record:
    """Return a row of `augtui refine`, of which other steps take the refined prompt, as the original with both."""
    original = record.extra.get("instruction")
    if not isinstance(original, str) or "refined" in record.extra or "provenance" not in record.extra:
        return record
    extra = {name: value for name, value in record.extra.items() if name != "instruction"}
    return replace(record, instruction=original, extra={**extra, "refined": record.instruction})


def _name(record: Record) -> str:
    return record.id if record.source_id is None else str(record.source_id)


def _source_name(record: Record) -> str:
    given = record.extra.get("source_id")
    return (
        str(given)
        if isinstance(given, str | int) and not isinstance(given, bool)
        else str(record.extra.get("source", ""))
    )


def _kin(record: Record) -> str:
    """Return the family that a row names, or itself."""
    extra: Mapping[str, Any] = record.extra
    if (named := kin(extra)) is not None:
        return named
    provenance = extra.get("provenance")
    if isinstance(provenance, dict) and isinstance(provenance.get("record"), str) and "refined" in extra:
        return str(provenance["record"])
    return _name(record)
