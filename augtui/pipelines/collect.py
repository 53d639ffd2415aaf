"""Collect: read a user's data set, row by row, into records."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from augtui.domain.records import Quarantined, Record
from augtui.errors import InputError
from augtui.pipelines import formats, readers, streams
from augtui.pipelines.fields import INSTRUCTION_NAMES, NO_FIELD, NOT_TEXT, Finder, NoRecord, names_in, shown

ROWS_TO_JUDGE: Final = 100
"""After so many rows without an instruction field the file is refused."""


def read(
    source: str | Path,
    *,
    field: str | None = None,
    format: str | None = None,
    limit: int | None = None,
    stdin: BinaryIO | None = None,
    see: Callable[[Any], None] | None = None,
) -> Iterator[Record | Quarantined]:
    """Yield a record for every row of `source` (`-`: standard input), a report for a row that cannot be one.

    JSON lines, plain text, CSV, TSV and Parquet are read in constant memory, an array element by element;
    gzip, xz and bzip2 are unpacked on the way. `line` is the physical line of JSON lines and text (whose
    blank lines are skipped), the data row (from 1, the header not counted) of CSV, TSV and Parquet, the
    element of an array.

    `field` is the key or dotted path of the instruction; `format` is one of `formats.FORMATS`, by default
    told from the name and the content. At most `limit` records are read. `see` is given each row's own value before
    what becomes of it is yielded.

    Raises InputError, while it is iterated: the input as a whole cannot be read, holds no rows, or none of
    its first rows has an instruction field (the reports on those come first).
    """
    with streams.opened(source, stdin) as stream:
        rows = _rows(stream, field, format)
        if see is not None:
            rows = _seen(rows, see)
        yield from _records(_judged(rows, Finder(field), field, stream.name), limit, stream.name)


def _seen(rows: readers.Rows, see: Callable[[Any], None]) -> readers.Rows:
    for row in rows:
        if isinstance(row, readers.Row):
            see(row.value)
        yield row


def _rows(stream: streams.Stream, field: str | None, stated: str | None) -> readers.Rows:
    told = formats.told(stream, stated, field)
    match told:
        case "jsonl":
            return readers.json_lines(stream)
        case "json":
            return readers.json_array(stream)
        case "object":
            return readers.json_object(stream, lambda value: _is_row(value, field))
        case "csv":
            sample = stream.peek(streams.CHUNK)
            return readers.table(stream, formats.header_delimiter(sample, field) or ",")
        case "tsv":
            return readers.table(stream, "\t")
        case "parquet":
            return readers.parquet(stream)
        case "text":
            return readers.text_lines(stream)


def _is_row(value: Any, field: str | None) -> bool:
    try:
        Finder(field).find(value)
    except NoRecord as refused:
        return refused.reason not in (NO_FIELD, NOT_TEXT)
    return True


def _judged(rows: readers.Rows, finder: Finder, field: str | None, name: str) -> Iterator[Record | Quarantined]:
    """Yield what becomes of each row; raise InputError where the first rows have no instruction field."""
    fieldless: list[Any] = []
    judged = False
    for row in rows:
        outcome = row if isinstance(row, Quarantined) else _outcome(row, finder)
        if not judged and isinstance(row, readers.Row):
            if isinstance(outcome, Quarantined) and outcome.reason in (NO_FIELD, NOT_TEXT):
                fieldless.append(row.value)
                if len(fieldless) >= ROWS_TO_JUDGE:
                    break
            else:
                judged = True
                fieldless.clear()
        yield outcome
    if fieldless:
        raise _no_field(fieldless, field, name)


def _outcome(row: readers.Row, finder: Finder) -> Record | Quarantined:
    try:
        found = finder.find(row.value)
    except NoRecord as refused:
        return Quarantined(row.line, refused.reason, shown(row.value))
    return Record(found.instruction, found.response, found.source_id, row.line, 0, found.extra)


def _no_field(rows: list[Any], field: str | None, name: str) -> InputError:
    names = ", ".join(repr(key[:40]) for key in names_in(rows)[:20]) or "none"
    if field is not None:
        return InputError(f"no row of {name} has text in the field {field!r}", hint=f"fields found: {names}")
    usual = ", ".join(INSTRUCTION_NAMES)
    return InputError(
        f"no row of {name} has an instruction (fields found: {names}; looked for: {usual})",
        hint="name the field with --field NAME",
    )


def _records(outcomes: Iterator[Record | Quarantined], limit: int | None, name: str) -> Iterator[Record | Quarantined]:
    """Number equal contents, and stop after `limit` records."""
    seen: dict[bytes, int] = {}
    count = 0
    outcome = None
    for outcome in outcomes:
        if limit is not None and count >= limit:
            return
        if isinstance(outcome, Record):
            count += 1
            key = _content_key(outcome)
            occurrence = seen.get(key, 0)
            seen[key] = occurrence + 1
            if occurrence:
                outcome = Record(
                    outcome.instruction,
                    outcome.response,
                    outcome.source_id,
                    outcome.line,
                    occurrence,
                    outcome.extra,
                )
        yield outcome
    if outcome is None:
        raise InputError(f"{name} holds no rows")


def _content_key(record: Record) -> bytes:
    """Return 16 bytes that stand for the record's content; the length keeps the two texts apart."""
    response = "" if record.response is None else f"\0{record.response}"
    return hashlib.blake2b(f"{record.instruction}{response}".encode(), digest_size=16).digest()
