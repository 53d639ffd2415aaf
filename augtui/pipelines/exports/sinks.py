"""Files of each kind, written line by line into an open `WholeFile`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from augtui.errors import OutputError
from augtui.pipelines.export import WholeFile
from augtui.pipelines.exports.formats import COLUMNS, Container
from augtui.pipelines.formula import escaped

PARQUET_ROWS: Final = 1_000
"""Rows that are held before they go into the file; a row group has 20 times as many."""
GROUP_ROWS: Final = 20_000


class Sink(Protocol):
    """Takes lines and puts them into a file."""

    def add(self, line: Mapping[str, Any]) -> None:
        """Take a line. Raises OutputError."""

    def close(self) -> None:
        """Put the rest into the file. Raises OutputError."""


def sink(container: Container, file: WholeFile) -> Sink:
    """Return what writes a kind of file; for a folder, the Parquet files in it. Raises OutputError without pyarrow."""
    match container:
        case "jsonl":
            return _JsonLines(file)
        case "array":
            return _JsonArray(file)
        case "csv":
            return _Csv(file)
        case "parquet" | "folder":
            return _Parquet(file)


class _JsonLines:
    def __init__(self, file: WholeFile) -> None:
        self._file = file

    def add(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")

    def close(self) -> None:
        pass


class _JsonArray:
    """One array, an element a line, so that it can be read by eye and by line tools too."""

    def __init__(self, file: WholeFile) -> None:
        self._file = file
        self._before = "[\n"

    def add(self, line: Mapping[str, Any]) -> None:
        self._file.write(self._before + json.dumps(line, ensure_ascii=False, allow_nan=False))
        self._before = ",\n"

    def close(self) -> None:
        self._file.write("[]\n" if self._before == "[\n" else "\n]\n")


class _Csv:
    """RFC 4180 with a header; no cell is a formula to a spreadsheet (`augtui.pipelines.formula`)."""

    def __init__(self, file: WholeFile) -> None:
        self._file = file
        self._text = io.StringIO()
        self._writer = csv.writer(self._text, lineterminator="\r\n")
        self._writer.writerow(COLUMNS)

    def add(self, line: Mapping[str, Any]) -> None:
        self._writer.writerow([escaped(cell) for cell in line.values()])
        if self._text.tell() >= 64 * 1024:
            self._flush()

    def close(self) -> None:
        self._flush()

    def _flush(self) -> None:
        self._file.write(self._text.getvalue())
        self._text.seek(0)
        self._text.truncate()


class _Parquet:
    """Zstandard-packed Parquet with one schema whatever the rows hold; `provenance` is JSON text."""

    def __init__(self, file: WholeFile) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise OutputError("Parquet files need pyarrow", hint="pip install 'augtui[parquet]'") from None
        self._pyarrow = pyarrow
        text = pyarrow.string()
        kinds = {"history": pyarrow.list_(pyarrow.list_(text))}
        self._schema = pyarrow.schema([(name, kinds.get(name, text)) for name in COLUMNS])
        self._writer = parquet.ParquetWriter(_Bytes(file), self._schema, compression="zstd")
        self._lines: list[dict[str, Any]] = []
        self._held: list[Any] = []
        self._held_rows = 0

    def add(self, line: Mapping[str, Any]) -> None:
        # A file with a schema can tell what is not there from what is empty.
        self._lines.append({name: value or None for name, value in line.items()})
        if len(self._lines) >= PARQUET_ROWS:
            self._pack()

    def close(self) -> None:
        self._pack()
        self._write()
        self._writer.close()

    def _pack(self) -> None:
        if self._lines:
            self._held.append(self._pyarrow.Table.from_pylist(self._lines, schema=self._schema))
            self._held_rows += len(self._lines)
            self._lines = []
        if self._held_rows >= GROUP_ROWS:
            self._write()

    def _write(self) -> None:
        if self._held:
            self._writer.write_table(self._pyarrow.concat_tables(self._held), row_group_size=GROUP_ROWS)
            self._held, self._held_rows = [], 0


class _Bytes:
    """What pyarrow needs of a file."""

    def __init__(self, file: WholeFile) -> None:
        self._file = file
        self.closed = False
        self._at = 0

    def write(self, data: Any) -> int:
        # A writer that an error left behind still wants to end its file, when that is thrown away already.
        if self._file.is_open:
            self._file.write_bytes(bytes(data))
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False
