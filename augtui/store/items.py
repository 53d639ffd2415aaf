"""The items of runs: planned once, tried, settled in one transaction with all they made, read in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from augtui.domain.records import Quarantined, Record
from augtui.errors import StoreError
from augtui.store import db
from augtui.store.dataset import (
    PAGE,
    GeneratedRecord,
    characters,
    insert_generated,
    insert_records,
    insert_sources,
    require_storable,
)
from augtui.store.projects import Project
from augtui.store.runs import ItemStatus, Run

SettledStatus = Literal["accepted", "kept_original", "failed"]


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One record and sample to work on, at its place in the input."""

    position: int
    """0-based place in the run; results come out in this order."""
    key: str
    """Sha256 of the record's content, task, template hash, model sha256, parameters, seed and sample."""
    record: Record
    sample: int = 0
    known_id: str | None = None
    """Id of a record that the project has already; `record` is then only the caller's copy of it."""
    context: tuple[PlannedParent, ...] = ()
    """What else the item is made from, in order."""


@dataclass(frozen=True, slots=True)
class PlannedParent:
    """A record in an item's context; `known_id` as in `PlannedItem`."""

    record: Record
    known_id: str | None = None

    @property
    def id(self) -> str:
        """Return the record's id in the project."""
        return self.known_id or self.record.id


@dataclass(frozen=True, slots=True)
class PendingItem:
    """An item still to do."""

    position: int
    key: str
    record_id: str
    instruction: str
    response: str | None
    sample: int
    attempts_made: int
    """Tries noted so far, by any run; the next try's number."""
    source_id: str | int | None
    line: int | None
    extra: Mapping[str, Any]
    context: tuple[Parent, ...] = ()
    held: Attempt | None = None
    """The last try if it was good by itself and waits for what else decides."""


@dataclass(frozen=True, slots=True)
class Parent:
    """A record in the context of an item."""

    id: str
    instruction: str
    response: str | None


HELD = "held"
"""Verdict of a try that is good by itself; what comes before it, or a second answer, decides. It is replaced then."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: what the model wrote, what became of it, what it cost."""

    attempt: int
    """0-based number of the try."""
    seed: int | None
    text: str
    """The raw text."""
    verdict: str
    reason: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    queued_s: float | None = None
    first_token_s: float | None = None
    """Seconds from the submission to the first token."""
    duration_s: float | None = None
    engine: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settled:
    """An item's end, with every try that was not noted yet and the record that it made."""

    key: str
    status: SettledStatus
    text: str | None = None
    reason: str | None = None
    attempts: tuple[Attempt, ...] = ()
    child: GeneratedRecord | None = None
    attempt: int | None = None
    """Number of the try that gave the text; None takes the last of `attempts`."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What `settle` did: the ids of the records made, by item, and the items that were settled before."""

    result_ids: dict[str, str | None]
    ignored: list[str]


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One position of a run with its outcome; the figures are those of the try that settled it."""

    position: int
    key: str
    record_id: str
    source_id: str | int | None
    line: int | None
    extra: Mapping[str, Any]
    instruction: str
    response: str | None
    sample: int
    status: ItemStatus
    text: str | None
    reason: str | None
    result_record_id: str | None
    run_id: int | None
    """The run that settled the item, this one or an earlier one that shares it."""
    seed: int | None
    attempt: int | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    queued_s: float | None
    first_token_s: float | None
    duration_s: float | None
    template_hash: str | None
    model_sha256: str | None
    engine: Mapping[str, Any] = field(default_factory=dict)
    """What the engine noted of the try."""
    context: tuple[str, ...] = ()
    """Ids of the records in the item's context."""
    made_response: str | None = None
    """The response of the record that was made."""


def add_items(project: Project, run: Run, items: Iterable[PlannedItem]) -> int:
    """Add the run's items with their records, in batches of 1,000; return how many positions were new.

    Doing it again changes nothing, so an interrupted call is simply repeated. An item that another run has
    too is shared with its outcome. `run.total` is set when all are in. Raises StoreError when a position
    holds another item than before (the input has changed), InputError for text that is not valid Unicode.
    """
    added = 0
    for batch in db.batches(items, lambda item: characters(item.record)):
        for item in batch:
            require_storable(item.record)
            for parent in item.context:
                require_storable(parent.record)
        with project.write() as conn:
            added += _add_batch(conn, run, batch)
    with project.write() as conn:
        run.total = int(conn.execute("SELECT COUNT(*) FROM run_items WHERE run_id = ?", (run.id,)).fetchone()[0])
        conn.execute("UPDATE runs SET total = ?, updated_at = ? WHERE id = ?", (run.total, db.now(), run.id))
    return added


