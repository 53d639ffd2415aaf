"""Lineage: what a record was made from and what was made from it, each step with all that made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from augtui.store import db
from augtui.store.projects import Project
from augtui.store.runs import ItemStatus

DEPTH = 1_000
"""Generations followed at most, so that a tampered file with a cycle ends."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step from a parent to a child, with all that made it."""

    depth: int
    """Generations from the record asked about, 1 for its own parents or children."""
    child: str
    parent: str
    item_key: str
    task: str
    sample: int
    status: ItemStatus
    run_id: int
    template_hash: str | None
    template_name: str | None
    model_sha256: str | None
    model_name: str | None
    config: Mapping[str, Any]
    seed: int | None
    attempt: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    duration_s: float | None
    settled_at: str


def ancestors(project: Project, record_id: str) -> list[Step]:
    """Return the steps that led to a record, the nearest first; none for an imported one."""
    return _walk(project, record_id, known="child", found="parent")


def descendants(project: Project, record_id: str) -> list[Step]:
    """Return the steps that began at a record, the nearest first."""
    return _walk(project, record_id, known="parent", found="child")


def _walk(
    project: Project, record_id: str, *, known: Literal["child", "parent"], found: Literal["child", "parent"]
) -> list[Step]:
    rows = project.read(
        f"""WITH RECURSIVE walk(depth, child, parent, item) AS (
                SELECT 1, child, parent, item FROM lineage
                WHERE {known} = (SELECT number FROM records WHERE id = ?)
                UNION
                SELECT w.depth + 1, l.child, l.parent, l.item
                FROM walk w JOIN lineage l ON l.{known} = w.{found} WHERE w.depth < {DEPTH}
            )
            SELECT MIN(w.depth), c.id, p.id, i.key, i.task, i.sample, i.status, i.run_id,
                   r.template_hash, t.name, r.model_sha256, m.name, r.config,
                   a.seed, i.attempt, a.prompt_tokens, a.completion_tokens, a.duration_s, i.settled_at
            FROM walk w JOIN records c ON c.number = w.child JOIN records p ON p.number = w.parent
            JOIN items i ON i.number = w.item JOIN runs r ON r.id = i.run_id
            LEFT JOIN templates t ON t.hash = r.template_hash LEFT JOIN models m ON m.sha256 = r.model_sha256
            LEFT JOIN attempts a ON a.item = i.number AND a.attempt = i.attempt AND a.run_id = i.run_id
            GROUP BY w.child, w.parent, w.item ORDER BY 1, w.child, w.parent, w.item""",
        (record_id,),
    )
    return [_step(list(row)) for row in rows]


def _step(row: list[Any]) -> Step:
    row[12] = db.mapping(row[12])
    return Step(*row)
