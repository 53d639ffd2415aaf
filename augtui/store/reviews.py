"""Reviews: what people thought of a result, and what they made of it; the last word on an item holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from augtui.errors import UsageError
from augtui.store import db
from augtui.store.projects import Project

Verdict = Literal["accepted", "edited", "rejected"]


@dataclass(frozen=True, slots=True)
class Review:
    """One opinion on an item's result."""

    verdict: Verdict
    text: str | None
    """The edited text, only where the verdict is `edited`."""
    created_at: str


def add(project: Project, item_key: str, verdict: Verdict, text: str | None = None) -> None:
    """Note an opinion. Raises KeyError for an item that there is not, UsageError for an edit without a text."""
    if (verdict == "edited") != (text is not None and text.strip() != ""):
        raise UsageError("an edited result needs its text, and only that one has one")
    with project.write() as conn:
        found = conn.execute("SELECT number FROM items WHERE key = ?", (item_key,)).fetchone()
        if found is None:
            raise KeyError(item_key)
        conn.execute(
            "INSERT INTO reviews(item, verdict, text, created_at) VALUES (?, ?, ?, ?)",
            (found[0], verdict, None if text is None else db.storable(text), db.now()),
        )


def undo(project: Project, item_key: str) -> bool:
    """Take back the last opinion on an item, and say whether there was one."""
    with project.write() as conn:
        return bool(
            conn.execute(
                "DELETE FROM reviews WHERE number = (SELECT MAX(v.number) FROM reviews v"
                " JOIN items i ON i.number = v.item WHERE i.key = ?)",
                (item_key,),
            ).rowcount
        )


def history(project: Project, item_key: str) -> list[Review]:
    """Return the opinions on an item, the last one last."""
    rows = project.read(
        "SELECT v.verdict, v.text, v.created_at FROM reviews v JOIN items i ON i.number = v.item"
        " WHERE i.key = ? ORDER BY v.number",
        (item_key,),
    )
    return [Review(*row) for row in rows]


def of_results(project: Project) -> dict[int, tuple[str, Review]]:
    """Return the last opinion on each record that was made, with the task that made it, by the record's number.

    Where an edit is a record of its own, that one stands for it, and the edited one counts as rejected.
    """
    rows = project.read(
        "SELECT i.result, i.task, CASE WHEN v.result <> i.result THEN 'rejected' ELSE v.verdict END, v.text,"
        " v.created_at FROM reviews v JOIN items i ON i.number = v.item"
        " WHERE i.result IS NOT NULL ORDER BY v.number"
    )
    return {result: (task, Review(*review)) for result, task, *review in rows}
