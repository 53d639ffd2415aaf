"""Tell the format of a data set, by its name and by its first lines."""

from __future__ import annotations

import csv
import json
import re
from pathlib import PurePath
from typing import Final, Literal, get_args

from augtui.errors import InputError
from augtui.pipelines.fields import INSTRUCTION_NAMES
from augtui.pipelines.streams import LINE_LIMIT, MEBIBYTE, Stream

Format = Literal["jsonl", "json", "object", "csv", "tsv", "parquet", "text"]
"""`json` is one array, `object` one JSON object that holds the rows."""

FORMATS: Final = ("jsonl", "json", "csv", "tsv", "parquet", "text")
"""The formats that a user can name; `json` covers arrays and objects."""

_SUFFIXES: Final = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "text",
    ".text": "text",
}
_PACKED: Final = frozenset({".gz", ".xz", ".bz2", ".zst"})
_SAMPLE: Final = 64 * 1024
_SAMPLE_LINES: Final = 20
EXCEL_SEPARATOR: Final = re.compile(rb"sep=([,;|\t])\r?\n")
"""A first line by which Excel is told how a table's cells are parted."""
_ARRAY_OF_OBJECTS: Final = re.compile(rb"\s*\[\s*\{")


def named(source: str) -> str | None:
    """Return the format that a file's name promises, None where it promises none."""
    path = PurePath(source)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return _SUFFIXES.get(suffixes[-1]) if suffixes else None


def told(stream: Stream, stated: str | None, field: str | None) -> Format:
    """Return the format of a stream: the one that the user stated, else what its name and its content say.

    Raises InputError: an unknown format's name, or bytes that are no text.
    """
    if stated is not None and stated not in FORMATS:
        raise InputError(f"unknown format {stated!r}", hint="formats: " + ", ".join(FORMATS))
    if stream.peek(4) == b"PAR1":
        return "parquet"
    promised = stated or named(stream.name)
    if promised in ("csv", "tsv", "parquet", "text"):
        return _one_of(promised)
    sample = stream.peek(_SAMPLE)
    first = sample.lstrip()[:1]
    if stated == "jsonl" or (promised is not None and first not in (b"[", b"{")):
        return "jsonl"
    if promised is None and b"\0" in sample:
        raise InputError(f"{stream.name} is not text", hint="formats: " + ", ".join(FORMATS))
    if first in (b"[", b"{"):
        return _json_format(stream, "json" if first == b"[" else "object")
    if first == b'"' and all(_parse_alone(sample)):
        return "jsonl"
    delimiter = header_delimiter(sample, field)
    if delimiter is None:
        return "text"
    return "tsv" if delimiter == "\t" else "csv"


def _one_of(name: str) -> Format:
    return next(known for known in get_args(Format) if known == name)


def _json_format(stream: Stream, whole: Format) -> Format:
    """Tell JSON lines from one JSON text; many files named .json hold JSON lines, or the other way round.

    The first line of one text on several lines is no JSON text itself, so a first line that is one says that the
    others are too. Where the first line is broken the majority of the lines decides.
    """
    if _ARRAY_OF_OBJECTS.match(stream.peek(_SAMPLE)):
        return whole
    alone = _parse_alone(_first_lines(stream))
    if len(alone) < 2:
        return whole
    return "jsonl" if alone[0] or 2 * sum(alone) > len(alone) else whole


def _first_lines(stream: Stream) -> bytes:
    """Return the first lines, the whole of the first one up to the longest that a row may be."""
    size = _SAMPLE
    while b"\n" not in (sample := stream.peek(size)).strip() and len(sample) == size and size < LINE_LIMIT:
        size = min(4 * size, LINE_LIMIT)
    return sample


def _parse_alone(sample: bytes) -> list[bool]:
    """Return for each of the first lines whether it is a JSON text that may be a row."""
    lines = [line for line in sample.split(b"\n") if line.strip()]
    if len(sample) >= _SAMPLE and len(lines) > 2:
        lines.pop()
    return [_is_json_row(line) for line in lines[:_SAMPLE_LINES]]


def _is_json_row(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict | list | str)
    except (ValueError, RecursionError):
        return False


def header_delimiter(sample: bytes, field: str | None) -> str | None:
    """Return the delimiter that finds a known name in the first line, None where none does."""
    line = next(iter(sample[:MEBIBYTE].decode("utf-8", "replace").strip().splitlines()), "")
    names = {field.strip().lower()} if field else set(INSTRUCTION_NAMES)
    for delimiter in (",", "\t", ";", "|"):
        try:
            cells = next(csv.reader([line], delimiter=delimiter), [])
        except csv.Error:
            continue
        if len(cells) > 1 and names & {cell.strip().lower() for cell in cells}:
            return delimiter
    return None
