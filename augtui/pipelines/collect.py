"""Collect: read a user's data set, row by row, into records."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from augtui.domain.records import Quarantined, Record, named
from augtui.errors import InputError
from augtui.pipelines import formats, readers, shapes, streams
from augtui.pipelines.fields import NO_FIELD, NOT_TEXT, Finder, NoRecord, names_in, shown
from augtui.pipelines.layout import Found
from augtui.pipelines.shapes import Shape
from augtui.pipelines.turns import Choice

ROWS_TO_JUDGE: Final = 100
"""After so many rows without an instruction field the file is refused."""

ROWS_TO_KNOW: Final = 20
"""Rows of which one must have the field that is said to hold the response."""

Named = tuple[str, Found, int, int]
"""A record's id, what its row holds, its line and its occurrence: all of a `Record`, which takes longer to make."""


def read(
    source: str | Path,
    *,
    field: str | None = None,
    format: str | None = None,
    limit: int | None = None,
    stdin: BinaryIO | None = None,
    see: Callable[[Any], None] | None = None,
    shape: str | None = None,
    choice: Choice = "first",
    encoding: str | None = None,
    response: str | None = None,
) -> Iterator[Record | Quarantined]:
    """Yield a record for every row of `source` (`-`: standard input), a report for a row that cannot be one.

    JSON lines, plain text, CSV, TSV and Parquet are read in constant memory, an array element by element;
    gzip, xz and bzip2 are unpacked on the way. `line` is the physical line of JSON lines and text (whose
    blank lines are skipped), the data row (from 1, the header not counted) of CSV, TSV and Parquet, the
    element of an array.

    `field` is the key or dotted path of the instruction; `format` is one of `formats.FORMATS`, by default
    told from the name and the content. `response` is the key of the response, where it has no usual name.
    `shape` is one of `shapes.SHAPES`, by default whatever names are usual.
    `choice` says which pairs of a conversation become records. `encoding` is that of the text, by default UTF-8,
    or UTF-16 where a byte order mark says so. At most `limit` records are read. `see` is given each row's own value
    before what becomes of it is yielded.

    Raises InputError, while it is iterated: the input as a whole cannot be read, holds no rows, or none of
    its first rows has an instruction field (the reports on those come first).
    """
    outcomes = read_named(
        source, field=field, format=format, limit=limit, stdin=stdin, see=see, shape=shape, choice=choice,
        encoding=encoding, response=response,
    )  # fmt: skip
    for outcome in outcomes:
        if isinstance(outcome, Quarantined):
            yield outcome
        else:
            _, found, line, occurrence = outcome
            yield Record(found.instruction, found.response, found.source_id, line, occurrence, found.extra)


def read_named(
    source: str | Path,
    *,
    field: str | None = None,
    format: str | None = None,
    limit: int | None = None,
    stdin: BinaryIO | None = None,
    see: Callable[[Any], None] | None = None,
    shape: str | None = None,
    choice: Choice = "first",
    encoding: str | None = None,
    response: str | None = None,
) -> Iterator[Named | Quarantined]:
    """Yield what `read` does, without making Records."""
    layout = shapes.named(shape)
    if shape == "text" and format is None:
        format = "text"
    with streams.opened(source, stdin, encoding) as stream:
        rows = _rows(stream, field, format, layout)
        if see is not None:
            rows = _seen(rows, see)
        if response is not None:
            rows = _answered(rows, response, stream.name)
        finder = Finder(field, layout, choice, response)
        yield from _numbered(_judged(rows, finder, field, layout, stream.name), limit, stream.name)


def _seen(rows: readers.Rows, see: Callable[[Any], None]) -> readers.Rows:
    for row in rows:
        if not isinstance(row, Quarantined):
            see(row[1])
        yield row


def _answered(rows: readers.Rows, response: str, name: str) -> readers.Rows:
    """Return the same rows. Raises InputError where none of the first ones has the field of the response."""
    first = list(itertools.islice(rows, ROWS_TO_KNOW))
    names = names_in(row[1] for row in first if not isinstance(row, Quarantined))
    if first and response.strip().lower() not in {key.strip().lower() for key in names}:
        found = ", ".join(repr(key[:40]) for key in names[:20]) or "none"
        raise InputError(f"no row of {name} has the field {response!r}", hint=f"fields found: {found}")
    return itertools.chain(first, rows)


