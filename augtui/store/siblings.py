"""What was already made of a record by the same task, so that new work can differ from it."""

from __future__ import annotations

from augtui.store.projects import Project


def accepted_texts(project: Project, task: str, record_id: str) -> list[str]:
    """Return the accepted texts of a task on a record, over all runs of the project, oldest first."""
    rows = project.read(
        "SELECT text FROM items WHERE record = (SELECT number FROM records WHERE id = ?) AND task = ?"
        " AND status = 'accepted' AND text IS NOT NULL ORDER BY settled_at, number",
        (record_id, task),
    )
    return [row[0] for row in rows]
