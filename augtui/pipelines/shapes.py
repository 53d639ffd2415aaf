"""The shapes of published data sets: under which names each keeps the instruction, its input and the responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from augtui.errors import InputError


@dataclass(frozen=True, slots=True)
class Shape:
    """Names of a row's fields, the first that a row has wins; any case."""

    instruction: tuple[str, ...]
    input: tuple[str, ...] = ()
    """Names of what is joined to the instruction."""
    response: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    joins: tuple[str, ...] = ("instruction",)
    """Names of an instruction to which the input is joined."""
    lists: bool = True
    """Whether a row may be a list of strings, a dialogue."""
    strings: bool = True
    """Whether a row may be a string."""


ID_NAMES: Final = ("id", "_id", "idx", "uuid", "message_tree_id")

_CONVERSATIONS: Final = ("messages", "conversations", "conversation", "dialog", "dialogue", "turns")
_ANSWERS: Final = ("output", "response", "answer", "completion", "solution", "rationale")
CHOSEN: Final = ("chosen", "chosen_response", "good_res")
_REJECTED: Final = ("rejected", "rejected_response", "bad_res")

AUTO: Final = Shape(
    instruction=("instruction", "prompt", "query", "question", "problem", "text", *_CONVERSATIONS),
    input=("input", "context"),
    response=(*_ANSWERS, *CHOSEN),
    rejected=_REJECTED,
)
"""What is taken where nobody says how a file is laid out."""


def _objects(instruction: tuple[str, ...], **names: tuple[str, ...]) -> Shape:
    return Shape(instruction, **names, lists=False, strings=False)


SHAPES: Final[dict[str, Shape]] = {
    "auto": AUTO,
    # OpenHermes 2.5 is a list of {"conversations": [{"from": "human", "value": …}, {"from": "gpt", …}], "source": …}.
    "openhermes": _objects(("conversations", "conversation")),
    "sharegpt": _objects(("conversations", "conversation")),
    "messages": _objects(("messages",)),
    "alpaca": _objects(("instruction",), input=("input",), response=("output",)),
    "belle": _objects(("instruction", "conversations"), input=("input",), response=("output", "target")),
    "dolly": _objects(("instruction",), input=("context",), response=("response",)),
    "self-instruct": _objects(("instruction",), input=("input",), response=("output",)),
    "qa": _objects(
        ("question", "problem", "query", "instruction"),
        input=("context",),
        response=("answer", "solution", "rationale", "response", "output"),
        joins=("question", "instruction"),
    ),
    "gsm8k": _objects(("question",), response=("answer",)),
    "dpo": _objects(
        ("prompt", "instruction", "question", "query"),
        input=("input",),
        response=(*CHOSEN, "output"),
        rejected=_REJECTED,
        joins=("instruction", "question"),
    ),
    "oasst": _objects(("prompt", "instruction", "messages"), input=("input",), response=("output",)),
    "lccc": Shape(("dialog", "dialogue", "conversation"), strings=False),
    "snips": _objects(("data", "text"), response=("intent",)),
    "text": Shape((), lists=False),
}
"""What `--as` takes."""


def named(name: str | None) -> Shape:
    """Return a shape by its name, the automatic one for None. Raises InputError for a name that there is not."""
    if name is None:
        return AUTO
    if name not in SHAPES:
        raise InputError(f"unknown layout {name!r}", hint="layouts: " + ", ".join(SHAPES))
    return SHAPES[name]
