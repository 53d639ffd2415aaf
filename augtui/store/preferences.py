"""Preferences: of an item's tries the one that was kept against each that was not, and people's edits against both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from augtui.store import browse, db
from augtui.store.browse import Filters
from augtui.store.projects import Project

Kind = Literal["tries", "edited"]
"""An accepted try against a rejected one, or a person's edit against the model's text. What the judge accepted and a
person rejected is never chosen."""

PAGE = 200


@dataclass(frozen=True, slots=True)
class Preference:
    """Two answers to one prompt, of which the first is better."""

    item_number: int
    number: int
    """0-based among the item's pairs."""
    item_key: str
    task: str
    kind: Kind
    record_number: int
    record_id: str
    instruction: str
    response: str | None
    """The record's own response."""
    extra: Mapping[str, Any]
    language: str | None
    chosen: str
    rejected: str
    reason: str | None
    """Why the rejected one was."""
    run_id: int


def preferences(project: Project, filters: Filters) -> Iterator[Preference]:
    """Yield the pairs of every settled item whose record passes, in the order of the items."""
    where, parameters = browse.conditions(replace(filters, task=None, run=None))
    for column, wanted in (("task", filters.task), ("run_id", filters.run)):
        if wanted is not None:
            where += f" AND i.{column} = ?"
            parameters += (wanted,)

    def fetch(after: int) -> list[tuple[Any, ...]]:
        return project.read(_ITEMS.format(where=where), (after, *parameters, PAGE))

    for item in db.pages(fetch, lambda row: int(row[0]), 1):
        yield from _pairs(project, item)


def _pairs(project: Project, item: tuple[Any, ...]) -> Iterator[Preference]:
    number, key, task, record, record_id, instruction, response, extra, language, run, kept, verdict, edited = item
    tries = project.read(
        "SELECT attempt, run_id, text, verdict, reason FROM attempts WHERE item = ? ORDER BY attempt, run_id", (number,)
    )
    accepted = next((text for attempt, by, text, _, _ in tries if attempt == kept and by == run), None)
    if verdict == "accepted" and edited:  # a person may accept what the judge did not
        accepted = edited
    found: list[tuple[Kind, str, str, str | None]] = []
    if verdict == "edited":
        found += [("edited", edited, text, "edited by a person") for text in [accepted] if text]
        found += [("edited", edited, text, reason) for _, _, text, said, reason in tries if said == "rejected"]
    elif verdict != "rejected" and accepted is not None:
        found += [("tries", accepted, text, reason) for _, _, text, said, reason in tries if said == "rejected"]
    seen: set[str] = set()
    pairs = 0
    for kind, chosen, worse, reason in found:
        chosen, worse = chosen.strip(), worse.strip()
        if worse and chosen and worse != chosen and worse not in seen:
            seen.add(worse)
            yield Preference(
                number, pairs, key, task, kind, record, record_id, instruction, response, db.mapping(extra), language,
                chosen, worse, reason, run,
            )  # fmt: skip
            pairs += 1


_ITEMS = """
    SELECT i.number, i.key, i.task, c.number, c.id, c.instruction, c.response, COALESCE(c.extra, s.extra), c.language,
           i.run_id, i.attempt, v.verdict, v.text
    FROM items i JOIN records c ON c.number = i.record
    LEFT JOIN sources s ON s.number = (SELECT MIN(number) FROM sources WHERE record = c.number)
    LEFT JOIN reviews v ON v.number = (SELECT MAX(number) FROM reviews WHERE item = i.number)
    WHERE i.number > ? {where} AND i.run_id IS NOT NULL
          AND (i.status = 'accepted' OR v.verdict IN ('accepted', 'edited'))
    ORDER BY i.number LIMIT ?
"""
