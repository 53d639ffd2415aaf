"""Families: records that are made from one another, however far, so that a split can keep them on one side."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from augtui.domain.records import kin
from augtui.store import db
from augtui.store.projects import Project

_PAGE = 10_000


def families(project: Project) -> Callable[[int], str]:
    """Return what tells a record's family by the record's number: the id of its family's first record.

    A family is a connected part of the lineage graph; a record without relatives is its own. Rows that augtui wrote
    into a file, and that were imported, are joined as they say themselves (`family`, `source_id`), and with the row of
    that id. Only records that have relatives take memory.
    """
    first: dict[int, int] = {}

    def root(number: int) -> int:
        top = number
        while (up := first.get(top, top)) != top:
            top = up
        while (up := first.get(number, number)) != top:
            first[number] = top
            number = up
        return top

    def join(one: int, other: int) -> None:
        a, b = root(one), root(other)
        first[max(a, b)] = min(a, b)

    after = (0, 0, 0)
    query = (
        "SELECT child, parent, item FROM lineage WHERE (child, parent, item) > (?, ?, ?)"
        " ORDER BY child, parent, item LIMIT 10000"
    )
    while rows := project.read(query, after):
        for child, parent, _ in rows:
            join(child, parent)
        after = rows[-1]
    for record, other in _imported_relatives(project):
        join(record, other)
    return lambda number: f"r{root(number)}"


def _imported_relatives(project: Project) -> Iterator[tuple[int, int]]:
    """Yield pairs of imported records that are relatives, as the rows that augtui wrote say."""
    named: dict[str, int] = {}
    # `provenance` is how such rows are known: what other data sets call a family is their own affair.
    for _, record, extra in _sources(project, "extra", "extra LIKE '%\"provenance\"%'"):
        name = kin(db.mapping(extra))
        if name is not None:
            yield record, named.setdefault(name, record)
    if named:
        for _, record, given in _sources(project, "given_id", "given_id IS NOT NULL"):
            if (other := named.get(str(db.from_json(given)))) is not None:
                yield record, other


def _sources(project: Project, column: str, condition: str) -> Iterator[tuple[int, int, str]]:
    after = 0
    query = (
        f"SELECT number, record, {column} FROM sources WHERE number > ? AND {condition} ORDER BY number LIMIT {_PAGE}"
    )
    while rows := project.read(query, (after,)):
        yield from rows
        after = rows[-1][0]
