"""Rows out of each file format, one at a time; what cannot be a row is quarantined and the rest goes on."""

from __future__ import annotations

import codecs
import csv
import itertools
import json
import re
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from augtui.domain.records import Quarantined
from augtui.errors import InputError
from augtui.pipelines import jsontext
from augtui.pipelines.fields import jsonable
from augtui.pipelines.formula import unescaped
from augtui.pipelines.streams import LINE_LIMIT, MEBIBYTE, Stream, TooLong, lines

DOCUMENT_LIMIT: Final = 64 * MEBIBYTE
"""The most bytes of a JSON object that holds the rows; it is parsed as a whole."""
EXCERPT: Final = 200
OWN_COLUMNS: Final = (
    "id", "instruction", "response", "system", "history", "rejected", "language", "task", "family", "provenance",
)  # fmt: skip
"""The header of the tables that `augtui export` writes."""

TOO_LONG: Final = "longer than 16 MiB"
BROKEN_CSV: Final = "broken CSV"
NOT_CLOSED: Final = "JSON array is not closed"
OUTSIDE: Final = "text outside the JSON array"


Row = tuple[int, Any]
"""The line of a row, and the row as its format gave it: an object, a list, a string, a number."""
Rows = Iterator[Row | Quarantined]


def json_lines(stream: Stream) -> Rows:
    """Yield a row per line that is a JSON text; blank lines are skipped. `line` is the physical line."""
    for number, line in enumerate(lines(stream), start=1):
        if isinstance(line, TooLong):
            yield _quarantined(number, TOO_LONG, line.head)
        elif line and not line.isspace():
            try:
                value = jsontext.parse_line(line)
            except jsontext.Refused as refused:
                yield _quarantined(number, refused.reason, line)
            else:
                yield (number, value)


def text_lines(stream: Stream) -> Rows:
    """Yield each line of plain text, stripped; blank lines are skipped. `line` is the physical line."""
    for number, line in enumerate(lines(stream), start=1):
        if isinstance(line, TooLong):
            yield _quarantined(number, TOO_LONG, line.head)
        elif line and not line.isspace():
            try:
                text = line.decode()
            except UnicodeDecodeError:
                yield _quarantined(number, jsontext.NOT_UTF8, line)
            else:
                if text := text.removeprefix("\ufeff").strip():
                    yield (number, text)


def _quarantined(number: int, reason: str, line: bytes | str) -> Quarantined:
    if isinstance(line, bytes):
        return Quarantined(number, reason, line[: 4 * EXCERPT].decode("utf-8", "replace")[:EXCERPT])
    return Quarantined(number, reason, line[:EXCERPT].encode("utf-8", "replace").decode())


# ---------------------------------------------------------------------------------------------- JSON array


def json_array(stream: Stream) -> Rows:
    """Yield the elements of a JSON array one by one, holding one at a time; `line` is the element's number.

    After a broken element, or text outside the array, reading goes on at the next place that looks like the
    start of an object. Arrays that follow one another are read as one.
    """
    text = _Text(stream)
    number = 0
    closed = True
    last: Row | Quarantined | None = None
    while char := text.next_visible():
        if char == ("[" if closed else "]"):
            closed = not closed
            text.at += 1
            continue
        number += 1
        last = text.refused(number, OUTSIDE) if closed else _element(text, number)
        yield last
        closed = False
        if text.next_visible() == ",":
            text.at += 1
    if not closed and not isinstance(last, Quarantined):
        yield Quarantined(number + 1, NOT_CLOSED)


_SPACES: Final = re.compile(r"[ \t\r\n]*")
_NEXT_OBJECT: Final = re.compile(r",\s*(?=\{\s*[\"}])")
_FIRST_KEY: Final = re.compile(r'\{\s*("(?:[^"\\]|\\.){0,100}")')
_LITERAL_SPAN: Final = 16
"""Longer than a literal or an escape that the end of the held text may cut in two."""
_INDENT_SPAN: Final = 1024
"""Longer than a comma, the spaces after it and the start of an object."""


