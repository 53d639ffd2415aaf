"""The database's schema, step by step, and the one safe way to bring an older file to the present one."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from augtui.errors import StoreError
from augtui.store import db, locks

if TYPE_CHECKING:
    from sqlite_utils import Database

LOCK_WAIT_S = 60.0
"""How long to wait, in seconds, for another process that is migrating the same file."""

# Rows refer to each other by number: keys are digests, and an index on a digest costs a random page at every insert.
_FIRST_SCHEMA = (
    # What a run was made with.
    """CREATE TABLE templates (
        hash TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        paper_table TEXT,
        source TEXT NOT NULL
    )""",
    """CREATE TABLE models (
        sha256 TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        path TEXT,
        bytes INTEGER,
        metadata TEXT NOT NULL DEFAULT '{}'
    )""",
    # Instructions and responses, numbered as they came; `sources` has every place that one was seen in.
    """CREATE TABLE records (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        instruction TEXT NOT NULL,
        response TEXT,
        occurrence INTEGER NOT NULL DEFAULT 0,
        origin TEXT NOT NULL CHECK (origin IN ('imported', 'generated')),
        extra TEXT,
        created_at TEXT NOT NULL
    )""",
    """CREATE TABLE sources (
        number INTEGER PRIMARY KEY,
        record INTEGER NOT NULL REFERENCES records(number),
        digest TEXT NOT NULL,
        name TEXT,
        given_id TEXT,
        line INTEGER,
        extra TEXT,
        UNIQUE (record, digest)
    )""",
    # A run is its items in the order of the input; an item of several runs is one row, worked on once.
    """CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        task TEXT NOT NULL,
        source TEXT NOT NULL,
        template_hash TEXT REFERENCES templates(hash),
        model_sha256 TEXT REFERENCES models(sha256),
        config TEXT NOT NULL,
        seed INTEGER,
        status TEXT NOT NULL CHECK (status IN ('running', 'interrupted', 'finished', 'failed')),
        total INTEGER,
        resumptions INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        finished_at TEXT
    )""",
    """CREATE TABLE items (
        number INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        record INTEGER NOT NULL REFERENCES records(number),
        task TEXT NOT NULL,
        sample INTEGER NOT NULL DEFAULT 0,
        status TEXT NOT NULL DEFAULT 'pending'
            CHECK (status IN ('pending', 'accepted', 'kept_original', 'failed')),
        text TEXT,
        reason TEXT,
        result INTEGER REFERENCES records(number),
        run_id INTEGER REFERENCES runs(id),
        attempt INTEGER,
        settled_at TEXT
    )""",
    "CREATE INDEX items_record ON items(record)",
    """CREATE TABLE run_items (
        run_id INTEGER NOT NULL REFERENCES runs(id),
        position INTEGER NOT NULL,
        item INTEGER NOT NULL REFERENCES items(number),
        source INTEGER REFERENCES sources(number),
        PRIMARY KEY (run_id, position)
    ) WITHOUT ROWID""",
    "CREATE INDEX run_items_item ON run_items(item)",
    # Every try with its raw text. Two runs that share an item each number their own tries.
    """CREATE TABLE attempts (
        item INTEGER NOT NULL REFERENCES items(number),
        attempt INTEGER NOT NULL,
        run_id INTEGER NOT NULL REFERENCES runs(id),
        seed INTEGER,
        text TEXT NOT NULL,
        verdict TEXT NOT NULL,
        reason TEXT,
        finish_reason TEXT,
        prompt_tokens INTEGER,
        completion_tokens INTEGER,
        queued_s REAL,
        first_token_s REAL,
        duration_s REAL,
        engine TEXT NOT NULL DEFAULT '{}',
        created_at TEXT NOT NULL,
        PRIMARY KEY (item, attempt, run_id)
    )""",
    """CREATE TABLE lineage (
        child INTEGER NOT NULL REFERENCES records(number),
        parent INTEGER NOT NULL REFERENCES records(number),
        item INTEGER NOT NULL REFERENCES items(number),
        PRIMARY KEY (child, parent, item)
    ) WITHOUT ROWID""",
    "CREATE INDEX lineage_parent ON lineage(parent)",
    """CREATE TABLE quarantine (
        run_id INTEGER NOT NULL REFERENCES runs(id),
        line INTEGER NOT NULL,
        reason TEXT NOT NULL,
        excerpt TEXT NOT NULL,
        PRIMARY KEY (run_id, line)
    )""",
)


def first_schema(database: Database) -> None:
    """Create the tables of version 1."""
    for statement in _FIRST_SCHEMA:
        database.conn.execute(statement)


def imports_and_reviews(database: Database) -> None:
    """Add what an import has got through, the language of records, and what people thought of results."""
    for statement in (
        "ALTER TABLE records ADD COLUMN language TEXT",
        # An import is a run of the task `import`; its outcomes up to `records` + `quarantined` are in the project.
        """CREATE TABLE imports (
            run_id INTEGER PRIMARY KEY REFERENCES runs(id),
            records INTEGER NOT NULL DEFAULT 0,
            added INTEGER NOT NULL DEFAULT 0,
            quarantined INTEGER NOT NULL DEFAULT 0
        )""",
        # The last row of an item is what holds; `text` is the edited text.
        """CREATE TABLE reviews (
            number INTEGER PRIMARY KEY,
            item INTEGER NOT NULL REFERENCES items(number),
            verdict TEXT NOT NULL CHECK (verdict IN ('accepted', 'edited', 'rejected')),
            text TEXT,
            created_at TEXT NOT NULL
        )""",
        "CREATE INDEX reviews_item ON reviews(item)",
    ):
        database.conn.execute(statement)


_PIPELINES = (
    # What an item is made from beside its record: the in-context pairs of pair expansion, in their order.
    """CREATE TABLE item_context (
        item INTEGER NOT NULL REFERENCES items(number),
        place INTEGER NOT NULL,
        record INTEGER NOT NULL REFERENCES records(number),
        PRIMARY KEY (item, place)
    ) WITHOUT ROWID""",
    # A recipe on an input. Its stages may belong to other pipelines too: equal work on equal records is done once.
    """CREATE TABLE pipelines (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        recipe TEXT NOT NULL,
        source TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('running', 'interrupted', 'finished', 'failed')),
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        finished_at TEXT
    )""",
    """CREATE TABLE stages (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        step TEXT NOT NULL,
        config TEXT NOT NULL,
        input_digest TEXT NOT NULL,
        output_digest TEXT,
        run_id INTEGER REFERENCES runs(id),
        detail TEXT NOT NULL DEFAULT '{}',
        created_at TEXT NOT NULL,
        finished_at TEXT
    )""",
    "CREATE TABLE pipeline_stages (pipeline INTEGER NOT NULL REFERENCES pipelines(id), place INTEGER NOT NULL,"
    " stage INTEGER NOT NULL REFERENCES stages(id), PRIMARY KEY (pipeline, place)) WITHOUT ROWID",
    """CREATE TABLE stage_records (
        stage INTEGER NOT NULL REFERENCES stages(id),
        place INTEGER NOT NULL,
        record INTEGER NOT NULL REFERENCES records(number),
        fate TEXT NOT NULL CHECK (fate IN ('kept', 'made', 'dropped')),
        reason TEXT,
        PRIMARY KEY (stage, place)
    ) WITHOUT ROWID""",
    "CREATE INDEX stage_records_record ON stage_records(record)",
)


def pipelines_and_stages(database: Database) -> None:
    """Create the tables of recipes: what each stage kept, made and dropped; and the context of items."""
    for statement in _PIPELINES:
        database.conn.execute(statement)


def judged_texts(database: Database) -> None:
    """Let a review say which text it judged, why it was rejected, and which record it made."""
    for column in ("judged TEXT", "reason TEXT", "result INTEGER REFERENCES records(number)"):
        database.conn.execute(f"ALTER TABLE reviews ADD COLUMN {column}")


def commands_and_reviewers(database: Database) -> None:
    """Let a run keep the command that began it, and a verdict say whose it is and in which session it was given."""
    for table, column in (("runs", "command"), ("reviews", "reviewer"), ("reviews", "session")):
        database.conn.execute(f"ALTER TABLE {table} ADD COLUMN {column} TEXT")


STEPS: list[Callable[[Database], None]] = [
    first_schema,
    imports_and_reviews,
    pipelines_and_stages,
    judged_texts,
    commands_and_reviewers,
]
"""The steps in order; a file's `user_version` is the number of steps that it has had."""