def add_quarantined(project: Project, run: Run, lines: Iterable[Quarantined]) -> int:
    """Note the lines of the input that are no records, each once; return how many were new."""
    added = 0
    for batch in db.batches(lines, lambda line: len(line.excerpt)):
        with project.write() as conn:
            added += conn.executemany(
                "INSERT INTO quarantine(run_id, line, reason, excerpt) VALUES (?, ?, ?, ?)"
                " ON CONFLICT(run_id, line) DO NOTHING",
                [(run.id, line.line, db.storable(line.reason), db.storable(line.excerpt)) for line in batch],
            ).rowcount
    return added


def quarantined(project: Project, run_id: int) -> Iterator[Quarantined]:
    """Yield the lines set aside in a run, in the order of the input."""

    def fetch(after: int) -> list[Quarantined]:
        rows = project.read(
            "SELECT line, reason, excerpt FROM quarantine WHERE run_id = ? AND line > ? ORDER BY line LIMIT ?",
            (run_id, after, PAGE),
        )
        return [Quarantined(*row) for row in rows]

    return db.pages(fetch, lambda line: line.line, start=0)


def pending(project: Project, run: Run, limit: int, after: int = -1) -> list[PendingItem]:
    """Return at most `limit` items still to do, in order, from the position after `after`.

    An item that stands at two positions of the run comes once, at the first.
    """
    rows = project.read(
        f"""SELECT r.position, i.key, c.id, c.instruction, c.response, i.sample,
                   (SELECT COALESCE(MAX(attempt) + 1, 0) FROM attempts WHERE item = i.number),
                   s.given_id, s.line, COALESCE(c.extra, s.extra)
            FROM run_items r JOIN items i ON i.number = r.item JOIN records c ON c.number = i.record
            {_JOIN_SOURCE}
            WHERE r.run_id = ? AND r.position > ? AND i.status = 'pending'
              AND NOT EXISTS (SELECT 1 FROM run_items e WHERE e.item = r.item
                              AND e.run_id = r.run_id AND e.position < r.position)
            ORDER BY r.position LIMIT ?""",
        (run.id, after, limit),
    )
    return [_pending(project, list(row)) for row in rows]


def settled_texts(project: Project, run_id: int) -> list[tuple[int, str]]:
    """Return (position, text) of what was accepted in a run, in order; an item at two positions comes at the first."""
    return project.read(
        "SELECT MIN(r.position), i.text FROM run_items r JOIN items i ON i.number = r.item"
        " WHERE r.run_id = ? AND i.status = 'accepted' AND i.text IS NOT NULL GROUP BY i.number ORDER BY 1",
        (run_id,),
    )


def note_attempts(project: Project, run: Run, tries: Iterable[tuple[str, Attempt]]) -> None:
    """Note tries of items (by key) that did not settle them, in one transaction; each is noted once.

    Raises KeyError for an item that was never planned.
    """
    with project.write() as conn:
        _insert_attempts(conn, run, [(_look_up(conn, key)[0], attempt) for key, attempt in tries])


def settle(
    project: Project, run: Run, settled: Iterable[Settled], tries: Iterable[tuple[str, Attempt]] = ()
) -> Settlement:
    """Settle items: tries, outcome, record made and its lineage, in one transaction that is saved on return.

    `tries` are those of other items, noted in the same transaction. The first settlement of an item wins; a
    later one changes nothing and is reported in `ignored`. Raises KeyError for an item that was never planned.
    """
    outcomes, others = list(settled), list(tries)
    result = Settlement({}, [])
    with project.write() as conn:
        _insert_attempts(conn, run, [(_look_up(conn, key)[0], attempt) for key, attempt in others])
        for outcome in outcomes:
            number, status = _look_up(conn, outcome.key)
            if status == "pending":
                result.result_ids[outcome.key] = _settle(conn, run, outcome, number)
            else:
                result.ignored.append(outcome.key)
    return result


def reopen_failed(project: Project, run: Run) -> int:
    """Make the run's failed items pending again, their tries kept; return how many."""
    with project.write() as conn:
        return conn.execute(
            "UPDATE items SET status = 'pending', text = NULL, reason = NULL, run_id = NULL, attempt = NULL,"
            " settled_at = NULL"
            " WHERE status = 'failed' AND number IN (SELECT item FROM run_items WHERE run_id = ?)",
            (run.id,),
        ).rowcount


