"""Browsing: records by filter and search, at any place of a list of millions, a page at a time.

A list is known by its anchors: the number of every `STRIDE`th record that matches. From an anchor the next page is a
short walk along the primary key, whatever the place in the list; the anchors of a million records are 4,000 numbers.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

from augtui.store import maps, pruning, search
from augtui.store.projects import Project

STRIDE = 256
"""Records between two anchors, which is a page."""
TEXT = 600
"""Characters of a text that a row of a list holds."""

LAST = 2**63 - 1
"""No record has this number."""

STATES: dict[str, str] = {
    "imported": "r.origin = 'imported'",
    "generated": "r.origin = 'generated'",
    "accepted": "EXISTS (SELECT 1 FROM items i WHERE i.record = r.number AND i.status = 'accepted')",
    "kept original": "EXISTS (SELECT 1 FROM items i WHERE i.record = r.number AND i.status = 'kept_original')",
    "failed": "EXISTS (SELECT 1 FROM items i WHERE i.record = r.number AND i.status = 'failed')",
    "pending": "EXISTS (SELECT 1 FROM items i WHERE i.record = r.number AND i.status = 'pending')",
    "untouched": "NOT EXISTS (SELECT 1 FROM items i WHERE i.record = r.number)",
    "reviewed": "EXISTS (SELECT 1 FROM items i JOIN reviews v ON v.item = i.number WHERE i.record = r.number)",
    "with response": "r.response IS NOT NULL",
    "without response": "r.response IS NULL",
}
"""What a record can be, as conditions on record `r`."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records are wanted; None and the empty text want all."""

    text: str = ""
    state: str | None = None
    """One of `STATES`."""
    task: str | None = None
    """Worked on or made by this task."""
    language: str | None = None
    run: int | None = None
    cluster: str | None = None
    """Path of a cluster of the map, such as `3.1`."""
    kept: bool = False
    """Only what no person has rejected."""

    def __bool__(self) -> bool:
        """Say whether anything is left out."""
        given = self.text.strip() or self.state or self.task or self.language or self.cluster or self.kept
        return bool(given or self.run is not None)


@dataclass(slots=True)
class Listing:
    """A filtered list: its length, and where its pages begin."""

    wanted: Filter
    total: int
    anchors: array[int]
    """Number of the first record of each page."""
    where: str = "1"
    parameters: dict[str, object] = field(default_factory=dict)

    @property
    def pages(self) -> int:
        """Return the number of pages."""
        return len(self.anchors)


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record as a line of a list."""

    number: int
    id: str
    instruction: str
    """At most `TEXT` characters."""
    has_response: bool
    origin: str
    language: str | None
    task: str | None
    """The task that made the record, or that worked on it last."""
    state: str
    """`imported`, or the status of the task's item, or the verdict of a person."""


def listing(project: Project, wanted: Filter, *, attached: bool = False) -> Listing:
    """Return the list of the records that `wanted` matches; reads the whole table, or the search index."""
    where, parameters = _where(project, wanted, attached)
    if where == "1":
        total, last = project.read("SELECT COUNT(*), COALESCE(MAX(number), 0) FROM records")[0]
        if total == last:  # numbered without gaps
            return Listing(wanted, total, array("q", range(1, total + 1, STRIDE)))
    # One pass: the place of every match is counted by SQLite, only the anchors come out.
    rows = project.read(
        f"""SELECT number, place, total FROM (
                SELECT r.number AS number, ROW_NUMBER() OVER (ORDER BY r.number) - 1 AS place, COUNT(*) OVER () AS total
                FROM records r WHERE {where}
            ) WHERE place % {STRIDE} = 0 ORDER BY place"""
        if where != "1"
        else f"""SELECT number, place, 0 FROM (
                SELECT r.number AS number, ROW_NUMBER() OVER (ORDER BY r.number) - 1 AS place FROM records r
            ) WHERE place % {STRIDE} = 0 ORDER BY place""",
        {**parameters, "first": 0, "end": LAST},
    )
    total = rows[0][2] if rows else 0
    if where == "1":
        total = int(project.read("SELECT COUNT(*) FROM records")[0][0])
    return Listing(wanted, total, array("q", (row[0] for row in rows)), where, parameters)


def page(project: Project, listed: Listing, number: int) -> list[RecordRow]:
    """Return page `number` (from 0) of a list, `STRIDE` rows or, at its end, fewer."""
    if not 0 <= number < listed.pages or (listed.wanted.cluster and not maps.attach(project)):
        return []
    start = listed.anchors[number]
    end = listed.anchors[number + 1] if number + 1 < listed.pages else LAST
    rows = project.read(
        f"{_ROW} WHERE r.number >= :first AND r.number < :end AND {listed.where} ORDER BY r.number LIMIT {STRIDE}",
        {**listed.parameters, "first": start, "end": end},
    )
    return [_row(row) for row in rows]


