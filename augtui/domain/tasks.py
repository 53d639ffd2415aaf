"""Tasks: how a record becomes a prompt, and how a model's answer is read, strictly, back into a record."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from augtui.domain import templates
from augtui.domain.records import Record
from augtui.domain.templates import Message, Template

Style = Literal["specialised", "general", "card"]
"""`specialised`: the prompt that augmenter models were trained on (Tables 9-11); `general`: the annotation prompt for
any instruction-following model (Tables 7 and 8); `card`: Tables 9-11 as the published models' cards write them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model's text holds: an instruction, or an instruction with its response."""

    instruction: str
    response: str | None = None


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A model's text that does not hold what was asked for; `reason` is short and stable, `detail` may quote."""

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        """Return reason and detail as one phrase."""
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


@dataclass(frozen=True, slots=True)
class Scores:
    """A judge's evidence and its two scores, 1 to 10 (Tables 12 and 13)."""

    evidence: str
    first: float
    second: float


A = TypeVar("A")
"""What the answers of a task are read into."""


@dataclass(frozen=True, slots=True)
class Task(Generic[A]):
    """One thing that a model is asked to do: its templates by style, and the reading of its answers."""

    name: str
    symbol: str
    """The paper's abbreviation (Table 3); empty for what only prepares or judges data."""
    template_names: dict[str, str]
    """By style (`Style`), or by a variant of it such as `bare`."""
    read: Callable[[str], A | Unparsed]
    decided_by: tuple[str, ...] = ()
    """Attributes of a job that can change the results of this task, beside the sampling: they are part of its key."""
    keeps_original: bool = False
    """Whether a record for which no answer was good enough stays as it was, which is a result."""
    least_temperature: float = 0.0
    """Temperature below which answers are too much alike for the task."""
    greedy: bool = False
    """Whether answers are decoded greedily unless the user wants otherwise."""

    def template(self, style: Style, variant: str = "") -> Template:
        """Return the template of a variant or a style; tasks without one for it use the specialised one."""
        names = self.template_names
        return templates.load(names.get(variant) or names.get(style) or names["specialised"])

    def render(
        self, record: Record, style: Style, context: Sequence[Record] = (), variant: str = "", **values: object
    ) -> tuple[Message, ...]:
        """Return the prompt for a record; `context` are the in-context pairs of pair expansion (eq. 3)."""
        return self.template(style, variant).render(
            instruction=record.instruction, response=record.response, task_type=None, pairs=context, **values
        )

    def parse(self, text: str, finish_reason: str) -> A | Unparsed:
        """Read an answer; whatever does not hold exactly what was asked for is `Unparsed`, never guessed at."""
        if finish_reason == "length":
            return Unparsed("cut off", "the answer reached its longest length")
        if finish_reason == "loop":
            return Unparsed("repetition", "the answer repeated itself without end")
        text = text.strip()
        if not text:
            return Unparsed("empty answer")
        if "\x00" in text or "\ufffd" in text:
            return Unparsed("broken text", "bytes that are not UTF-8")
        marker = _MARKUP.search(text)
        if marker:
            return Unparsed("template leaked", marker.group(0))
        return self.read(text)


_MARKUP = re.compile(r"<\|(?:im_start|im_end|endoftext)\|>")
_REFINE_LEAK = re.compile(r"#+\s*(?:refined|user'?s)\s+prompt\s*#*\s*:?", re.IGNORECASE)
_EXPAND_LEAK = re.compile(r"#\s*(?:given|created)\s+instruction\s*#|\b(?:given|created) instruction\b", re.IGNORECASE)
_HEADING = re.compile(r"^###\s*(Instruction|Response)\s*:?[ \t]*", re.IGNORECASE | re.MULTILINE)
_SCORE = re.compile(r"Score of the Assistant ([12]):\s*\**\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
_EVIDENCE = re.compile(r"Evaluation evidence:\s*(.*?)\s*Score of the Assistant 1:", re.IGNORECASE | re.DOTALL)


def _read_refined(text: str) -> Answer | Unparsed:
    leak = _REFINE_LEAK.search(text)
    if leak:
        return Unparsed("template leaked", leak.group(0).strip())
    return Answer(text)


def _read_expanded(text: str) -> Answer | Unparsed:
    # Table 8: these words "are not allowed to appear in #Created Instruction#".
    leak = _EXPAND_LEAK.search(text)
    if leak:
        return Unparsed("template leaked", leak.group(0).strip())
    return Answer(text)


def read_pair(text: str) -> Answer | Unparsed:
    """Read `### Instruction … ### Response …`, once each, with or without colons (the model card writes none)."""
    headings = list(_HEADING.finditer(text))
    kinds = [heading.group(1).lower() for heading in headings]
    if kinds[:1] == ["response"] and headings[0].start() > 0:
        # The prompt itself ends in "### Instruction:", so a model may go straight on with the instruction's text.
        instruction_start, headings = 0, [headings[0], *headings]
        kinds = ["instruction", *kinds]
    elif kinds and headings[0].start() == 0:
        instruction_start = headings[0].end()
    else:
        return Unparsed("no instruction-response pair", "### Instruction / ### Response expected")
    if kinds != ["instruction", "response"]:
        return Unparsed("no instruction-response pair", f"found {', '.join(kinds) or 'no headings'}")
    instruction = text[instruction_start : headings[1].start()].strip()
    response = text[headings[1].end() :].strip()
    if not instruction or not response:
        return Unparsed("no instruction-response pair", "a part is empty")
    return Answer(instruction, response)


def read_scores(text: str) -> Scores | Unparsed:
    """Read a judge's two scores in the format of Tables 12 and 13; each must stand once and be 1 to 10."""
    found = _SCORE.findall(text)
    if [number for number, _ in found] != ["1", "2"]:
        return Unparsed("no scores", f"{len(found)} of 2 score lines")
    first, second = (float(value) for _, value in found)
    if not (1 <= first <= 10 and 1 <= second <= 10):
        return Unparsed("score out of range", f"{first:g} and {second:g}")
    evidence = _EVIDENCE.search(text)
    return Scores(evidence.group(1) if evidence else "", first, second)


REFINE = Task(
    "refine", "IR",
    {"specialised": "refine", "general": "refine-general", "card": "refine-card", "hinted": "refine-hinted"},
    _read_refined,
    decided_by=("guard",), keeps_original=True,
)  # fmt: skip
EXPAND = Task(
    "expand", "IE",
    {"specialised": "expand", "general": "expand-general", "card": "expand-card", "hinted": "expand-hinted"},
    _read_expanded,
    decided_by=("similarity", "keeps_language"), least_temperature=0.8,
)  # fmt: skip
PAIRS = Task(
    "pairs", "IRE", {"specialised": "pairs", "card": "pairs-card", "bare": "pairs-card"}, read_pair,
    decided_by=("similarity", "keeps_language"), least_temperature=0.8,
)  # fmt: skip

TASKS: dict[str, Task[Answer]] = {task.name: task for task in (REFINE, EXPAND, PAIRS)}
"""The paper's three functions."""