class _Text:
    """The decoded text of a stream, a part at a time; bytes that are not UTF-8 become lone surrogates."""

    def __init__(self, stream: Stream) -> None:
        self._chunks = stream.chunks()
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.held = ""
        self.at = 0
        self.ended = False
        self._next_row = _NEXT_OBJECT

    def more(self) -> None:
        """Drop what was read and hold at least twice as much of the rest, unless the stream ends."""
        parts = [self.held[self.at :]]
        wanted = max(MEBIBYTE, min(len(parts[0]), LINE_LIMIT + MEBIBYTE - len(parts[0])))
        while wanted > 0 and not self.ended:
            chunk = next(self._chunks, b"")
            self.ended = not chunk
            parts.append(self._decoder.decode(chunk, final=self.ended))
            wanted -= len(parts[-1])
        self.held = "".join(parts)
        self.at = 0

    def next_visible(self) -> str:
        """Skip white space and return the character there, "" at the end."""
        while True:
            match = _SPACES.match(self.held, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.held):
                return self.held[self.at]
            if self.ended:
                return ""
            self.more()

    def learn(self, row: str) -> None:
        """Take the first key of a good row as the sign of a row, so that none is sought inside a broken one."""
        if self._next_row is _NEXT_OBJECT and (match := _FIRST_KEY.match(row)):
            self._next_row = re.compile(rf",\s*(?=\{{\s*{re.escape(match[1])})")

    def refused(self, number: int, reason: str) -> Quarantined:
        """Return the report on what is here, and go to the next object that follows a comma, or to the end."""
        report = _quarantined(number, reason, self.held[self.at : self.at + EXCERPT])
        self._skip_to_object()
        return report

    def _skip_to_object(self) -> None:
        while not (match := self._next_row.search(self.held, self.at)):
            if self.ended:
                self.at = len(self.held)
                return
            self.at = max(self.at, len(self.held) - _INDENT_SPAN)
            self.more()
        self.at = match.end()


def _element(text: _Text, number: int) -> Row | Quarantined:
    while (decoded := _decoded(text)) is None and len(text.held) - text.at <= LINE_LIMIT:
        text.more()
    if decoded is None or isinstance(decoded, str):
        return text.refused(number, decoded or TOO_LONG)
    value, end = decoded
    source = text.held[text.at : end]
    text.at = end
    if len(source) > LINE_LIMIT:
        return _quarantined(number, TOO_LONG, source)
    if isinstance(value, jsontext.Refused):
        return _quarantined(number, value.reason, source)
    try:
        jsontext.inspect(source, value)
    except jsontext.Refused as refused:
        return _quarantined(number, refused.reason, source)
    text.learn(source)
    return (number, value)


def _decoded(text: _Text) -> tuple[Any, int] | str | None:
    """Return the value there, or a Refused, and where it ends; else what is wrong, or None where more text may tell."""
    try:
        try:
            value, end = jsontext.DECODER.raw_decode(text.held, text.at)
        except json.JSONDecodeError:
            raise
        except ValueError as error:
            value = jsontext.Refused(jsontext.reason(error))
            _, end = jsontext.SHAPE_DECODER.raw_decode(text.held, text.at)
    except json.JSONDecodeError as error:
        near_end = error.pos >= len(text.held) - _LITERAL_SPAN
        if not text.ended and (near_end or error.msg.startswith("Unterminated string")):
            return None
        return TOO_LONG if error.pos - text.at > LINE_LIMIT else jsontext.BROKEN
    except RecursionError as error:
        return jsontext.reason(error)
    # A number that touches the end of the held text may have more digits.
    return (value, end) if text.ended or end < len(text.held) else None


# --------------------------------------------------------------------------------------------- JSON object


