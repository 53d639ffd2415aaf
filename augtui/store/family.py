"""Families: records that are made from one another, however far, so that a split can keep them on one side."""

from __future__ import annotations

from collections.abc import Callable

from augtui.store.projects import Project


def families(project: Project) -> Callable[[int], str]:
    """Return what tells a record's family by the record's number: the id of its family's first record.

    A family is a connected part of the lineage graph; a record without relatives is its own. Only records that have
    relatives take memory.
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

    after = (0, 0, 0)
    query = (
        "SELECT child, parent, item FROM lineage WHERE (child, parent, item) > (?, ?, ?)"
        " ORDER BY child, parent, item LIMIT 10000"
    )
    while rows := project.read(query, after):
        for child, parent, _ in rows:
            a, b = root(child), root(parent)
            first[max(a, b)] = min(a, b)
        after = rows[-1]
    return lambda number: f"r{root(number)}"
