"""Judging: results that wait for a person, in an order that suits people, and the verdicts on them.

Each verdict is saved at once and can be taken back, the newest first. An edit, and an acceptance against the guard,
become records of their own; what exports and preferences make of verdicts is in `augtui.store.reviews` and
`augtui.store.preferences`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from augtui.errors import StoreError
from augtui.store import db
from augtui.store.dataset import GeneratedRecord, insert_generated
from augtui.store.projects import Project
from augtui.store.pruning import MARK as PRUNED
from augtui.store.reviewers import Reviewer
from augtui.store.runs import ItemStatus

Verdict = Literal["accepted", "edited", "rejected"]
Order = Literal["uncertain", "input", "newest"]


@dataclass(frozen=True, slots=True)
class Undone:
    """A verdict that was taken back."""

    item: int
    reviewer: str | None
    """None for verdicts from before they were signed."""
    created_at: str
    is_of_session: bool
    """Whether it was given in the session that takes it back."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A result that a person may judge."""

    item: int
    """Number of the item."""
    key: str
    record_id: str
    task: str
    status: ItemStatus
    original: str
    """The instruction that the item worked on."""
    text: str | None
    """The model's text: the accepted one, or the last that was not good enough; None where there is none."""
    reason: str | None
    """Why it was not good enough."""
    run_id: int | None
    tries: int
    template: str | None
    """Name and hash of the prompt's template, `refine@3fa1…`."""
    model: str | None
    result_id: str | None
    response: str | None
    """The result's response, where it has one."""
    verdict: Verdict | None
    """What a person said of it last."""
    reviewed_text: str | None
    review_reason: str | None


_HELD = "(SELECT MAX(number) FROM reviews WHERE item = i.number)"
"""The number of the review that holds for item `i`."""

_LAST_TEXT = """COALESCE(i.text, (SELECT a.text FROM attempts a WHERE a.item = i.number AND a.text <> ''
    ORDER BY a.attempt DESC LIMIT 1))"""

_ORDERS: dict[Order, str] = {
    # What the guard refused, then what took several tries, then what changed most in length.
    "uncertain": "i.status = 'accepted', COALESCE(i.attempt, 0) DESC,"
    " ABS(LENGTH(COALESCE(i.text, '')) - LENGTH(c.instruction)) DESC, i.number",
    "input": "i.number",
    "newest": "i.settled_at DESC, i.number DESC",
}


def candidates(
    project: Project,
    *,
    order: Order = "uncertain",
    run: int | None = None,
    task: str | None = None,
    status: ItemStatus | None = None,
    reason: str | None = None,
    reviewed: bool = False,
    limit: int = 10_000,
) -> list[int]:
    """Return the numbers of the items that are to be judged, at most `limit`.

    `reason` is the kind of the guard's reason (what stands before its colon). `reviewed` brings those that were judged
    already too. An item without any text of a model is nothing to judge.
    """
    conditions, parameters = ["i.status <> 'pending'"], list[object]()
    if run is not None:
        conditions.append("i.number IN (SELECT item FROM run_items WHERE run_id = ?)")
        parameters.append(run)
    if task is not None:
        conditions.append("i.task = ?")
        parameters.append(task)
    if status is not None:
        conditions.append("i.status = ?")
        parameters.append(status)
    if reason is not None:
        conditions.append("(i.reason = ? OR i.reason LIKE ? ESCAPE '\\')")
        parameters += [reason, _like(reason) + ":%"]
    if not reviewed:
        conditions.append("NOT EXISTS (SELECT 1 FROM reviews v WHERE v.item = i.number)")
    conditions.append(
        "(i.text IS NOT NULL OR EXISTS (SELECT 1 FROM attempts a WHERE a.item = i.number AND a.text <> ''))"
    )
    rows = project.read(
        f"SELECT i.number FROM items i JOIN records c ON c.number = i.record WHERE {' AND '.join(conditions)}"
        f" ORDER BY {_ORDERS[order]} LIMIT ?",
        (*parameters, limit),
    )
    return [row[0] for row in rows]


def candidate(project: Project, item: int) -> Candidate | None:
    """Return one item to judge by its number, None when there is none."""
    rows = project.read(
        f"""SELECT i.number, i.key, c.id, i.task, i.status, c.instruction, {_LAST_TEXT}, i.reason, i.run_id,
                   (SELECT COUNT(*) FROM attempts WHERE item = i.number), t.name || '@' || SUBSTR(t.hash, 1, 6), m.name,
                   g.id, g.response, v.verdict, v.text, v.reason
            FROM items i JOIN records c ON c.number = i.record
            LEFT JOIN runs r ON r.id = i.run_id LEFT JOIN templates t ON t.hash = r.template_hash
            LEFT JOIN models m ON m.sha256 = r.model_sha256 LEFT JOIN records g ON g.number = i.result
            LEFT JOIN reviews v ON v.number = {_HELD} WHERE i.number = ?""",
        (item,),
    )
    return Candidate(*rows[0]) if rows else None


def accept(project: Project, items: Iterable[int], *, by: Reviewer | None = None) -> int:
    """Accept the model's texts of items, in one transaction; return how many verdicts were noted.

    A text that the guard had refused becomes a record of its own: the person overrules the guard.
    """
    noted = 0
    with project.write() as conn:
        for item in items:
            row = conn.execute(
                f"SELECT i.key, i.status, {_LAST_TEXT} FROM items i WHERE i.number = ? AND i.status <> 'pending'",
                (item,),
            ).fetchone()
            if row is None or row[2] is None:
                continue
            key, status, text = row
            child = None if status == "accepted" else _child(conn, item, key, text, None)
            _note(conn, item, "accepted", by, judged=text, result=child)
            noted += 1
    return noted