def results(project: Project, run_id: int, start: int = 0) -> Iterator[ResultRow]:
    """Yield every position of a run from `start` on, pending ones too, in order, read page by page."""

    def fetch(after: int) -> list[ResultRow]:
        return [_result(list(row)) for row in project.read(_RESULTS, (run_id, after, PAGE))]

    return db.pages(fetch, lambda row: row.position, start)


def attempts(project: Project, item_key: str) -> list[Attempt]:
    """Return every try of an item with its raw text, in order."""
    rows = project.read(
        """SELECT attempt, seed, text, verdict, reason, finish_reason, prompt_tokens, completion_tokens,
                  queued_s, first_token_s, duration_s, engine
           FROM attempts WHERE item = (SELECT number FROM items WHERE key = ?) ORDER BY attempt, run_id""",
        (item_key,),
    )
    return [_attempt(list(row)) for row in rows]


# The place in this run's input, or else the first place that the record was seen in.
_JOIN_SOURCE = """
    LEFT JOIN sources s ON s.number = COALESCE(
        r.source, (SELECT MIN(number) FROM sources WHERE record = i.record))
"""

_RESULTS = f"""
    SELECT r.position, i.key, c.id, s.given_id, s.line, COALESCE(c.extra, s.extra), c.instruction,
           c.response, i.sample, i.status, i.text, i.reason, g.id, i.run_id, a.seed, i.attempt,
           a.finish_reason, a.prompt_tokens, a.completion_tokens, a.queued_s, a.first_token_s, a.duration_s,
           q.template_hash, q.model_sha256, a.engine,
           (SELECT group_concat(id) FROM (SELECT p.id FROM item_context x JOIN records p ON p.number = x.record
                                          WHERE x.item = i.number ORDER BY x.place)),
           g.response
    FROM run_items r JOIN runs q ON q.id = r.run_id
    JOIN items i ON i.number = r.item JOIN records c ON c.number = i.record
    LEFT JOIN attempts a ON a.item = i.number AND a.attempt = i.attempt AND a.run_id = i.run_id
    LEFT JOIN records g ON g.number = i.result
    {_JOIN_SOURCE}
    WHERE r.run_id = ? AND r.position > ? ORDER BY r.position LIMIT ?
"""


def _pending(project: Project, row: list[Any]) -> PendingItem:
    row[7], row[9] = db.from_json(row[7]), db.mapping(row[9])
    key, made = row[1], row[6]
    context = project.read(
        "SELECT c.id, c.instruction, c.response FROM item_context x JOIN records c ON c.number = x.record"
        " WHERE x.item = (SELECT number FROM items WHERE key = ?) ORDER BY x.place",
        (key,),
    )
    last = [attempt for attempt in attempts(project, key) if attempt.attempt == made - 1] if made else []
    held = last[-1] if last and last[-1].verdict == HELD else None
    row += [tuple(Parent(*parent) for parent in context), held]
    return PendingItem(*row)


def _attempt(row: list[Any]) -> Attempt:
    row[-1] = db.mapping(row[-1])
    return Attempt(*row)


def _result(row: list[Any]) -> ResultRow:
    row[3], row[5] = db.from_json(row[3]), db.mapping(row[5])
    row[24] = db.mapping(row[24])
    row[25] = tuple(row[25].split(",")) if row[25] else ()
    return ResultRow(*row)


def _add_batch(conn: sqlite3.Connection, run: Run, batch: list[PlannedItem]) -> int:
    new = [(item.record.id, item.record) for item in batch if item.known_id is None]
    others = [(parent.id, parent.record) for item in batch for parent in item.context if parent.known_id is None]
    insert_records(conn, [*new, *others], origin="imported")
    source = conn.execute("SELECT source, task FROM runs WHERE id = ?", (run.id,)).fetchone()
    insert_sources(conn, others, source[0])
    places = iter(insert_sources(conn, new, source[0]))
    ids = iter(new)
    record_ids = [item.known_id or next(ids)[0] for item in batch]
    conn.executemany(
        "INSERT INTO items(key, record, task, sample)"
        " VALUES (?, (SELECT number FROM records WHERE id = ?), ?, ?) ON CONFLICT(key) DO NOTHING",
        [(item.key, record_id, source[1], item.sample) for item, record_id in zip(batch, record_ids, strict=True)],
    )
    conn.executemany(
        "INSERT INTO item_context(item, place, record) VALUES ((SELECT number FROM items WHERE key = ?), ?,"
        " (SELECT number FROM records WHERE id = ?)) ON CONFLICT DO NOTHING",
        [(item.key, place, parent.id) for item in batch for place, parent in enumerate(item.context)],
    )
    added = conn.executemany(
        "INSERT INTO run_items(run_id, position, item, source) SELECT ?1, ?2, number,"
        " (SELECT number FROM sources s WHERE s.record = items.record AND s.digest = ?4)"
        " FROM items WHERE key = ?3 ON CONFLICT(run_id, position) DO NOTHING",
        [(run.id, item.position, item.key, None if item.known_id else next(places)) for item in batch],
    ).rowcount
    if added < len(batch):
        _require_unchanged(conn, run, batch)
    return added


