"""Pair expansion (IRE, eq. 3): a new instruction with its response, after K pairs as examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augtui.domain.tasks import Answer
from augtui.metrics.similarity import rouge_l
from augtui.pipelines.steps.base import Outcome, Step
from augtui.pipelines.steps.expand import coined, stray
from augtui.store.dataset import GeneratedRecord
from augtui.store.items import PendingItem, ResultRow


class Pairs(Step[Answer]):
    """A new pair is no copy of a pair in its context, and unlike all pairs accepted before it."""

    ordered = True

    def fault(self, item: PendingItem, answer: Answer) -> str | None:
        """Return in what the new pair fails by itself."""
        limit = self.job.similarity
        for parent in item.context:
            likeness = rouge_l(parent.instruction, answer.instruction)
            if likeness >= limit:
                return f"copies its context: ROUGE-L {likeness:.2f}"
        shown = "\n".join(f"{parent.instruction}\n{parent.response}" for parent in item.context)
        # A model that has read little knows no names; those that it says, it makes up.
        if strange := coined(self.job, shown, f"{answer.instruction}\n{answer.response}", names=True):
            return strange
        # Its language is that of one of the examples; they may be in several.
        faults = [stray(self.job, parent.instruction, answer.instruction) for parent in item.context]
        return next(iter(faults), None) if all(faults) else None

    def compared(self, answer: Answer) -> str:
        """Return the new instruction."""
        return answer.instruction

    def accepted(self, item: PendingItem, answer: Answer) -> Outcome:
        """Return the new pair, a child of all pairs in its context."""
        parents = tuple(parent.id for parent in item.context)
        child = GeneratedRecord(answer.instruction, answer.response, parents)
        return Outcome("accepted", answer.instruction, None, child)

    def row(self, row: ResultRow, common: Mapping[str, Any]) -> dict[str, Any]:
        """Return a line under the new pair's own id."""
        return {**super().row(row, common), "id": row.result_record_id or f"pair#{row.sample}"}

    def columns(self, row: ResultRow) -> dict[str, Any]:
        """Return `instruction` and `response` (null where none was made) and `context`: the ids of its examples."""
        return {"instruction": row.text, "response": row.made_response, "context": list(row.context)}
