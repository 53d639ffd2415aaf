"""A step: what a run does with its items in one task: what it asks, how it judges, what it makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from augtui.domain.delexical import Delexicalised, delexicalise
from augtui.domain.kinds import classify
from augtui.domain.language import Language, language
from augtui.domain.records import Record, kin
from augtui.domain.templates import Message
from augtui.pipelines import rows
from augtui.pipelines.job import Job
from augtui.store.dataset import GeneratedRecord
from augtui.store.items import PendingItem, ResultRow, SettledStatus

A = TypeVar("A")
"""What the answers of the step's task are read into."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an item ends: its status, the text that stands for it, and the record that it makes."""

    status: SettledStatus
    text: str | None = None
    reason: str | None = None
    """A stable kind, then `: ` and what exactly; several are joined by `; `."""
    child: GeneratedRecord | None = None


class Step(ABC, Generic[A]):
    """One task's ways, for the time of a run; subclasses say what is particular to it.

    An answer is judged by itself (`fault`); then, where the step wants one, a second answer is asked for (`second`,
    `second_fault`); and in an ordered step, its text (`compared`) must be unlike all texts accepted before it.
    """

    ordered = False
    """Whether answers must differ from all that the run accepted at earlier positions."""

    def __init__(self, job: Job) -> None:
        """Prepare for a run of `job`."""
        self.job = job

    @property
    def schema(self) -> str | None:
        """Return the JSON schema that answers must satisfy, as JSON text; None if they are free."""
        return None

    def waived(self, item: PendingItem) -> Outcome | None:
        """Return how an item ends that no model needs to be asked about; None for the others."""
        return self.foreign(item)

    def foreign(self, item: PendingItem) -> Outcome | None:
        """Return the end of an item in a language that the model does not know."""
        # Other languages than the two that are told apart are left to the verdict: short prompts are hard to tell.
        known, tongue = self.job.for_record(item.instruction).languages, language(item.instruction)
        if not known or tongue not in (Language.EN, Language.ZH) or tongue in known:
            return None
        return self.rejected(item, f"language not known to the model: it knows {', '.join(known)}")

    def messages(self, item: PendingItem) -> tuple[Message, ...]:
        """Return the prompt for an item."""
        job = self.job.for_record(item.instruction)
        if job.is_hinted:
            return job.template.render(kind=classify(item.instruction), instruction=self.read(item).text)
        context = [_to_read(parent.instruction, parent.response) for parent in item.context]
        values = self.values(item)
        return job.task.render(_to_read(item.instruction, item.response), job.style, context, job.variant, **values)

    def read(self, item: PendingItem) -> Delexicalised:
        """Return what the model gets to read of an item's instruction."""
        if self.job.for_record(item.instruction).is_hinted:
            return delexicalise(unix_lines(item.instruction))
        return Delexicalised(unix_lines(item.instruction))

    def whole(self, item: PendingItem, text: str) -> str:
        """Return an answer with what the model did not get to read."""
        return self.read(item).restore(text) if self.job.for_record(item.instruction).is_hinted else text

    def values(self, item: PendingItem) -> Mapping[str, object]:
        """Return what the template needs beside the record."""
        return {}

    def fault(self, item: PendingItem, answer: A) -> str | None:
        """Return why an answer is not good enough by itself; None if it is. Depends on nothing but the two."""
        return None

    def second(self, item: PendingItem, answer: A) -> tuple[Message, ...] | None:
        """Return the prompt whose answer decides about `answer`; None where none is needed."""
        return None

    def second_fault(self, item: PendingItem, answer: A, text: str, finish_reason: str) -> str | None:
        """Return why the second answer speaks against the first one; None if it does not."""
        return None

    def compared(self, answer: A) -> str:
        """Return the text by which answers of an ordered step are compared; LookupError for a step that is not."""
        raise LookupError(f"answers of {type(self).__name__} are not compared")

    @abstractmethod
    def accepted(self, item: PendingItem, answer: A) -> Outcome:
        """Return the end of an item with a good answer."""

    def rejected(self, item: PendingItem, reason: str, answer: A | None = None) -> Outcome:
        """Return the end of an item without a good answer; `answer` is the last one that could be read."""
        return Outcome("kept_original" if self.job.task.keeps_original else "failed", None, reason)

    def row(self, row: ResultRow, common: Mapping[str, Any]) -> dict[str, Any]:
        """Return one line of the output; an id is the one that the user's file gave, or the record's own."""
        line = {"id": rows.given_id(row), **self.columns(row)}
        if (family := kin(row.extra)) is not None:
            line["family"] = family
        return {**line, "status": row.status, "reason": row.reason, "provenance": rows.provenance(row, common)}

    @abstractmethod
    def columns(self, row: ResultRow) -> dict[str, Any]:
        """Return what the step made of a record, by the names of the output's columns."""


AnyStep = Step[Any]


def unix_lines(text: str) -> str:
    r"""Return a text with "\n" at its line ends: small models have hardly seen the "\r\n" of Windows."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _to_read(instruction: str, response: str | None) -> Record:
    return Record(unix_lines(instruction), None if response is None else unix_lines(response))


def joined(faults: Sequence[object]) -> str | None:
    """Return faults as one reason, at most five of them; None if there are none."""
    return "; ".join(str(fault) for fault in faults[:5]) or None