def json_object(stream: Stream, is_row: Callable[[Any], bool]) -> Rows:
    """Yield the rows of one JSON object: itself, if `is_row` says so, else those of the arrays in it, else its members.

    Several arrays (`{"train": […], "test": […]}`) are read one after the other, and each row that is an
    object gets the array's name as its `split`, unless it has one. A row of parts alone, `{"data": […]}`, gets it as
    its `intent`: so the SNIPS files name what an utterance is about. Raises InputError.
    """
    data = stream.peek(DOCUMENT_LIMIT + 1)
    if len(data) > DOCUMENT_LIMIT:
        raise InputError(
            f"{stream.name} is one JSON object of more than {DOCUMENT_LIMIT // MEBIBYTE} MiB",
            hint="write its rows a line each, for example with: jq -c '.data[]' FILE > FILE.jsonl",
        )
    text = data.decode("utf-8", "surrogateescape")
    broken_text = not jsontext.encodable(text)
    try:
        document = jsontext.DECODER.decode(text)
    except json.JSONDecodeError as error:
        several = error.msg == "Extra data"
        raise InputError(
            f"{stream.name} is neither JSON lines nor one JSON text: {error.msg}, line {error.lineno}",
            hint="if it holds objects on several lines each, write a line each: jq -c . FILE > FILE.jsonl"
            if several
            else None,
        ) from None
    except (ValueError, RecursionError) as error:
        yield _quarantined(1, jsontext.reason(error), text)
        return
    arrays = {} if is_row(document) else _arrays(document) or _members(document, is_row)
    number = itertools.count(1)
    for name, rows in (arrays or {"": [document]}).items():
        for value in rows:
            if len(arrays) > 1 and isinstance(value, dict):
                value.setdefault("split", name)
            if isinstance(value, dict) and value.keys() == {"data"}:
                value["intent"] = name
            yield _inspected(next(number), value, broken_text)


