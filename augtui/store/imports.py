"""Imports: a file's records put into a project once, in transactions that each say how far the file is read."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from augtui.domain.records import Quarantined, plain_digest
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


RecordRow = tuple[str, str, str | None, int, str]
"""Id, instruction, response, occurrence, language."""
PlaceRow = tuple[int, str, str | None, int | None, str | None, str]
"""Position of the record among those of its batch, digest of the place, id given there, line, extra fields as JSON, and
the source's name."""


@dataclass(slots=True)
class Batch:
    """Outcomes as the database holds them, in values that go through a pipe as they are; a place for each record."""

    records: list[RecordRow] = field(default_factory=list)
    places: list[PlaceRow] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    languages: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        """Return the number of outcomes."""
        return len(self.records) + len(self.quarantined)


def progress(project: Project, run_id: int) -> Progress:
    """Return how far an import has come."""
    rows = project.read("SELECT records, added, quarantined FROM imports WHERE run_id = ?", (run_id,))
    return Progress(*rows[0]) if rows else Progress()


@contextmanager
def many_rows(project: Project) -> Iterator[None]:
    """Give this connection the memory that writing many records needs, and look up no row twice.

    Foreign keys are not checked meanwhile: a place refers to a record that was just put in or found.
    """
    with db.readable_errors(project.path):
        project.conn.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        project.conn.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        project.conn.execute("PRAGMA foreign_keys=ON")


def place_row(
    position: int, source_id: str | int | None, line: int | None, extra: Mapping[str, Any], source_name: str
) -> PlaceRow:
    """Return where a record came from, as `dataset` names places; `source_name` is storable."""
    given = None if source_id is None else db.to_json(source_id)
    kept = db.to_json(dict(extra)) if extra else None
    digest = plain_digest({"extra": kept, "id": given, "line": line, "name": source_name})[:24]
    return position, digest, given, line, kept, source_name


class Transaction:
    """One transaction of an import: batches put in, and with them how far the file is read."""

    def __init__(self, conn: sqlite3.Connection, run: Run) -> None:
        """Keep the connection, which is in a transaction; use `transaction`."""
        self._conn = conn
        self._run = run
        self._created = db.now()
        (self._last,) = conn.execute("SELECT COALESCE(MAX(number), 0) FROM records").fetchone()
        self.records = 0
        self.added = 0
        self.quarantined = 0

    @property
    def outcomes(self) -> int:
        """Return the number of outcomes put in."""
        return self.records + self.quarantined

    def add(self, batch: Batch) -> None:
        """Put in a batch, with the places of its records.

        A record that the project has already (same content, same occurrence) stays as it is; its further place is
        noted. Texts are valid Unicode, as `collect` sees to; else UnicodeEncodeError.
        """
        added = self._add_records(batch) if batch.records else 0
        self._conn.executemany(
            "INSERT INTO quarantine(run_id, line, reason, excerpt) VALUES (?, ?, ?, ?)"
            " ON CONFLICT(run_id, line) DO NOTHING",
            [
                (self._run.id, line.line, db.storable(line.reason), db.storable(line.excerpt))
                for line in batch.quarantined
            ],
        )
        self.records += len(batch.records)
        self.added += added
        self.quarantined += len(batch.quarantined)

    def _add_records(self, batch: Batch) -> int:
        added = self._conn.executemany(
            "INSERT INTO records(id, instruction, response, occurrence, origin, language, created_at)"
            f" VALUES (?, ?, ?, ?, 'imported', ?, '{self._created}') ON CONFLICT(id) DO NOTHING",
            batch.records,
        ).rowcount
        first, places = self._last + 1, batch.places
        if added < len(batch.records):
            find = "SELECT number FROM records WHERE id = ?"
            numbers = [self._conn.execute(find, row[:1]).fetchone()[0] for row in batch.records]
            places = [(number, *place[1:]) for number, place in zip(numbers, places, strict=True)]
            first = 0
        self._conn.executemany(
            "INSERT INTO sources(record, digest, given_id, line, extra, name)"
            f" VALUES (? + {first}, ?, ?, ?, ?, ?) ON CONFLICT(record, digest) DO NOTHING",
            places,
        )
        self._last += added
        return added

    def note_progress(self) -> None:
        """Write down how far the file is read."""
        self._conn.execute(
            "INSERT INTO imports(run_id, records, added, quarantined) VALUES (?, ?, ?, ?) ON CONFLICT(run_id)"
            " DO UPDATE SET records = records + excluded.records, added = added + excluded.added,"
            " quarantined = quarantined + excluded.quarantined",
            (self._run.id, self.records, self.added, self.quarantined),
        )
        self._conn.execute(
            "UPDATE runs SET updated_at = ?, total = (SELECT records FROM imports WHERE run_id = id) WHERE id = ?",
            (db.now(), self._run.id),
        )


@contextmanager
def transaction(project: Project, run: Run) -> Iterator[Transaction]:
    """Put in what the block adds, all of it or nothing, together with the progress."""
    with project.write() as conn:
        open_one = Transaction(conn, run)
        yield open_one
        open_one.note_progress()