def _require_unchanged(conn: sqlite3.Connection, run: Run, batch: list[PlannedItem]) -> None:
    for item in batch:
        (key,) = conn.execute(
            "SELECT key FROM run_items JOIN items ON items.number = item WHERE run_items.run_id = ? AND position = ?",
            (run.id, item.position),
        ).fetchone()
        if key != item.key:
            raise StoreError(
                f"The input of run {run.id} has changed since it began (item {item.position + 1} differs).",
                hint="Give back the file as it was, or start a new run with the changed one.",
            )


def _look_up(conn: sqlite3.Connection, key: str) -> tuple[int, ItemStatus]:
    row: tuple[int, ItemStatus] | None = conn.execute(
        "SELECT number, status FROM items WHERE key = ?", (key,)
    ).fetchone()
    if row is None:
        raise KeyError(key)
    return row


def _settle(conn: sqlite3.Connection, run: Run, outcome: Settled, number: int) -> str | None:
    _insert_attempts(conn, run, [(number, attempt) for attempt in outcome.attempts])
    result_id = None if outcome.child is None else _insert_child(conn, outcome.key, number, outcome.child)
    last = outcome.attempts[-1].attempt if outcome.attempts else None
    conn.execute(
        "UPDATE items SET status = ?, text = ?, reason = ?, result = (SELECT number FROM records WHERE id = ?),"
        " run_id = ?, attempt = ?, settled_at = ? WHERE number = ?",
        (
            outcome.status,
            None if outcome.text is None else db.storable(outcome.text),
            None if outcome.reason is None else db.storable(outcome.reason),
            result_id,
            run.id,
            last if outcome.attempt is None else outcome.attempt,
            db.now(),
            number,
        ),
    )
    return result_id


def _insert_child(conn: sqlite3.Connection, key: str, number: int, child: GeneratedRecord) -> str:
    result_id = insert_generated(conn, key, child)
    if child.parents:
        conn.executemany(
            "INSERT INTO lineage(child, parent, item)"
            " VALUES ((SELECT number FROM records WHERE id = ?), (SELECT number FROM records WHERE id = ?), ?)"
            " ON CONFLICT DO NOTHING",
            [(result_id, parent, number) for parent in dict.fromkeys(child.parents)],
        )
    else:
        conn.execute(
            "INSERT INTO lineage(child, parent, item)"
            " SELECT (SELECT number FROM records WHERE id = ?), record, number FROM items WHERE number = ?"
            " ON CONFLICT DO NOTHING",
            (result_id, number),
        )
    return result_id


def _insert_attempts(conn: sqlite3.Connection, run: Run, tries: list[tuple[int, Attempt]]) -> None:
    created = db.now()
    conn.executemany(
        """INSERT INTO attempts(item, run_id, attempt, seed, text, verdict, reason, finish_reason,
                                prompt_tokens, completion_tokens, queued_s, first_token_s, duration_s,
                                engine, created_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT(item, attempt, run_id) DO UPDATE
           SET verdict = excluded.verdict, reason = excluded.reason, engine = excluded.engine
           WHERE verdict = 'held'""",
        [
            (
                number,
                run.id,
                attempt.attempt,
                attempt.seed,
                db.storable(attempt.text),
                attempt.verdict,
                None if attempt.reason is None else db.storable(attempt.reason),
                attempt.finish_reason,
                attempt.prompt_tokens,
                attempt.completion_tokens,
                attempt.queued_s,
                attempt.first_token_s,
                attempt.duration_s,
                db.to_json(dict(attempt.engine)),
                created,
            )
            for number, attempt in tries
        ],
    )
