"""How long work has taken, so that a run's time can be told before it begins."""

from __future__ import annotations

from dataclasses import dataclass

from augtui.store.projects import Project

LEAST = 8
"""Items that a run must have settled to be measured by."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What one item of a task took, on average."""

    seconds: float
    """Wall-clock seconds an item, slots and retries included."""
    run: int
    """The run that was measured."""
    items: int


def pace(project: Project, task: str) -> Pace | None:
    """Return the pace of the task's newest run with at least `LEAST` results, None when there is none.

    Gaps of more than five minutes between two results are interruptions and do not count.
    """
    for (run,) in project.read("SELECT id FROM runs WHERE task = ? ORDER BY id DESC LIMIT 5", (task,)):
        rows = project.read(
            """SELECT COUNT(*), SUM(MIN(gap, 300.0)) FROM (
                   SELECT 86400.0 * (julianday(settled_at) - LAG(julianday(settled_at)) OVER (ORDER BY settled_at))
                          AS gap
                   FROM (SELECT settled_at FROM items WHERE run_id = ? ORDER BY number DESC LIMIT 2000)
               ) WHERE gap < 300.0""",
            (run,),
        )
        count, seconds = rows[0]
        if count and count >= LEAST - 1 and seconds:
            return Pace(float(seconds) / count, run, int(count) + 1)
    return None
