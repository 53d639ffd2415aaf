"""What general models are asked for beside the paper's three functions: responses, translations, scores, labels."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from augtui.domain.tasks import Answer, Task, Unparsed, read_pair
from augtui.domain.taxonomy import OTHERS, class_named

CRITERIA: Final = ("correctness", "helpfulness", "informativeness", "factuality")
"""What a judge scores, each from 1 to 10."""


@dataclass(frozen=True, slots=True)
class Label:
    """The class that a model sorts an instruction into; `said` is what it wrote."""

    name: str
    said: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """A judge's scores by criterion, and the evidence it gives for them."""

    scores: dict[str, int]
    evidence: str

    def as_json(self) -> dict[str, Any]:
        """Return the scores and the evidence as JSON values."""
        return {**self.scores, "evidence": self.evidence}


def assessment_schema() -> str:
    """Return the JSON schema of an assessment, the evidence first: a model reasons before it scores, or not at all."""
    score = {"type": "integer", "enum": list(range(1, 11))}
    properties: dict[str, Any] = {"evidence": {"type": "string"}, **dict.fromkeys(CRITERIA, score)}
    return json.dumps(
        {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    )


_FENCE = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)
_TAGGED = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL | re.IGNORECASE)
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
_LEAK = re.compile(
    r"\A\s*(?:###\s*(?:instruction|response)\b|\[/?inst\]|<\|?(?:system|user|assistant)\|?>)|<start_of_turn>|<<sys>>",
    re.IGNORECASE,
)


def read_assessment(text: str) -> Assessment | Unparsed:
    """Read a judge's JSON object; a criterion without a whole score from 1 to 10 makes the whole `no scores`."""
    text = _THOUGHT.sub("", text)
    fenced = _FENCE.search(text)
    try:
        content = json.loads(fenced.group(1) if fenced else text)
    except (ValueError, RecursionError):
        return Unparsed("no scores", "not a JSON object")
    if not isinstance(content, dict):
        return Unparsed("no scores", "not a JSON object")
    scores: dict[str, int] = {}
    for name in CRITERIA:
        value = content.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            return Unparsed("no scores", f"{name} is missing")
        if not 1 <= value <= 10:
            return Unparsed("score out of range", f"{name} {str(value)[:12]}")
        scores[name] = value
    evidence = content.get("evidence")
    return Assessment(scores, evidence.strip() if isinstance(evidence, str) else "")


def read_label(text: str) -> Label | Unparsed:
    """Read the one label in `<answer>`; a label that is not in the list is `Others`, two labels are none."""
    found = _TAGGED.findall(_THOUGHT.sub("", text))
    if len(found) != 1 or not found[0]:
        return Unparsed("no label", f"{len(found)} answers in <answer>")
    return Label(class_named(found[0]) or OTHERS, found[0][:80])


def read_response(text: str) -> Answer | Unparsed:
    """Read a response: the whole text without a leading `<think>` part; it must not begin with a template's marks."""
    text = _THOUGHT.sub("", text).strip()
    if not text:
        return Unparsed("empty answer")
    if "<think>" in text or "</think>" in text:
        return Unparsed("template leaked", "<think>")
    leak = _LEAK.search(text)
    if leak:
        return Unparsed("template leaked", leak.group(0).strip())
    return Answer("", text)


_ONLY_INSTRUCTION = re.compile(r"\A###\s*Instruction\s*:?[ \t]*\n?", re.IGNORECASE)


def read_translation(text: str) -> Answer | Unparsed:
    """Read `### Instruction …`, with `### Response …` behind it if there is one (Table 11's headings)."""
    text = _THOUGHT.sub("", text).strip()
    if re.search(r"^###\s*Response\b", text, re.IGNORECASE | re.MULTILINE):
        return read_pair(text)
    bare = _ONLY_INSTRUCTION.sub("", text).strip()
    return Answer(bare) if bare else Unparsed("empty answer")


RESPOND = Task("respond", "", {"specialised": "respond"}, read_response)
TRANSLATE = Task("translate", "", {"specialised": "translate"}, read_translation)
CHECK = Task("check", "", {"specialised": "check"}, read_assessment, greedy=True)
CLASSIFY = Task("classify", "", {"specialised": "classify"}, read_label, greedy=True)
