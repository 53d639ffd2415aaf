"""A stage: one step of a recipe at work on records, from their ids to what became of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from augtui.pipelines.recipes.recipe import StepSpec
from augtui.pipelines.recipes.workshop import Workshop
from augtui.store.stages import Fated


class Interrupted(Exception):
    """A stage was stopped before its end; what it has done is saved."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the records of a stage, in the order in which they go on."""

    fates: Sequence[Fated]
    run_id: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Figures, the same for the same input and configuration."""


class Stage(Protocol):
    """One step of one pipeline."""

    def __init__(self, workshop: Workshop, step: StepSpec) -> None:
        """Prepare; nothing is read or written yet."""

    def config(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return all that decides what the stage does to these records, as JSON values."""

    def apply(self, ids: Sequence[str]) -> Result:
        """Do it; raises Interrupted, and the errors of what is done."""
