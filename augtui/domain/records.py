"""A record: one instruction (with or without its response) and where it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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

    @property
    def id(self) -> str:
        """Return the record's name: 24 hexadecimal digits of the sha256 of its content and occurrence."""
        return digest({"instruction": self.instruction, "response": self.response, "occurrence": self.occurrence})[:24]


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
