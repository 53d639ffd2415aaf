"""What each training tool reads: a row in its format, or why it cannot be in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from augtui.errors import UsageError
from augtui.pipelines.exports.rows import TrainingRow
from augtui.pipelines.readers import OWN_COLUMNS

Container = Literal["jsonl", "array", "csv", "parquet", "folder"]

NO_RESPONSE: Final = "no response"
NO_REJECTED: Final = "no rejected response"
NEEDS_TURNS: Final = "a system prompt or earlier turns, which this format cannot hold"

COLUMNS: Final = OWN_COLUMNS
"""The columns of tables; the other formats have no more than their tool expects."""


class LeftOut(Exception):
    """The row cannot be in the format; `reason` says why."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Format:
    """A name, the kind of file that it makes, and how a row looks in it."""

    name: str
    container: Container
    shape: Callable[[TrainingRow], dict[str, Any]]
    """Raises LeftOut."""
    what: str
    optional: Mapping[str, Any] = field(default_factory=dict)
    """Fields that all rows get if one has them, with what they are in the others: Arrow wants them in every row."""


def turns(row: TrainingRow, *, answer: str | None = None) -> list[dict[str, str]]:
    """Return the chat as OpenAI's and Hugging Face's messages, with the answer if one is given."""
    chat = [] if row.system is None else [{"role": "system", "content": row.system}]
    for asked, answered in row.history:
        chat += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    chat.append({"role": "user", "content": row.instruction})
    if answer is not None:
        chat.append({"role": "assistant", "content": answer})
    return chat


def _alpaca(row: TrainingRow) -> dict[str, Any]:
    """Stanford Alpaca's fields, with LLaMA-Factory's `system` and `history` where the row has them."""
    line: dict[str, Any] = {"instruction": row.instruction, "input": "", "output": _answer(row)}
    if row.system is not None:
        line["system"] = row.system
    if row.history:
        line["history"] = [list(pair) for pair in row.history]
    return line


def _sharegpt(row: TrainingRow) -> dict[str, Any]:
    roles = {"system": "system", "user": "human", "assistant": "gpt"}
    chat = turns(row, answer=_answer(row))
    return {"id": row.id, "conversations": [{"from": roles[turn["role"]], "value": turn["content"]} for turn in chat]}


def _messages(row: TrainingRow) -> dict[str, Any]:
    return {"messages": turns(row, answer=_answer(row))}


def _trl_sft(row: TrainingRow) -> dict[str, Any]:
    return {"prompt": _plain(row), "completion": _answer(row)}


def _trl_sft_chat(row: TrainingRow) -> dict[str, Any]:
    return {"prompt": turns(row), "completion": [{"role": "assistant", "content": _answer(row)}]}


def _trl_dpo(row: TrainingRow) -> dict[str, Any]:
    return {"prompt": _plain(row), "chosen": _answer(row), "rejected": _rejected(row)}


def _trl_dpo_chat(row: TrainingRow) -> dict[str, Any]:
    return {
        "prompt": turns(row),
        "chosen": [{"role": "assistant", "content": _answer(row)}],
        "rejected": [{"role": "assistant", "content": _rejected(row)}],
    }


def record(row: TrainingRow) -> dict[str, Any]:
    """Return all that a row holds, "" and [] for what it does not have.

    Arrow infers a column's type from the rows it sees first, and the fields of an object, too: so there is no null, and
    `provenance` is JSON text.
    """
    return {
        "id": row.id,
        "instruction": row.instruction,
        "response": row.response or "",
        "system": row.system or "",
        "history": [list(pair) for pair in row.history],
        "rejected": row.rejected or "",
        "language": row.language or "",
        "task": row.task or "",
        "family": row.family or row.id,
        "provenance": json.dumps(dict(row.provenance), ensure_ascii=False),
    }


def flat(row: TrainingRow) -> dict[str, Any]:
    """Return a `record` of texts alone, for tables and for JSON lines: the history as JSON, or ""."""
    line = record(row)
    line["history"] = json.dumps(line["history"], ensure_ascii=False) if line["history"] else ""
    return line


def _answer(row: TrainingRow) -> str:
    if row.response is None or not row.response.strip():
        raise LeftOut(NO_RESPONSE)
    return row.response


def _rejected(row: TrainingRow) -> str:
    if row.rejected is None or not row.rejected.strip():
        raise LeftOut(NO_REJECTED)
    return row.rejected


def _plain(row: TrainingRow) -> str:
    if row.system is not None or row.history:
        raise LeftOut(NEEDS_TURNS)
    return row.instruction


FORMATS: Final[dict[str, Format]] = {
    made.name: made
    for made in (
        Format(
            "alpaca", "array", _alpaca, "a JSON array of instruction, input, output (Stanford Alpaca, LLaMA-Factory)"
        ),
        Format("sharegpt", "array", _sharegpt, "a JSON array of conversations of human and gpt (FastChat, Axolotl)"),
        Format("messages", "jsonl", _messages, "JSON lines of messages (OpenAI's fine-tuning, TRL)"),
        Format("trl-sft", "jsonl", _trl_sft, "JSON lines of prompt and completion (TRL's SFTTrainer)"),
        Format("trl-sft-chat", "jsonl", _trl_sft_chat, "the same as messages, so that the chat template is applied"),
        Format("trl-dpo", "jsonl", _trl_dpo, "JSON lines of prompt, chosen, rejected (TRL's DPOTrainer)"),
        Format("trl-dpo-chat", "jsonl", _trl_dpo_chat, "the same as messages"),
        Format("jsonl", "jsonl", flat, "JSON lines with all that augtui knows"),
        Format("csv", "csv", flat, "the same as a table that is safe to open in a spreadsheet"),
        Format("parquet", "parquet", record, "the same as Parquet"),
        Format("hf-dataset", "folder", record, "a Hugging Face data set: a folder with Parquet files and a card"),
    )
}
PREFERENCES: Final = ("trl-dpo", "trl-dpo-chat")
"""Formats of pairs, a better and a worse response."""


def named(name: str) -> Format:
    """Return a format by its name. Raises UsageError."""
    if name not in FORMATS:
        raise UsageError(f"unknown format {name!r}", hint="formats: " + ", ".join(FORMATS))
    return FORMATS[name]