def place(listed: Listing, number: int) -> int:
    """Return the page in which a record of that number is, or would be."""
    return max(0, bisect_right(listed.anchors, number) - 1)


@dataclass(frozen=True, slots=True)
class StepCount:
    """What a task has come to over all runs of a project."""

    task: str
    accepted: int
    kept_original: int
    failed: int
    pending: int

    @property
    def total(self) -> int:
        """Return the number of items."""
        return self.accepted + self.kept_original + self.failed + self.pending


def step_counts(project: Project) -> dict[str, StepCount]:
    """Return how many items of each task have which status."""
    found: dict[str, dict[str, int]] = {}
    for task, status, count in project.read("SELECT task, status, COUNT(*) FROM items GROUP BY task, status"):
        found.setdefault(task, {})[status] = count
    return {
        task: StepCount(task, *(by.get(name, 0) for name in ("accepted", "kept_original", "failed", "pending")))
        for task, by in found.items()
    }


def imported(project: Project) -> StepCount | None:
    """Return how many records imports have added, and lines they set aside; None where nothing was imported."""
    added, aside, runs = project.read(
        "SELECT COALESCE(SUM(added), 0), COALESCE(SUM(quarantined), 0), COUNT(*) FROM imports"
    )[0]
    return StepCount("import", added, 0, aside, 0) if runs else None


def languages(project: Project) -> list[tuple[str, int]]:
    """Return the languages that records are known to have, the most frequent first."""
    rows = project.read(
        "SELECT language, COUNT(*) FROM records WHERE language IS NOT NULL GROUP BY language ORDER BY 2 DESC, 1"
    )
    return [(str(name), int(count)) for name, count in rows]


def data_version(project: Project) -> int:
    """Return a number that changes whenever another connection has changed the project."""
    return int(project.read("PRAGMA main.data_version")[0][0])


_ROW = f"""
    SELECT r.number, r.id, SUBSTR(r.instruction, 1, {TEXT}), r.response IS NOT NULL, r.origin, r.language,
           (SELECT i.task || ' ' || COALESCE((SELECT verdict FROM reviews WHERE item = i.number
                                              ORDER BY number DESC LIMIT 1), i.status)
            FROM items i WHERE i.record = r.number ORDER BY i.number DESC LIMIT 1),
           (SELECT i.task || ' ' || COALESCE((SELECT verdict FROM reviews WHERE item = i.number
                                              ORDER BY number DESC LIMIT 1), 'made')
            FROM lineage l JOIN items i ON i.number = l.item WHERE l.child = r.number LIMIT 1)
    FROM records r
"""


def _row(row: tuple[Any, ...]) -> RecordRow:
    number, record_id, instruction, has_response, origin, language, worked_on, made_by = row
    task, _, state = (worked_on or made_by or "").partition(" ")
    return RecordRow(
        number, record_id, instruction, bool(has_response), origin, language, task or None, state or str(origin)
    )


def _where(project: Project, wanted: Filter, attached: bool) -> tuple[str, dict[str, object]]:
    clauses: list[str] = []
    parameters: dict[str, object] = {}
    if wanted.state is not None:
        clauses.append(STATES[wanted.state])
    if wanted.task is not None:
        clauses.append(
            "(EXISTS (SELECT 1 FROM items i WHERE i.record = r.number AND i.task = :task)"
            " OR EXISTS (SELECT 1 FROM lineage l JOIN items i ON i.number = l.item"
            " WHERE l.child = r.number AND i.task = :task))"
        )
        parameters["task"] = wanted.task
    if wanted.language is not None:
        clauses.append("r.language = :language")
        parameters["language"] = wanted.language
    if wanted.run is not None:
        clauses.append(
            "r.number IN (SELECT i.record FROM run_items q JOIN items i ON i.number = q.item WHERE q.run_id = :run"
            " UNION SELECT l.child FROM run_items q JOIN lineage l ON l.item = q.item WHERE q.run_id = :run)"
        )
        parameters["run"] = wanted.run
    if wanted.cluster is not None:
        cluster = maps.find(project, wanted.cluster)
        clauses.append(
            f"r.number IN (SELECT record FROM {maps.SCHEMA}.points WHERE cluster BETWEEN :cluster AND :last_cluster)"
        )
        parameters |= {"cluster": cluster.number, "last_cluster": cluster.last}
    if wanted.kept:
        clauses.append(f"r.number NOT IN ({pruning.REJECTED})")
    if wanted.text.strip():
        indexed_to = search.indexed(project) if attached else 0
        clause, values = search.condition(wanted.text, attached=attached, indexed_to=indexed_to)
        clauses.append(clause)
        parameters |= values
    return " AND ".join(f"({clause})" for clause in clauses) or "1", parameters
