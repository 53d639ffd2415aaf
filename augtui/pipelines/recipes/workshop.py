"""What the stages of a pipeline work with: the project, settings, models, engines, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from augtui.domain.records import Record
from augtui.engines.base import Engine
from augtui.models import catalog
from augtui.models.catalog import Model
from augtui.pipelines.augment import Augmentation, Summary
from augtui.pipelines.recipes.recipe import Recipe, StepSpec
from augtui.settings import Settings, load
from augtui.store import stages
from augtui.store.projects import Project


class Hands(Protocol):
    """What a front does for a pipeline: it opens engines, shows progress and listens for interruptions."""

    def work(
        self, step: str, run: Augmentation, model: Model, teachers: Mapping[str, Model], settings: Settings
    ) -> Summary:
        """Work through a planned run; raises EngineError if a budget does not reach further."""

    def engine(self, model: Model, settings: Settings) -> Engine:
        """Return a model's engine."""

    def tell(self, step: str, what: str, done: int, total: int) -> None:
        """Hear how far a stage without a model run has come; `total` 0: nobody knows."""


@dataclass(slots=True)
class Workshop:
    """One pipeline's things."""

    project: Project
    recipe: Recipe
    hands: Hands
    flags: Mapping[str, Any] = field(default_factory=dict)
    """Settings from the command line, which come before the recipe's."""
    output: str | None = None
    _models: dict[str, Model] = field(default_factory=dict)

    def settings(self, step: StepSpec | None = None) -> Settings:
        """Return the settings of a step: its own, over those of the command line, over those of the recipe."""
        given = {name: value for name, value in self.flags.items() if value is not None}
        own = {} if step is None else step.settings
        return load(**{**self.recipe.settings, **given, **own})

    def model(self, name: str, settings: Settings) -> Model:
        """Return the model that a name means; each name is resolved once."""
        if name not in self._models:
            self._models[name] = catalog.resolve(name, timeout_s=settings.timeout)
        return self._models[name]

    def records(self, ids: Sequence[str]) -> Iterator[Record]:
        """Yield records of the project in the order of their ids."""
        return stages.fetch_records(self.project, ids)

    def progress(self, step: str, what: str) -> Callable[[int, int], None]:
        """Return what hears of the progress of a part of a stage."""
        return lambda done, total: self.hands.tell(step, what, done, total)
