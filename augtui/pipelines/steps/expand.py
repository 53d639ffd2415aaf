"""Expansion (IE, eq. 1): new instructions of a seed's task type, unlike the seed and all others."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from augtui.domain.content import coined_words
from augtui.domain.delexical import strange_sign
from augtui.domain.guard import Strictness, guard
from augtui.domain.language import language
from augtui.domain.tasks import Answer
from augtui.metrics.similarity import rouge_l
from augtui.pipelines import rows
from augtui.pipelines.job import Job
from augtui.pipelines.steps.base import Outcome, Step
from augtui.store.dataset import GeneratedRecord
from augtui.store.items import PendingItem, ResultRow

REMEMBERED_SEEDS = 1024

Siblings = Callable[[str], list[str]]
"""Record id to what other runs made of it."""


class Expand(Step[Answer]):
    """An expanded instruction speaks its seed's language and differs from it, from its siblings and all before it."""

    ordered = True

    def __init__(self, job: Job, siblings: Siblings = lambda record_id: []) -> None:
        """Prepare; `siblings` gives what the project's other runs accepted for a record."""
        super().__init__(job)
        self._siblings = siblings
        self._known: OrderedDict[str, list[str]] = OrderedDict()

    def fault(self, item: PendingItem, answer: Answer) -> str | None:
        """Return in what the new instruction fails by itself."""
        seed, text = item.instruction, answer.instruction
        if self.job.is_hinted and (sign := strange_sign(seed, text)):
            return f"sign of nothing: {sign}"
        return (
            stray(self.job, seed, text)
            or coined(self.job, seed, f"{text}\n{answer.response or ''}")
            or self._likeness(item.record_id, seed, text)
        )

    def _likeness(self, record_id: str, seed: str, text: str) -> str | None:
        limit = self.job.similarity
        likeness = rouge_l(seed, text)
        if likeness >= limit:
            return f"too like the seed: ROUGE-L {likeness:.2f}"
        nearest = max((rouge_l(other, text) for other in self._made(record_id)), default=0.0)
        return f"too like another: ROUGE-L {nearest:.2f}" if nearest >= limit else None

    def _made(self, record_id: str) -> list[str]:
        known = self._known.get(record_id)
        if known is None:
            known = self._known[record_id] = self._siblings(record_id)
            if len(self._known) > REMEMBERED_SEEDS:
                self._known.popitem(last=False)
        return known

    def compared(self, answer: Answer) -> str:
        """Return the new instruction."""
        return answer.instruction

    def accepted(self, item: PendingItem, answer: Answer) -> Outcome:
        """Return the new record."""
        return Outcome("accepted", answer.instruction, None, GeneratedRecord(answer.instruction, answer.response))

    def row(self, row: ResultRow, common: Mapping[str, Any]) -> dict[str, Any]:
        """Return a line under the new record's own id."""
        return {**super().row(row, common), "id": rows.made_id(row)}

    def columns(self, row: ResultRow) -> dict[str, Any]:
        """Return `instruction` (the new one, null where it failed), `source_id` and `source`."""
        return {"instruction": row.text, "source_id": rows.given_id(row), "source": row.instruction}


def stray(job: Job, origin: str, text: str) -> str | None:
    """Return whether a new text carries a trace of its prompt, or left the language of what it was made from."""
    trace = next((v for v in guard(origin, text, Strictness.OFF)), None)
    if trace is not None:
        return str(trace)
    if job.keeps_language and language(origin) != language(text):
        return f"language changed: {language(origin)} to {language(text)}"
    return None


def coined(job: Job, origin: str, text: str, *, names: bool = False) -> str | None:
    """Return the words that a new text makes up, under the strict guard, which is the small models' own."""
    words = coined_words(origin, text, names=names) if job.guard is Strictness.STRICT else []
    return f"unknown word: {', '.join(words[:3])}" if words else None
