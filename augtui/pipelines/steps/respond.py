"""Responses (section 3.1.2) from a model of the user's choice; the user's own responses are never touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augtui.domain import records
from augtui.domain.guard import Strictness, guard
from augtui.domain.records import Record
from augtui.domain.tasks import Answer
from augtui.domain.templates import Message
from augtui.pipelines import rules
from augtui.pipelines.steps.base import Outcome, Step, joined
from augtui.store.dataset import GeneratedRecord
from augtui.store.items import PendingItem, ResultRow

GROUND_TRUTH = "ground truth"
_OF_A_MODEL = frozenset({"model", "model_sha256", "adapter_sha256", "template", "paper_table"})
SANITY = ("empty", "template", "refusal", "truncation", "repetition", "language", "copy")
"""Rules that a response must not break."""


class Respond(Step[Answer]):
    """Options: `system`, a system prompt for records without their own; `unasked`, if there is no model to ask."""

    def waived(self, item: PendingItem) -> Outcome | None:
        """Keep the user's response where there is one."""
        if item.response is not None and item.response.strip():
            return Outcome("kept_original", item.response, GROUND_TRUTH)
        if self.job.for_record(item.instruction).option("unasked"):
            return Outcome(
                "failed", None, "no response: the input has none, and no model was named that could write it"
            )
        return self.foreign(item)

    def values(self, item: PendingItem) -> Mapping[str, object]:
        """Return the system prompt: the record's own, else the job's."""
        return {"system": records.system(item.extra) or self.job.option("system", "")}

    def messages(self, item: PendingItem) -> tuple[Message, ...]:
        """Return the prompt: the instruction, after a system prompt and the turns before it, if there are."""
        *system, asked = super().messages(item)
        earlier: list[Message] = []
        for said, answered in records.history(item.extra):
            earlier += [Message("user", said), Message("assistant", answered)]
        return (*(message for message in system if message.content), *earlier, asked)

    def fault(self, item: PendingItem, answer: Answer) -> str | None:
        """Return a sign that the text is no response to the instruction."""
        text = answer.response or ""
        trace = next((v for v in guard(item.instruction, text, Strictness.OFF) if v.kind != "empty"), None)
        if trace is not None:
            return str(trace)
        faults = rules.decide(Record(item.instruction, text), SANITY).detail.get("faults", {})
        return joined([f"{name}: {what}" for name, what in faults.items()])

    def accepted(self, item: PendingItem, answer: Answer) -> Outcome:
        """Return the pair, with the system prompt and the turns that stand before it."""
        made = GeneratedRecord(item.instruction, answer.response, extra=records.surroundings(item.extra))
        return Outcome("accepted", answer.response, None, made)

    def row(self, row: ResultRow, common: Mapping[str, Any]) -> dict[str, Any]:
        """Return a line; where no model was asked, none is named."""
        told = common
        if row.attempt is None:
            told = {name: value for name, value in common.items() if name not in _OF_A_MODEL}
        return super().row(row, told)

    def columns(self, row: ResultRow) -> dict[str, Any]:
        """Return `instruction` and `response`, null where there is none; `system` and `history` where there are."""
        return {**records.surroundings(row.extra), "instruction": row.instruction, "response": row.text}
