"""A record: one instruction (with or without its response) and where it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec


@dataclass(frozen=True, slots=True)
class Record:
    """One instruction of a data set.

    `occurrence` counts equal contents from 0, so that two equal lines of a file are two records.
    """

    instruction: str
    response: str | None = None
    source_id: str | int | None = None
    """The id that the user's file gave."""
    line: int | None = None
    """1-based line (JSONL, text) or row (CSV, Parquet, JSON array) in the user's file."""
    occurrence: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further JSON-serialisable fields of the row, kept for the export."""

    _id: str = field(default="", init=False, repr=False, compare=False)
    """The name, once it was asked for."""

    @property
    def id(self) -> str:
        """Return the record's name: 24 hexadecimal digits of the sha256 of its content and occurrence.

        The content is the instruction, the response and, where `extra` has them, `system`, `history` and `rejected`.
        """
        if not self._id:
            object.__setattr__(self, "_id", self._named())
        return self._id

    def _named(self) -> str:
        return named(self.instruction, self.response, self.occurrence, self.extra)

    def context(self) -> dict[str, Any]:
        """Return what else of the record belongs to its content: `system`, `history`, `rejected`, where it has them."""
        return _context(self.extra)


def named(instruction: str, response: str | None, occurrence: int, extra: Mapping[str, Any]) -> str:
    """Return the name of the record that has this content: see `Record.id`."""
    if extra and (context := _context(extra)):
        content = {"instruction": instruction, "response": response, "occurrence": occurrence}
        return digest({**content, **context})[:24]
    return plain_digest({"instruction": instruction, "occurrence": occurrence, "response": response})[:24]


def _context(extra: Mapping[str, Any]) -> dict[str, Any]:
    if "system" not in extra and "history" not in extra and "rejected" not in extra:
        return {}
    found = {"system": system(extra), "history": history(extra), "rejected": rejected(extra)}
    return {name: value for name, value in found.items() if value}


def surroundings(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a record's `extra` keeps that stands before its instruction: `system` and `history`, where there are.

    What is made in the place of a record (its response, its refinement) stands behind the same.
    """
    found = {"system": system(extra), "history": [list(turn) for turn in history(extra)]}
    return {name: value for name, value in found.items() if value}


PARENT_FIELDS: Final = ("source_id", "seed_id", "parent", "parent_id")
"""Fields that name, in a file, the row that another one was made from; `augtui expand` writes the first one."""


def kin(extra: Mapping[str, Any]) -> str | None:
    """Return whose relative a row says it is: its `family`, or what it was made from; None if it says nothing."""
    named = extra.get("family")
    if isinstance(named, str) and named:
        return named
    for name in PARENT_FIELDS:
        parent = extra.get(name)
        if isinstance(parent, str | int) and not isinstance(parent, bool) and str(parent):
            return str(parent)
    return None


def system(extra: Mapping[str, Any]) -> str | None:
    """Return the system prompt that a record's `extra` keeps, None where there is none."""
    return _text(extra.get("system"))


def rejected(extra: Mapping[str, Any]) -> str | None:
    """Return the response that was rejected in favour of the record's own, None where there is none."""
    return _text(extra.get("rejected"))


def history(extra: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the turns before the instruction, (user, assistant) each; none where there are none, or no such pairs."""
    turns = extra.get("history")
    if not isinstance(turns, list | tuple):
        return ()
    pairs = tuple((turn[0], turn[1]) for turn in turns if isinstance(turn, list | tuple) and len(turn) == 2)
    texts = all(isinstance(text, str) for pair in pairs for text in pair)
    return pairs if texts and len(pairs) == len(turns) else ()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A line of the input that cannot become a record; it is reported and the rest goes on."""

    line: int
    reason: str
    """What is wrong, in a few words, without any of the line's own text."""
    excerpt: str = ""
    """At most 200 characters of the line, decoded with replacement characters."""


def digest(content: Mapping[str, Any]) -> str:
    """Return the sha256 (64 hexadecimal digits) of a mapping's canonical JSON: sorted keys, no spaces, UTF-8."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


_ENCODE: Final = msgspec.json.Encoder().encode


def plain_digest(content: Mapping[str, str | int | None]) -> str:
    """Return `digest` of texts, whole numbers and None, whose keys are in order already, at a tenth of its time.

    msgspec writes these, unlike floating-point numbers, byte for byte as `json` does: a million records are named at
    an import.
    """
    try:
        canonical = _ENCODE(content)
    except UnicodeEncodeError:  # a lone surrogate
        return digest(content)
    return hashlib.sha256(canonical).hexdigest()