def _arrays(document: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the members that are arrays of rows: of objects, else of dialogues, else of strings."""
    lists = {name: member for name, member in document.items() if isinstance(member, list) and member}
    for kind in (dict, list, str):
        if found := {name: member for name, member in lists.items() if isinstance(member[0], kind)}:
            return found
    return {}


def _members(document: dict[str, Any], is_row: Callable[[Any], bool]) -> dict[str, list[Any]]:
    """Return the rows of an object of rows by their ids, such as pandas writes by `index`; none of another one."""
    rows = list(document.values())
    if not rows or not all(isinstance(row, dict) for row in rows) or not is_row(rows[0]):
        return {}
    return {"": [{"id": name, **row} for name, row in document.items()]}


def _inspected(number: int, value: Any, broken_text: bool) -> Row | Quarantined:
    try:
        source = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return Quarantined(number, jsontext.TOO_DEEP)
    try:
        jsontext.inspect(source, value)
    except jsontext.Refused as refused:
        # A lone surrogate comes from an escape in the text, unless the text itself was not UTF-8.
        lone = refused.reason == jsontext.NOT_UTF8 and not broken_text
        return _quarantined(number, jsontext.SURROGATE if lone else refused.reason, source)
    return (number, value)


# --------------------------------------------------------------------------------------------- CSV and TSV


def table(stream: Stream, delimiter: str) -> Rows:
    """Yield an object per row of a CSV or TSV file with a header; `line` is the data row, from 1.

    Quoted cells may hold line ends. A quote that is never closed costs its own line only: reading goes on at
    the next one. In TSV a row whose quotes do not add up is split at its tabs, as TSV knows no quotes.
    Raises InputError.
    """
    csv.field_size_limit(max(csv.field_size_limit(), LINE_LIMIT))
    feed = _Feed(stream)
    parser = csv.reader(feed, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    is_own = False
    number = 0
    while True:
        feed.start_row()
        try:
            cells = next(parser)
        except StopIteration:
            return
        except (csv.Error, RowTooLong) as error:
            first = feed.keep_first_line()
            if delimiter == "\t" and isinstance(error, csv.Error):
                cells = first.rstrip("\r\n").split("\t")
            elif header is None:
                raise InputError(f"{stream.name} has no readable header line") from None
            else:
                number += 1
                yield _quarantined(number, TOO_LONG if isinstance(error, LineTooLong) else BROKEN_CSV, first)
                continue
        if not cells:
            continue
        if header is None:
            header = _header(cells, stream.name)
            is_own = tuple(header) == OWN_COLUMNS
            continue
        number += 1
        yield _table_row(number, header, cells, is_own)


def _header(cells: list[str], name: str) -> list[str]:
    header = [cell.strip() or f"column {at}" for at, cell in enumerate(cells, start=1)]
    if not jsontext.encodable("".join(header)):
        raise InputError(f"the header line of {name} is not UTF-8", hint="save the file as UTF-8")
    if len(set(header)) < len(header):
        twice = next(cell for cell in header if header.count(cell) > 1)
        raise InputError(f"{name} has two columns named {twice[:80]!r}")
    return header


def _own(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row that augtui's own table was made from: without the marks of formulas, with its nested values."""
    row = {name: unescaped(cell) for name, cell in row.items()}
    for name in ("history", "provenance"):
        with suppress(jsontext.Refused):
            row[name] = jsontext.parse(row[name]) if row[name] else None
    return row


def _table_row(number: int, header: list[str], cells: list[str], is_own: bool) -> Row | Quarantined:
    text = ",".join(cells)
    if not text.isascii() and not jsontext.encodable(text):
        return _quarantined(number, jsontext.NOT_UTF8, text)
    if len(cells) > len(header) and any(cells[len(header) :]):
        return _quarantined(number, "more cells than columns", text)
    cells += [""] * (len(header) - len(cells))
    row = dict(zip(header, cells, strict=False))
    return (number, _own(row) if is_own else row)


class RowTooLong(Exception):
    """A row has more than `LINE_LIMIT` bytes, most likely by a quote that is never closed."""


class LineTooLong(RowTooLong):
    """The one line of a row has more than `LINE_LIMIT` bytes."""


class _Feed:
    """Lines for the csv parser; those of the current row are kept, to start again after the first of them."""

    def __init__(self, stream: Stream) -> None:
        self._lines = _table_lines(stream)
        self._again: deque[str | TooLong] = deque()
        self._row: list[str] = []
        self._size = 0

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        if isinstance(line, TooLong):
            if not self._row:
                self._row.append(line.head.decode("utf-8", "replace"))
                raise LineTooLong
            # The lines before it are read again first; then the long one comes up as the start of a row.
            self._again.appendleft(line)
            raise RowTooLong
        self._row.append(line)
        self._size += len(line)
        if self._size > LINE_LIMIT + len("\n"):
            raise RowTooLong
        return line

    def start_row(self) -> None:
        self._row.clear()
        self._size = 0

    def keep_first_line(self) -> str:
        """Return the first line of the current row, and feed the others again."""
        first, *others = self._row
        self._again.extendleft(reversed(others))
        return first


_LINE_ENDS: Final = re.compile("[^\r\n]*(?:\r\n|\r|\n|$)")


def _table_lines(stream: Stream) -> Iterator[str | TooLong]:
    for line in lines(stream):
        if isinstance(line, TooLong):
            yield line
            continue
        text = line.decode("utf-8", "surrogateescape") + "\n"
        if "\r" in text[:-2]:
            yield from (part for part in _LINE_ENDS.findall(text) if part)
        else:
            yield text


# ------------------------------------------------------------------------------------------------- Parquet


def parquet(stream: Stream) -> Rows:
    """Yield an object per row of a Parquet file, a row group at a time; `line` is the row, from 1.

    Raises InputError: pyarrow is missing, or the file is damaged.
    """
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise InputError(
            f"{stream.name} is a Parquet file, which needs pyarrow", hint="pip install 'augtui[parquet]'"
        ) from None
    number = itertools.count(1)
    # The index of a Parquet file is at its end, and standard input cannot go back; so the file is copied.
    with tempfile.TemporaryFile() as copy:
        try:
            for chunk in stream.chunks():
                copy.write(chunk)
            copy.seek(0)
            for batch in ParquetFile(copy).iter_batches(batch_size=512):
                for row in batch.to_pylist():
                    yield (next(number), jsonable(row))
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            cause = " ".join(str(error).split())[:200]
            raise InputError(f"{stream.name} cannot be read as Parquet: {cause}") from None