def bring_up_to_date(conn: sqlite3.Connection, path: Path) -> None:
    """Give the database today's schema: create it in an empty file, migrate an older one.

    The steps run in one transaction, under a lock between processes, after a copy of an older file was put
    beside it (`NAME.db.v1.backup`); killed at any moment, the file is old or new, never between.
    Raises StoreError for a newer schema, another program's database, and a lock that is not released.
    """
    with db.readable_errors(path):
        if version(conn, path) == len(STEPS):
            return
    try:
        lock = locks.acquire(path, "migration", wait_s=LOCK_WAIT_S)
    except locks.LockHeldError as error:
        raise StoreError(
            f"{path} is being migrated by process {error.pid}.",
            hint="Wait for that process to end, then try again.",
        ) from None
    with lock:
        with db.readable_errors(path):
            found = version(conn, path)
            if 0 < found < len(STEPS):
                back_up(conn, path, path.with_name(f"{path.name}.v{found}.backup"))
        if found < len(STEPS):
            with db.immediate(conn, path):
                _apply(conn)


def version(conn: sqlite3.Connection, path: Path) -> int:
    """Return the number of steps that the file has had, 0 for an empty one.

    Raises StoreError for a newer schema and for another program's database.
    """
    application, found, tables = conn.execute(
        "SELECT a.application_id, u.user_version, (SELECT COUNT(*) FROM sqlite_master)"
        " FROM pragma_application_id a, pragma_user_version u"
    ).fetchone()
    if application != db.APPLICATION_ID and (application or found or tables):
        raise StoreError(
            f"{path} is a database of another program.", hint="Give the name or file of an augtui project."
        )
    if found > len(STEPS):
        raise StoreError(
            f"{path} was written by a newer augtui (schema {found}; this one knows {len(STEPS)}).",
            hint="Upgrade augtui.",
        )
    return int(found)


