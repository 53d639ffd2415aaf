"""Translation between English and Chinese (section 3.1.1), checked by translating back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from augtui.domain import records
from augtui.domain.facts import Carrier, facts
from augtui.domain.language import Language, language
from augtui.domain.numbers import lost_numbers, numbers
from augtui.domain.records import Record
from augtui.domain.tasks import Answer, Unparsed
from augtui.domain.templates import Message
from augtui.metrics.chrf import chrf
from augtui.metrics.similarity import rouge_l
from augtui.pipelines import rows
from augtui.pipelines.steps.base import Outcome, Step, joined
from augtui.store.dataset import GeneratedRecord
from augtui.store.items import PendingItem, ResultRow

NAMES = {"en": "English", "zh": "Simplified Chinese"}
OTHER = {"en": "zh", "zh": "en"}
MEASURES: Mapping[str, Callable[[str, str], float]] = {"chrf": chrf, "rouge-l": rouge_l}
LEAST = 0.4
"""How alike a round trip must be to the original: good translations of one sentence differ in half of their words."""


class Translate(Step[Answer]):
    """Options: `to` (`en`, `zh`, `both`), `measure` (`chrf`, `rouge-l`) and `least` of the round trip, 0 for none."""

    def waived(self, item: PendingItem) -> Outcome | None:
        """Leave what is in the wanted language, has its translation in the input, or is in neither language."""
        tongue = language(item.instruction).value
        wanted = self._target(item)
        if wanted is not None and item.context:
            return Outcome("kept_original", None, f"translated already: {item.context[0].id}")
        if wanted is None and tongue in NAMES:
            return Outcome("kept_original", None, f"already in {NAMES[tongue]}")
        if wanted is None:
            return self.rejected(item, f"neither English nor Chinese: {tongue}")
        if records.history(item.extra):
            return self.rejected(item, "earlier turns: without them the translation would stand alone")
        return None

    def _target(self, item: PendingItem) -> str | None:
        wanted, tongue = self.job.option("to", "both"), language(item.instruction).value
        target = OTHER.get(tongue)
        return target if wanted in ("both", target) else None

    def values(self, item: PendingItem) -> Mapping[str, object]:
        """Return the language to translate into."""
        target = self._target(item)
        return {"language": NAMES[target or "en"]}

    def fault(self, item: PendingItem, answer: Answer) -> str | None:
        """Return what is missing, in the wrong language or changed: code, numbers, variables and links must stay."""
        if (answer.response is None) != (item.response is None):
            return "no translation: the instruction and its response do not come back as two"
        found = [*_broken(item.instruction, answer.instruction)]
        if item.response is not None and answer.response is not None:
            found += _broken(item.response, answer.response)
        target = self._target(item)
        tongue = language(answer.instruction)
        if tongue.value != target and tongue is not Language.NONE:
            found.insert(0, f"wrong language: {tongue}")
        return joined(found)

    def second(self, item: PendingItem, answer: Answer) -> tuple[Message, ...] | None:
        """Return the prompt that translates the translation back."""
        if not self.job.option("least", LEAST):
            return None
        back = NAMES[language(item.instruction).value]
        job = self.job.for_record(item.instruction)
        pair = Record(answer.instruction, answer.response)
        return job.task.render(pair, job.style, (), job.variant, language=back)

    def second_fault(self, item: PendingItem, answer: Answer, text: str, finish_reason: str) -> str | None:
        """Return that the round trip ends elsewhere than it began."""
        back = self.job.task.parse(text, finish_reason)
        if isinstance(back, Unparsed):
            return f"back-translation: {back}"
        measure, least = self.job.option("measure", "chrf"), self.job.option("least", LEAST)
        halves = [(item.instruction, back.instruction)]
        if item.response is not None:
            halves.append((item.response, back.response or ""))
        worst = min(MEASURES[measure](there, again) for there, again in halves)
        return f"back-translation differs: {measure} {worst:.2f}" if worst < least else None

    def accepted(self, item: PendingItem, answer: Answer) -> Outcome:
        """Return the translated pair."""
        return Outcome("accepted", answer.instruction, None, GeneratedRecord(answer.instruction, answer.response))

    def row(self, row: ResultRow, common: Mapping[str, Any]) -> dict[str, Any]:
        """Return a line under the translation's own id."""
        return {**super().row(row, common), "id": rows.made_id(row)}

    def columns(self, row: ResultRow) -> dict[str, Any]:
        """Return `instruction`, `response`, `language`, `source_id`, `source` and the back-translation."""
        return {
            "instruction": row.text,
            "response": row.made_response,
            "language": None if row.text is None else language(row.text).value,
            "source_id": rows.given_id(row),
            "source": row.instruction,
            "back_translation": row.engine.get("second"),
        }


def _broken(original: str, translated: str) -> Iterator[str]:
    """Yield what a translation must not touch and did."""
    wanted, carrier = facts(original), Carrier(translated)
    yield from (f"variable lost: {fact}" for fact in carrier.lost_variables(wanted.variables))
    yield from (f"link lost: {fact}" for fact in carrier.lost_links(wanted.links))
    yield from (f"code lost: {fact}" for fact in carrier.lost_blocks(wanted.blocks))
    yield from (f"code lost: {fact}" for fact in carrier.lost_code(wanted.code))
    before, after = numbers(wanted.prose), numbers(carrier.normal)
    yield from (f"number lost: {fact}" for fact in lost_numbers(before, after))
