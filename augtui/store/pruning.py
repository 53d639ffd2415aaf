"""Pruning: verdicts on many records at once that can be taken back at once; nothing is deleted.

A pruned record is one whose result a person rejected, as in Review: exports and training sets leave it out. What an
item made is judged by that item; any other record gets an item of the task `prune`, which stands for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from augtui.domain.records import digest
from augtui.store import db
from augtui.store.projects import Project
from augtui.store.reviewers import Reviewer

TASK = "prune"
MARK = "pruned: "
"""How the reason of such a verdict begins."""

REJECTED = """SELECT i.result FROM main.reviews v JOIN main.items i ON i.number = v.item
    WHERE v.verdict = 'rejected' AND i.result IS NOT NULL
    AND v.number = (SELECT MAX(w.number) FROM main.reviews w WHERE w.item = v.item)"""
"""The records that a person rejected, as a query."""


@dataclass(frozen=True, slots=True)
class Prune:
    """One pruning that can be taken back."""

    reason: str
    count: int
    at: str
    reviewer: str | None
    """None for prunings from before they were signed."""


def rejected(project: Project) -> set[int]:
    """Return the numbers of the records that a person rejected."""
    return {row[0] for row in project.read(REJECTED)}


def prune(project: Project, records: Iterable[int], reason: str, by: Reviewer | None = None) -> int:
    """Reject records by their numbers, in one transaction; return how many were not rejected before.

    `reason` is in the user's words, `by` signs. Numbers of records that are gone do nothing.
    """
    noted = 0
    name, session = (None, None) if by is None else (by.name, by.session)
    with project.write() as conn:
        gone = {row[0] for row in conn.execute(REJECTED)}
        now, said = (
            _moment(conn.execute("SELECT MAX(created_at) FROM reviews").fetchone()[0]),
            MARK + db.storable(reason),
        )
        made_by = dict(
            conn.execute("SELECT result, MIN(number) FROM items WHERE result IS NOT NULL GROUP BY result").fetchall()
        )
        for number in dict.fromkeys(records):
            if number in gone:
                continue
            item = made_by.get(number) or _stand_in(conn, number, now)
            if item is not None:
                conn.execute(
                    "INSERT INTO reviews(item, verdict, reason, created_at, reviewer, session)"
                    " VALUES (?, 'rejected', ?, ?, ?, ?)",
                    (item, said, now, name, session),
                )
                noted += 1
    return noted


def newest(project: Project, by: Reviewer | None = None) -> Prune | None:
    """Return the newest pruning of a reviewer or of nobody's, without `by` whosever it is; None where there is none."""
    rows = project.read(_NEWEST, (by and by.name,))
    return _prune(rows[0]) if rows else None


def undo(project: Project, by: Reviewer | None = None, *, only_last: bool = False) -> Prune | None:
    """Take the newest pruning back, all of it; return it, None where there is none.

    With `by` it is one of this reviewer's or one that nobody signed: never another person's. With `only_last` only if
    no verdict, of these persons, was given since.
    """
    name = by and by.name
    with project.write() as conn:
        row = conn.execute(_NEWEST, (name,)).fetchone()
        if row is None:
            return None
        taken = _prune(row)
        signature = (MARK + taken.reason, taken.at, taken.reviewer)
        if only_last and signature != conn.execute(f"{_SIGNED} ORDER BY number DESC LIMIT 1", (name,)).fetchone():
            return None
        conn.execute("DELETE FROM reviews WHERE reason = ? AND created_at = ? AND reviewer IS ?", signature)
        conn.execute(
            "DELETE FROM items WHERE task = ? AND run_id IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM reviews v WHERE v.item = items.number)",
            (TASK,),
        )
        return taken


_SIGNED = "SELECT reason, created_at, reviewer FROM reviews WHERE (?1 IS NULL OR reviewer IS NULL OR reviewer = ?1)"
_NEWEST = f"""WITH newest AS ({_SIGNED} AND reason LIKE '{MARK}%' ORDER BY number DESC LIMIT 1)
    SELECT n.reason, n.created_at, n.reviewer, COUNT(*) FROM newest n JOIN reviews v
    ON v.reason = n.reason AND v.created_at = n.created_at AND v.reviewer IS n.reviewer
    GROUP BY n.reason, n.created_at, n.reviewer"""


def _prune(row: Sequence[Any]) -> Prune:
    reason, at, reviewer, count = row
    return Prune(reason[len(MARK) :], count, at, reviewer)


def _moment(last: str | None) -> str:
    """Return a time that no verdict has yet: it tells one pruning from another."""
    now = db.now()
    if last is None or now > last:
        return now
    later = datetime.fromisoformat(last) + timedelta(milliseconds=1)
    return later.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stand_in(conn: sqlite3.Connection, record: int, now: str) -> int | None:
    """Return the item that stands for a record which no item made; None where the record is gone."""
    row = conn.execute("SELECT id FROM records WHERE number = ?", (record,)).fetchone()
    if row is None:
        return None
    key = digest({"task": TASK, "record": row[0]})
    conn.execute(
        "INSERT INTO items(key, record, task, status, result, settled_at) VALUES (?, ?, ?, 'failed', ?, ?)"
        " ON CONFLICT(key) DO NOTHING",
        (key, record, TASK, record, now),
    )
    return int(conn.execute("SELECT number FROM items WHERE key = ?", (key,)).fetchone()[0])
