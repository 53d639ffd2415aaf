"""What items of a task took with a model, from the tries that a project has noted."""

from __future__ import annotations

from dataclasses import dataclass

from augtui.store.projects import Project

LEAST_ITEMS = 8
"""Fewer settled items than this say too little."""
PAUSE_S = 60.0
"""A longer time between two tries was a pause, not work."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Means over items, rejected tries included."""

    items: int
    prompt_tokens: float
    completion_tokens: float
    seconds: float | None
    """Of work for one item, with as many at a time as there were; None where the times say nothing."""
    accepted: float
    """Share of the items that were accepted."""


def recorded(project: Project, task: str, model_sha256: str) -> Recorded | None:
    """Return what a task took with a model in the runs of a project; None where it has seen too few items."""
    counts = project.read(
        "SELECT COUNT(*), TOTAL(i.status = 'accepted') FROM items i JOIN runs r ON r.id = i.run_id"
        " WHERE i.task = ? AND r.model_sha256 = ? AND i.attempt IS NOT NULL",
        (task, model_sha256),
    )[0]
    items = int(counts[0])
    if items < LEAST_ITEMS:
        return None
    tokens = project.read(
        "SELECT TOTAL(a.prompt_tokens), TOTAL(a.completion_tokens) FROM attempts a JOIN runs r ON r.id = a.run_id"
        " WHERE r.task = ? AND r.model_sha256 = ?",
        (task, model_sha256),
    )[0]
    seconds = project.read(
        """SELECT TOTAL(gap), COUNT(gap) FROM (
               SELECT (julianday(a.created_at) - julianday(LAG(a.created_at)
                       OVER (PARTITION BY a.run_id ORDER BY a.created_at))) * 86400 AS gap
               FROM attempts a JOIN runs r ON r.id = a.run_id WHERE r.task = ? AND r.model_sha256 = ?)
           WHERE gap BETWEEN 0 AND ?""",
        (task, model_sha256, PAUSE_S),
    )[0]
    work = float(seconds[0]) / items if seconds[1] and seconds[0] > 0 else None
    return Recorded(items, tokens[0] / items, tokens[1] / items, work, float(counts[1]) / items)
