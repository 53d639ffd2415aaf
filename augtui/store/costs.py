"""What runs have cost, from the tries that were noted."""

from __future__ import annotations

from augtui.store.projects import Project


def spent(project: Project, run_id: int) -> float:
    """Return what the tries of a run have cost together, in US dollars; 0 for engines that cost nothing.

    What was under way when a run was interrupted is not noted, and not counted.
    """
    found = project.read(
        "SELECT TOTAL(json_extract(engine, '$.cost')) FROM attempts WHERE run_id = ? AND engine LIKE '%\"cost\"%'",
        (run_id,),
    )
    return float(found[0][0])
