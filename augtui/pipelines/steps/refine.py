"""Refinement (IR, eq. 2): a clearer instruction that keeps what the original says, or the original."""

from __future__ import annotations

from typing import Any

from augtui.domain import records
from augtui.domain.delexical import strange_sign
from augtui.domain.guard import guard
from augtui.domain.sentence_end import with_its_own_end
from augtui.domain.tasks import Answer
from augtui.pipelines.steps.base import Outcome, Step, joined, unix_lines
from augtui.store.dataset import GeneratedRecord
from augtui.store.items import PendingItem, ResultRow


class Refine(Step[Answer]):
    """Judged by the guard. Option `response`: `keep` hands the original's response on to the refined record."""

    def whole(self, item: PendingItem, text: str) -> str:
        """Return an answer with what a small model did not get to read, and the request's own end."""
        whole = super().whole(item, text)
        return with_its_own_end(unix_lines(item.instruction), whole) if self.job.is_hinted else whole

    def fault(self, item: PendingItem, answer: Answer) -> str | None:
        """Return what was lost, invented or leaked."""
        original = unix_lines(item.instruction)
        if self.job.is_hinted and (sign := strange_sign(original, answer.instruction)):
            return f"sign of nothing: {sign}"
        return joined(guard(original, answer.instruction, self.job.guard))

    def accepted(self, item: PendingItem, answer: Answer) -> Outcome:
        """Return the refined record, behind the same system prompt and turns as its original."""
        response = item.response if self.job.option("response") == "keep" else None
        made = GeneratedRecord(answer.instruction, response, extra=records.surroundings(item.extra))
        return Outcome("accepted", answer.instruction, None, made)

    def columns(self, row: ResultRow) -> dict[str, Any]:
        """Return `instruction` (the original) and `refined`: the original where it was kept, null where it failed.

        The record's own `response`, `system` and `history` go along where it has them.
        """
        refined = row.instruction if row.status == "kept_original" else row.text
        response = {} if row.response is None else {"response": row.response}
        return {**records.surroundings(row.extra), "instruction": row.instruction, "refined": refined, **response}