def _rows(stream: streams.Stream, field: str | None, stated: str | None, layout: Shape) -> readers.Rows:
    told = formats.told(stream, stated, field)
    match told:
        case "jsonl":
            return readers.json_lines(stream)
        case "json":
            return readers.json_array(stream)
        case "object":
            return readers.json_object(stream, lambda value: _is_row(value, field, layout))
        case "csv":
            if said := formats.EXCEL_SEPARATOR.match(stream.peek(len(b"sep=;\r\n"))):
                stream.read(said.end())
                return readers.table(stream, said[1].decode())
            sample = stream.peek(streams.CHUNK)
            return readers.table(stream, formats.header_delimiter(sample, field) or ",")
        case "tsv":
            return readers.table(stream, "\t")
        case "parquet":
            return readers.parquet(stream)
        case "text":
            return readers.text_lines(stream)


def _is_row(value: Any, field: str | None, layout: Shape) -> bool:
    try:
        Finder(field, layout).find(value)
    except NoRecord as refused:
        return refused.reason not in (NO_FIELD, NOT_TEXT)
    return True


def _judged(
    rows: readers.Rows, finder: Finder, field: str | None, layout: Shape, name: str
) -> Iterator[tuple[Found, int] | Quarantined]:
    """Yield what becomes of each row, and its line; raise InputError where the first rows have no instruction field."""
    fieldless: list[Any] = []
    judged = False
    for row in rows:
        if isinstance(row, Quarantined):
            yield row
            continue
        line, value = row
        try:
            found = finder.find_all(value)
        except NoRecord as refused:
            if not judged and refused.reason in (NO_FIELD, NOT_TEXT):
                fieldless.append(value)
                if len(fieldless) >= ROWS_TO_JUDGE:
                    break
            yield Quarantined(line, refused.reason, shown(value))
        else:
            judged = True
            for one in found:
                yield one, line
    if fieldless and not judged:
        raise _no_field(fieldless, field, layout, name)


def _no_field(rows: list[Any], field: str | None, layout: Shape, name: str) -> InputError:
    names = ", ".join(repr(key[:40]) for key in names_in(rows)[:20]) or "none"
    if field is not None:
        return InputError(f"no row of {name} has text in the field {field!r}", hint=f"fields found: {names}")
    if {"data", "intent"} <= set(names_in(rows)):
        return InputError(f"{name} is laid out as the SNIPS files are", hint="say so: augtui import --as snips FILE")
    usual = ", ".join(layout.instruction)
    return InputError(
        f"no row of {name} has an instruction (fields found: {names}; looked for: {usual})",
        hint="name the field with --field NAME",
    )


def _numbered(
    outcomes: Iterator[tuple[Found, int] | Quarantined], limit: int | None, name: str
) -> Iterator[Named | Quarantined]:
    """Name the records, number equal contents, and stop after `limit` records."""
    seen = Occurrences()
    count = 0
    outcome = None
    for outcome in outcomes:
        if limit is not None and count >= limit:
            return
        if isinstance(outcome, Quarantined):
            yield outcome
            continue
        count += 1
        found, line = outcome
        # Its name as the first of its content says it all: 64 bits of it, and it has to be found out anyway.
        record_id = named(found.instruction, found.response, 0, found.extra)
        if occurrence := seen.count(int(record_id[:16], 16)):
            record_id = named(found.instruction, found.response, occurrence, found.extra)
        yield record_id, found, line, occurrence
    if outcome is None:
        raise InputError(f"{name} holds no rows")


class Occurrences:
    """Counts how often each of many 64-bit keys came before, in 16 bytes a key or less (a set takes five times that).

    Two contents with one key, at a million rows a chance of 1 in 30 million, only give one of them a number too high.
    """

    def __init__(self) -> None:
        """Begin with no key."""
        self._slots = array("Q", bytes(8 * 1024))
        self._mask = 1023
        self._size = 0
        self._repeated: dict[int, int] = {}

    def count(self, key: int) -> int:
        """Return how often a key was counted before, and count it."""
        key = key or 1  # 0 marks a free slot
        slots, mask = self._slots, self._mask
        at = key & mask
        while found := slots[at]:
            if found == key:
                before = self._repeated.get(key, 1)
                self._repeated[key] = before + 1
                return before
            at = (at + 1) & mask
        slots[at] = key
        self._size += 1
        if 2 * self._size > mask:
            self._grow()
        return 0

    def _grow(self) -> None:
        mask = 2 * self._mask + 1
        slots = array("Q", bytes(8 * (mask + 1)))
        for key in self._slots:
            if key:
                at = key & mask
                while slots[at]:
                    at = (at + 1) & mask
                slots[at] = key
        self._slots, self._mask = slots, mask
