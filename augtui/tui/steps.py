"""The steps of the pipeline, from what the command line offers and what the project holds."""

from __future__ import annotations

from collections.abc import Iterable

from augtui.tui.catalogue import Catalogue, Command

ORDER = (
    "import", "collect", "classify", "balance", "dedupe", "decontaminate", "expand", "refine", "respond", "pairs",
    "translate", "check", "export",
)  # fmt: skip
"""The usual order of the steps that are known; others come before the export."""


def steps(catalogue: Catalogue, worked_on: Iterable[str] = ()) -> list[str]:
    """Return the names of the steps in their order: commands on a project's data, and tasks that the project has."""
    offered = {command.name for command in catalogue.commands if is_step(command)}
    last = len(ORDER) - 1
    places = {name: (place if place < last else last + 1) for place, name in enumerate(ORDER)}
    return sorted(offered | set(worked_on), key=lambda name: (places.get(name, last), name))


def is_step(command: Command) -> bool:
    """Say whether a command works on a project's data."""
    if command.name in ORDER:
        return True
    return len(command.path) == 1 and all(command.parameter(name) is not None for name in ("project", "file"))
