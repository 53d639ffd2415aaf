"""What was already made of a record by the same task, so that new work can differ from it."""

from __future__ import annotations

from augtui.store.projects import Project


def accepted_texts(project: Project, task: str, record_id: str, run_id: int) -> list[str]:
    """Return the accepted texts of a task on a record in the project's other runs, oldest first."""
    rows = project.read(
        "SELECT text FROM items WHERE record = (SELECT number FROM records WHERE id = ?) AND task = ?"
        " AND status = 'accepted' AND text IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM run_items r WHERE r.item = items.number AND r.run_id = ?)"
        " ORDER BY settled_at, number",
        (record_id, task, run_id),
    )
    return [row[0] for row in rows]