def back_up(conn: sqlite3.Connection, path: Path, target: Path) -> None:
    """Copy a live database to `target` by SQLite's backup API; the copy appears complete or not at all."""
    part = target.with_name(target.name + ".part")
    try:
        part.unlink(missing_ok=True)
        copy = sqlite3.connect(part)
        try:
            conn.backup(copy)
        finally:
            copy.close()
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise StoreError(f"{path} cannot be copied to {target.name} before its migration: {error.strerror}.") from error


@contextmanager
def _without_pandas() -> Iterator[None]:
    """Keep sqlite-utils from importing pandas, as it does where there is one: 80 MB and a second, for nothing here."""
    if "pandas" in sys.modules:
        yield
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]  # so Python marks what cannot be imported
    try:
        yield
    finally:
        del sys.modules["pandas"]


def _apply(conn: sqlite3.Connection) -> None:
    """Apply the steps still to do, inside the caller's transaction, of which each becomes a savepoint."""
    with _without_pandas():
        from sqlite_utils import Database
        from sqlite_utils.migrations import Migrations

    migrations = Migrations("augtui")
    for number, step in enumerate(STEPS, start=1):
        migrations(name=f"{number:03d}_{step.__name__}")(step)
    migrations.apply(Database(conn, execute_plugins=False, recursive_triggers=False))
    conn.execute(f"PRAGMA application_id={db.APPLICATION_ID}")
    conn.execute(f"PRAGMA user_version={len(STEPS)}")
