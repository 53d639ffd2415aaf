"""Imports: a file's records put into a project once, in batches that each say how far the file is read."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring as _quoted

from augtui.domain.records import Quarantined, Record
from augtui.store import db
from augtui.store.projects import Project
from augtui.store.runs import Run

CACHE_KIB = 65_536
"""Pages that an import keeps in memory, in KiB: the index of ids is written at random places."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import has come: its first `records` + `quarantined` outcomes are in the project."""

    records: int = 0
    """Records read, those that the project had before too."""
    added: int = 0
    """Records that were new."""
    quarantined: int = 0

    @property
    def outcomes(self) -> int:
        """Return the number of outcomes that need not be put in again."""
        return self.records + self.quarantined


PreparedRecord = tuple[str, str, str | None, int, str | None, str, str | None, int | None, str | None]
"""Id, instruction, response, occurrence, language; digest of the place, id given there, line and extra fields as JSON.

All that is in the database of an imported record, in values that go through a pipe as they are.
"""


@dataclass(slots=True)
class Batch:
    """Outcomes that become one transaction."""

    records: list[PreparedRecord]
    quarantined: list[Quarantined]

    def __len__(self) -> int:
        """Return the number of outcomes."""
        return len(self.records) + len(self.quarantined)


def prepare(project: Project) -> None:
    """Give this connection the memory that writing many records needs."""
    with db.readable_errors(project.path):
        project.conn.execute(f"PRAGMA cache_size=-{CACHE_KIB}")


def progress(project: Project, run_id: int) -> Progress:
    """Return how far an import has come."""
    rows = project.read("SELECT records, added, quarantined FROM imports WHERE run_id = ?", (run_id,))
    return Progress(*rows[0]) if rows else Progress()


def add(project: Project, run: Run, batch: Batch, source_name: str) -> int:
    """Put a batch into the project, with the places of its records and the progress, and return how many were new.

    A record that the project has already (same content, same occurrence) stays as it is; its further place is
    noted. Texts are valid Unicode, as `collect` sees to; else UnicodeEncodeError, and nothing is put in.
    """
    with project.write() as conn:
        added = _insert(conn, batch.records, source_name)
        conn.executemany(
            "INSERT INTO quarantine(run_id, line, reason, excerpt) VALUES (?, ?, ?, ?)"
            " ON CONFLICT(run_id, line) DO NOTHING",
            [(run.id, line.line, db.storable(line.reason), db.storable(line.excerpt)) for line in batch.quarantined],
        )
        conn.execute(
            "INSERT INTO imports(run_id, records, added, quarantined) VALUES (?, ?, ?, ?) ON CONFLICT(run_id)"
            " DO UPDATE SET records = records + excluded.records, added = added + excluded.added,"
            " quarantined = quarantined + excluded.quarantined",
            (run.id, len(batch.records), added, len(batch.quarantined)),
        )
        conn.execute(
            "UPDATE runs SET updated_at = ?, total = (SELECT records FROM imports WHERE run_id = id) WHERE id = ?",
            (db.now(), run.id),
        )
    return added


def prepared(record: Record, language: str | None, source_name: str) -> PreparedRecord:
    """Return a record as an import stores it; its place is named as `dataset` names places."""
    given = None if record.source_id is None else db.to_json(record.source_id)
    extra = db.to_json(dict(record.extra)) if record.extra else None
    parts = (
        "null" if extra is None else _quoted(extra),
        "null" if given is None else _quoted(given),
        "null" if record.line is None else str(record.line),
        _quoted(source_name),
    )
    canonical = '{"extra":%s,"id":%s,"line":%s,"name":%s}' % parts  # noqa: UP031  (the fastest of all ways)
    place = hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:24]
    return (
        record.id,
        record.instruction,
        record.response,
        record.occurrence,
        language,
        place,
        given,
        record.line,
        extra,
    )


def _insert(conn: sqlite3.Connection, rows: Sequence[PreparedRecord], source_name: str) -> int:
    (last,) = conn.execute("SELECT COALESCE(MAX(number), 0) FROM records").fetchone()
    created = db.now()
    added = conn.executemany(
        "INSERT INTO records(id, instruction, response, occurrence, origin, language, created_at)"
        f" VALUES (?, ?, ?, ?, 'imported', ?, '{created}') ON CONFLICT(id) DO NOTHING",
        [row[:5] for row in rows],
    ).rowcount
    name = db.storable(source_name)
    if added == len(rows):  # then they were numbered as they came
        numbers: Sequence[int] = range(last + 1, last + 1 + added)
    else:
        find = "SELECT number FROM records WHERE id = ?"
        numbers = [conn.execute(find, row[:1]).fetchone()[0] for row in rows]
    conn.executemany(
        "INSERT INTO sources(record, digest, given_id, line, extra, name) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT(record, digest) DO NOTHING",
        [(number, *row[5:], name) for number, row in zip(numbers, rows, strict=True)],
    )
    return max(0, added)
