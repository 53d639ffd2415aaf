"""Task labels by a model (section 3.1.1): one class of the taxonomy for each instruction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augtui.domain.annotation import Label
from augtui.domain.taxonomy import CLASSES
from augtui.pipelines.steps.base import Outcome, Step
from augtui.store.items import PendingItem, ResultRow


class Classify(Step[Label]):
    """A label outside of the list is `Others`; what the model wrote stays in its try."""

    def values(self, item: PendingItem) -> Mapping[str, object]:
        """Return the classes to choose from."""
        return {"labels": CLASSES}

    def accepted(self, item: PendingItem, answer: Label) -> Outcome:
        """Return the label."""
        return Outcome("accepted", answer.name)

    def columns(self, row: ResultRow) -> dict[str, Any]:
        """Return `instruction`, `response` and `label`."""
        return {"instruction": row.instruction, "response": row.response, "label": row.text}