def reject(project: Project, item: int, reason: str | None = None, *, by: Reviewer | None = None) -> None:
    """Reject the model's text of an item; `reason` is in the reviewer's words."""
    with project.write() as conn:
        _, text, _ = _judged(conn, item)
        _note(conn, item, "rejected", by, judged=text, reason=reason or None)


def edit(project: Project, item: int, text: str, *, by: Reviewer | None = None) -> str:
    """Put a better text in the model's place: a new record, child of what was edited; return its id.

    Raises StoreError for an empty text.
    """
    if not text.strip():
        raise StoreError("An edited text cannot be empty.", hint="Reject the result instead.")
    with project.write() as conn:
        key, judged, response = _judged(conn, item)
        child = _child(conn, item, key, text, response)
        _note(conn, item, "edited", by, text=text, judged=judged, result=child)
        return str(conn.execute("SELECT id FROM records WHERE number = ?", (child,)).fetchone()[0])


def undo(project: Project, by: Reviewer | None = None) -> Undone | None:
    """Take the newest verdict of a reviewer back, None where there is none; without `by` whosever it is.

    Those of the session come first, then the reviewer's former ones, then those that nobody signed: never another
    person's, nor a part of a pruning. A record that an edit made stays unless it was made by this verdict alone.
    """
    with project.write() as conn:
        row = conn.execute(
            "SELECT number, item, result, reviewer, created_at, session IS ?2 FROM reviews"
            " WHERE (?1 IS NULL OR reviewer IS NULL OR reviewer = ?1) AND coalesce(reason, '') NOT LIKE ?3 || '%'"
            " ORDER BY CASE WHEN ?1 IS NULL THEN 0 WHEN session IS ?2 AND reviewer = ?1 THEN 0"
            " WHEN reviewer = ?1 THEN 1 ELSE 2 END, number DESC LIMIT 1",
            (None if by is None else by.name, None if by is None else by.session, PRUNED),
        ).fetchone()
        if row is None:
            return None
        number, item, result, reviewer, created_at, is_of_session = row
        conn.execute("DELETE FROM reviews WHERE number = ?", (number,))
        if result is not None and not _is_used(conn, result, item):
            conn.execute("DELETE FROM lineage WHERE child = ?", (result,))
            conn.execute("DELETE FROM records WHERE number = ?", (result,))
        return Undone(int(item), reviewer, created_at, bool(is_of_session))


def counts(project: Project) -> dict[Verdict, int]:
    """Return how many items have each verdict."""
    rows = project.read(
        "SELECT verdict, COUNT(*) FROM reviews WHERE number IN (SELECT MAX(number) FROM reviews GROUP BY item)"
        " GROUP BY verdict"
    )
    found: dict[Verdict, int] = {"accepted": 0, "edited": 0, "rejected": 0}
    found.update(rows)
    return found


def reasons(project: Project) -> list[tuple[str, int]]:
    """Return the kinds of the guard's reasons among settled items, the most frequent first."""
    rows = project.read(
        """SELECT SUBSTR(reason, 1, INSTR(reason || ':', ':') - 1) AS kind, COUNT(*) FROM items
           WHERE reason IS NOT NULL
           GROUP BY kind ORDER BY 2 DESC, 1"""
    )
    return [(str(kind), int(count)) for kind, count in rows]


def _judged(conn: sqlite3.Connection, item: int) -> tuple[str, str, str | None]:
    row = conn.execute(
        f"SELECT i.key, {_LAST_TEXT}, g.response FROM items i LEFT JOIN records g ON g.number = i.result"
        " WHERE i.number = ? AND i.status <> 'pending'",
        (item,),
    ).fetchone()
    if row is None:
        raise StoreError("This item has no result yet.", hint="Let its run finish first.")
    return row[0], row[1] or "", row[2]


def _child(conn: sqlite3.Connection, item: int, key: str, text: str, response: str | None) -> int:
    """Insert the text as a record made from the item's result, or else from its own record; return its number."""
    record_id = insert_generated(conn, key, GeneratedRecord(text, response))
    number = int(conn.execute("SELECT number FROM records WHERE id = ?", (record_id,)).fetchone()[0])
    conn.execute(
        "INSERT INTO lineage(child, parent, item) SELECT ?1, COALESCE(result, record), number FROM items"
        " WHERE number = ?2 AND COALESCE(result, record) <> ?1 ON CONFLICT DO NOTHING",
        (number, item),
    )
    return number


def _note(
    conn: sqlite3.Connection,
    item: int,
    verdict: Verdict,
    by: Reviewer | None,
    *,
    text: str | None = None,
    judged: str | None = None,
    reason: str | None = None,
    result: int | None = None,
) -> None:
    conn.execute(
        "INSERT INTO reviews(item, verdict, text, judged, reason, result, created_at, reviewer, session)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            item,
            verdict,
            None if text is None else db.storable(text),
            None if judged is None else db.storable(judged),
            None if reason is None else db.storable(reason),
            result,
            db.now(),
            None if by is None else by.name,
            None if by is None else by.session,
        ),
    )


def _is_used(conn: sqlite3.Connection, record: int, item: int) -> bool:
    """Say whether anything but the verdict on `item` refers to the record."""
    tests = (
        ("SELECT 1 FROM items WHERE number = ?2 AND result = ?1", (record, item)),
        ("SELECT 1 FROM lineage WHERE (child = ?1 AND item <> ?2) OR parent = ?1", (record, item)),
        ("SELECT 1 FROM items WHERE record = ?1", (record,)),
        ("SELECT 1 FROM reviews WHERE result = ?1", (record,)),
        ("SELECT 1 FROM sources WHERE record = ?1", (record,)),
    )
    return any(conn.execute(f"{sql} LIMIT 1", values).fetchone() is not None for sql, values in tests)


def _like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
