"""Quality assessment (section 3.1.2): a judge's scores with its evidence, held against thresholds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from augtui.domain.annotation import CRITERIA, Assessment, assessment_schema
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
