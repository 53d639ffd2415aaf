"""What items of a task took before, from the tries that a project has noted: forecasts and the app tell times by it."""

from __future__ import annotations

from dataclasses import dataclass

from augtui.store.projects import Project

LEAST_ITEMS = 8
"""Fewer settled items than this say too little."""
NEWEST_TRIES = 2000
"""So many of the newest tries are looked at: enough for any mean, and quick in a project of millions."""
PAUSE_S = 300.0
"""A longer time between two tries of a run was a pause, not work."""
NEWEST_RUNS = 5


@dataclass(frozen=True, slots=True)
class Pace:
    """Means over settled items, rejected tries included."""

    run: int
    """The run that was measured, the newest where there were several."""
    items: int
    prompt_tokens: float
    completion_tokens: float
    seconds: float | None
    """Wall-clock seconds an item, with as many at a time as there were; None where the times say nothing."""
    accepted: float
    """Share of the items that were accepted."""


def of_model(project: Project, task: str, model_sha256: str) -> Pace | None:
    """Return what a task took with a model, over all runs; None where too few items were settled."""
    runs = project.read("SELECT id FROM runs WHERE task = ? AND model_sha256 = ?", (task, model_sha256))
    return _pace(project, [run for (run,) in runs])


def of_newest_run(project: Project, task: str) -> Pace | None:
    """Return what the task's newest run took that has settled enough items and tells a time; None: there is none."""
    query = "SELECT id FROM runs WHERE task = ? ORDER BY id DESC LIMIT ?"
    for (run,) in project.read(query, (task, NEWEST_RUNS)):
        found = _pace(project, [run])
        if found is not None and found.seconds is not None:
            return found
    return None


def _pace(project: Project, runs: list[int]) -> Pace | None:
    """Return the means over what the runs' newest tries settled."""
    if not runs:
        return None
    row = project.read(
        f"""WITH tries AS MATERIALIZED (
                SELECT a.item, a.run_id, a.prompt_tokens, a.completion_tokens, julianday(a.created_at) AS at, i.status
                FROM attempts a CROSS JOIN items i ON i.number = a.item
                WHERE a.run_id IN ({",".join("?" * len(runs))}) ORDER BY a.rowid DESC LIMIT ?),
            settled AS (SELECT * FROM tries WHERE status <> 'pending'),
            gaps AS (SELECT 86400.0 * (at - LAG(at) OVER (PARTITION BY run_id ORDER BY at)) AS gap FROM tries)
            SELECT COUNT(*), COUNT(DISTINCT item), COUNT(DISTINCT CASE status WHEN 'accepted' THEN item END),
                   TOTAL(prompt_tokens), TOTAL(completion_tokens), MAX(run_id),
                   (SELECT AVG(gap) FROM gaps WHERE gap BETWEEN 0 AND ?)
            FROM settled""",
        (*runs, NEWEST_TRIES, PAUSE_S),
    )[0]
    tries, items, accepted, prompt_tokens, completion_tokens, run, gap = row
    if items < LEAST_ITEMS:
        return None
    seconds = gap * tries / items if gap else None
    return Pace(run, items, prompt_tokens / items, completion_tokens / items, seconds, accepted / items)
