"""The records of a project: imported ones with the places they came from, and generated ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from augtui.domain.language import language
from augtui.domain.records import Record, digest
from augtui.errors import InputError
from augtui.store import db
from augtui.store.projects import Project

Origin = Literal["imported", "generated"]

PAGE = 500
"""Rows that one read brings into memory."""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as the project holds it, with the first place that it was seen in."""

    number: int
    """1-based place in the order of arrival."""
    id: str
    instruction: str
    response: str | None
    origin: Origin
    source_name: str | None
    source_id: str | int | None
    line: int | None
    extra: Mapping[str, Any]
    created_at: str


@dataclass(frozen=True, slots=True)
class GeneratedRecord:
    """What a model made of one item; the store names it after its content and the item."""

    instruction: str
    response: str | None = None
    parents: tuple[str, ...] = ()
    """Ids of the records it was made from; empty means the item's own record."""
    extra: Mapping[str, Any] | None = None


def add_records(
    project: Project,
    records: Iterable[Record],
    *,
    origin: Origin = "imported",
    source_name: str | None = None,
) -> int:
    """Add records and the places they came from; return how many were new.

    A record that the project has already (same content, same occurrence) stays as it is; its further place is
    noted. Each batch of 1,000 is one transaction. Raises InputError for text that is not valid Unicode.
    """
    added = 0
    for batch in db.batches(records, characters):
        rows = [_named(record) for record in batch]
        with project.write() as conn:
            added += insert_records(conn, rows, origin=origin)
            insert_sources(conn, rows, source_name)
    return added


def count(project: Project, origin: Origin | None = None) -> int:
    """Return the number of records, of one origin or of all."""
    where, parameters = ("", ()) if origin is None else (" WHERE origin = ?", (origin,))
    return int(project.read(f"SELECT COUNT(*) FROM records{where}", parameters)[0][0])


def get(project: Project, record_id: str) -> StoredRecord | None:
    """Return one record, None when the project has none of that id."""
    rows = project.read(f"{_SELECT} WHERE c.id = ?", (record_id,))
    return _stored(rows[0]) if rows else None


def records(project: Project, start: int = 0, origin: Origin | None = None) -> Iterator[StoredRecord]:
    """Yield records in the order of arrival from number `start`, read in pages so that writers never wait."""
    condition, parameters = ("", ()) if origin is None else (" AND c.origin = ?", (origin,))
    query = f"{_SELECT} WHERE c.number > ?{condition} ORDER BY c.number LIMIT {PAGE}"

    def fetch(after: int) -> list[StoredRecord]:
        return [_stored(row) for row in project.read(query, (after, *parameters))]

    return db.pages(fetch, lambda record: record.number, start)


def generated_id(item_key: str, record: GeneratedRecord) -> str:
    """Return a generated record's name: equal texts made from two items are two records."""
    return digest({"item": item_key, "instruction": record.instruction, "response": record.response})[:24]


NamedRecord = tuple[str, Record]
"""A record with the id that it has (or gets) in the project."""


def insert_records(conn: sqlite3.Connection, named: Iterable[NamedRecord], *, origin: Origin) -> int:
    """Insert records that are not there yet, inside the caller's transaction; return how many were new."""
    created = db.now()
    rows = [
        (record_id, record.instruction, record.response, record.occurrence, origin, _language(record), created)
        for record_id, record in named
    ]
    return conn.executemany(
        "INSERT INTO records(id, instruction, response, occurrence, origin, language, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO NOTHING",
        rows,
    ).rowcount


def insert_generated(conn: sqlite3.Connection, item_key: str, record: GeneratedRecord) -> str:
    """Insert what a model made, inside the caller's transaction; return its id."""
    record_id = generated_id(item_key, record)
    conn.execute(
        "INSERT INTO records(id, instruction, response, origin, extra, language, created_at)"
        " VALUES (?, ?, ?, 'generated', ?, ?, ?) ON CONFLICT(id) DO NOTHING",
        (
            record_id,
            db.storable(record.instruction),
            None if record.response is None else db.storable(record.response),
            db.to_json(dict(record.extra)) if record.extra else None,
            _language(record),
            db.now(),
        ),
    )
    return record_id


def _language(record: Record | GeneratedRecord) -> str:
    """Return the language of an instruction by its script and words alone: `en`, `zh`, `other`, `none`."""
    return language(record.instruction[:1000]).value


def insert_sources(conn: sqlite3.Connection, named: Iterable[NamedRecord], source_name: str | None) -> list[str]:
    """Note the place of each record, once, inside the caller's transaction; return the places' digests."""
    rows = [_source_row(record_id, record, source_name) for record_id, record in named]
    conn.executemany(
        "INSERT INTO sources(record, digest, name, given_id, line, extra)"
        " VALUES ((SELECT number FROM records WHERE id = ?), ?, ?, ?, ?, ?)"
        " ON CONFLICT(record, digest) DO NOTHING",
        rows,
    )
    return [row[1] for row in rows]


def require_storable(record: Record) -> None:
    """Raise InputError for a record with lone surrogates, which neither UTF-8 nor SQLite can hold."""
    if not (db.is_storable(record.instruction) and db.is_storable(record.response)):
        place = "A record" if record.line is None else f"Line {record.line}"
        raise InputError(f"{place} holds text that is not valid Unicode (a lone surrogate).")


_SELECT = """
    SELECT c.number, c.id, c.instruction, c.response, c.origin, s.name, s.given_id, s.line,
           COALESCE(c.extra, s.extra), c.created_at
    FROM records c
    LEFT JOIN sources s ON s.number = (SELECT MIN(number) FROM sources WHERE record = c.number)
"""


def characters(record: Record) -> int:
    """Return the length of a record's texts."""
    return len(record.instruction) + len(record.response or "")


def _named(record: Record) -> NamedRecord:
    require_storable(record)
    return record.id, record


def _source_row(
    record_id: str, record: Record, name: str | None
) -> tuple[str, str, str | None, str | None, int | None, str | None]:
    given_id = None if record.source_id is None else db.to_json(record.source_id)
    extra = db.to_json(dict(record.extra)) if record.extra else None
    place = digest({"name": name, "id": given_id, "line": record.line, "extra": extra})[:24]
    return record_id, place, None if name is None else db.storable(name), given_id, record.line, extra


def _stored(row: tuple[Any, ...]) -> StoredRecord:
    number, record_id, instruction, response, origin, name, given_id, line, extra, created = row
    return StoredRecord(
        number,
        record_id,
        instruction,
        response,
        origin,
        name,
        db.from_json(given_id),
        line,
        db.mapping(extra),
        created,
    )
