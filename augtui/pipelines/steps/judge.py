"""Quality assessment (section 3.1.2): a judge's scores with its evidence, held against thresholds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from augtui.domain import records
from augtui.domain.annotation import CRITERIA, Assessment, assessment_schema
from augtui.domain.templates import Message
from augtui.pipelines.steps.base import Outcome, Step
from augtui.store.items import PendingItem, ResultRow

LEAST: Mapping[str, int] = dict.fromkeys(CRITERIA, 6)
"""Scores from which a record passes, 6 as for informativeness and helpfulness in EasyDistill's filter."""
LOW = "low score"


class Judge(Step[Assessment]):
    """Options: `least`, the least score by criterion. A record without all its scores does not pass."""

    @property
    def schema(self) -> str | None:
        """Return the form of an assessment."""
        return assessment_schema()

    def messages(self, item: PendingItem) -> tuple[Message, ...]:
        """Return the prompt; the instruction stands behind the record's system prompt and earlier turns."""
        return super().messages(replace(item, instruction=_in_context(item)))

    def accepted(self, item: PendingItem, answer: Assessment) -> Outcome:
        """Hold the scores against the thresholds: too low a score is a result as well, no reason to ask again."""
        least: Mapping[str, int] = self.job.option("least", LEAST)
        low = [
            f"{name} {answer.scores[name]} < {least[name]}" for name in CRITERIA if answer.scores[name] < least[name]
        ]
        text = json.dumps(answer.as_json(), ensure_ascii=False)
        if low:
            return Outcome("failed", text, f"{LOW}: {', '.join(low)}")
        return Outcome("accepted", text)

    def columns(self, row: ResultRow) -> dict[str, Any]:
        """Return `instruction`, `response`, `scores` and `evidence`, which are null where the judge gave none."""
        said = json.loads(row.text) if row.text else {}
        scores = {name: said[name] for name in CRITERIA} if said else None
        return {
            "instruction": row.instruction,
            "response": row.response,
            "scores": scores,
            "evidence": said.get("evidence"),
        }


def _in_context(item: PendingItem) -> str:
    """Return an instruction with what stands before it: "When was that?" cannot be judged alone."""
    system, earlier = records.system(item.extra), records.history(item.extra)
    if system is None and not earlier:
        return item.instruction
    parts = [] if system is None else [f"System: {system}"]
    for asked, answered in earlier:
        parts += [f"User: {asked}", f"Assistant: {answered}"]
    return "\n\n".join([*parts, f"User: {item.instruction}"])
