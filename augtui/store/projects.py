"""Projects: SQLite files that are opened, listed and removed by name or path."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from augtui import locations
from augtui.errors import StoreError, UsageError
from augtui.store import db, locks, migrations

if TYPE_CHECKING:
    from sqlite_utils import Database

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
"""Names of projects: no separator, not hidden, nothing that reads as an option."""


class Project:
    """An open project. It belongs to the thread that opened it: another one gets sqlite3.ProgrammingError."""

    def __init__(self, path: Path, conn: sqlite3.Connection) -> None:
        """Keep the database's resolved path and its connection; use `open_project`."""
        self.path = path
        self.conn = conn
        self.map_file: tuple[int, int] | None = None
        """Device and inode of the map that is attached (`augtui.store.maps`)."""

    @property
    def name(self) -> str:
        """Return the file's name without `.db`."""
        return self.path.name.removesuffix(".db")

    @cached_property
    def db(self) -> Database:
        """Return the connection as a sqlite-utils database, for what is not worth its own SQL."""
        from sqlite_utils import Database

        return Database(self.conn, execute_plugins=False)

    def write(self) -> AbstractContextManager[sqlite3.Connection]:
        """Return the one kind of write transaction: immediate, saved when the block ends, or undone."""
        return db.immediate(self.conn, self.path)

    def read(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """Return all rows of a query at once, so that no read stays open to hold up a writer."""
        with db.readable_errors(self.path):
            return self.conn.execute(sql, parameters).fetchall()

    def integrity(self) -> list[str]:
        """Return what SQLite's complete check and the foreign keys find wrong; empty when all is well."""
        found = [str(row[0]) for row in self.read("PRAGMA integrity_check")]
        orphans = self.read("PRAGMA foreign_key_check")
        return [line for line in found if line != "ok"] + [
            f"{table} row {row} refers to a missing row of {parent}" for table, row, parent, _ in orphans
        ]

    def close(self) -> None:
        """Close the connection; nothing happens the second time."""
        self.conn.close()

    def __enter__(self) -> Project:
        """Return the project."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the project."""
        self.close()


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """A project in the folder of projects."""

    name: str
    path: Path
    bytes: int
    modified: float
    """Last change, in seconds since 1970."""


def open_project(
    name_or_path: str | Path, *, create: bool = True, journal_mode: db.JournalMode | None = None
) -> Project:
    """Open a project by name (in the folder of projects) or by path (with a separator, or ending in `.db`).

    A file up to `db.CHECKED_BYTES` is checked at every open, a larger one when a journal was left beside it:
    the first costs less than a human notices, the second is when damage is likely. `journal_mode` None takes
    the safe one for this SQLite. Raises UsageError for a bad name, StoreError for a file that cannot be used.
    """
    path = locate(name_or_path)
    fresh = _inspect(path, create=create)
    check = not fresh and (path.stat().st_size <= db.CHECKED_BYTES or db.left_unclean(path))
    conn = db.connect(path, create=create)
    try:
        if check:
            db.quick_check(conn, path)
        with db.readable_errors(path):
            migrations.version(conn, path)  # nothing is written to a file that is not ours
        db.set_journal_mode(conn, path, journal_mode or db.choose_journal_mode(path))
        migrations.bring_up_to_date(conn, path)
    except BaseException:
        conn.close()
        raise
    return Project(path, conn)


def locate(name_or_path: str | Path) -> Path:
    """Return the database file of a project's name or path. Raises UsageError for a bad name."""
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or os.sep in text or text.endswith(".db"):
        path = Path(text).expanduser()
        return path.parent.resolve() / path.name if path.name else path
    if not NAME.fullmatch(text):
        raise UsageError(
            f"{text!r} is not a project's name.",
            hint="Use up to 64 letters, digits, '.', '_' and '-', beginning with a letter, digit or '_'.",
        )
    return locations.projects() / f"{text}.db"


def list_projects() -> list[ProjectFile]:
    """Return the projects in the folder of projects, by name."""
    return sorted(_project_files(), key=lambda file: file.name)


def remove(name_or_path: str | Path) -> None:
    """Delete a project's file with its journals and backups, even a damaged one.

    Raises StoreError when there is none, or when a living process works on one of its runs.
    """
    path = locate(name_or_path)
    _inspect(path, create=False)
    for run_id, key in _runs_of(path):
        if (pid := locks.holder(path, key)) is not None:
            raise StoreError(f"Run {run_id} of {path.name} is being worked on by process {pid}.", hint="Stop it first.")
    backups = [
        sibling
        for sibling in path.parent.iterdir()
        if re.fullmatch(re.escape(path.name) + r"\.v\d+\.backup(\.part)?", sibling.name)
    ]
    try:
        # The database first: SQLite throws away a journal without one, but needs the journal if there is one.
        path.unlink()
        for rest in (
            *(path.with_name(path.name + suffix) for suffix in ("-journal", "-wal", "-shm", "-search", "-map")),
            *backups,
        ):
            rest.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be removed: {error.strerror}.") from error


def _inspect(path: Path, *, create: bool) -> bool:
    """Return whether the file is new or empty. Raises StoreError unless it is a regular file or creatable."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        if not create:
            raise StoreError(
                f"There is no project {path.name.removesuffix('.db')}.", hint="See: augtui project ls"
            ) from None
        _make_folder(path.parent)
        return True
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error.strerror}.") from error
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(
            f"{path} is not a regular file.", hint="Give the database file itself, no link, folder or device."
        )
    return status.st_size == 0


def _make_folder(folder: Path) -> None:
    """Create augtui's own folder of projects; any other folder must be there."""
    try:
        if folder == locations.projects():
            folder.mkdir(parents=True, exist_ok=True)
        elif not folder.is_dir():
            raise StoreError(f"There is no folder {folder}.", hint="Create it, or give the path of a file in another.")
    except OSError as error:
        raise StoreError(f"The folder {folder} cannot be created: {error.strerror}.") from error


def _project_files() -> Iterator[ProjectFile]:
    folder = locations.projects()
    if not folder.is_dir():
        return
    for path in folder.glob("*.db"):
        name = path.name.removesuffix(".db")
        with suppress(OSError):
            status = path.lstat()
            if NAME.fullmatch(name) and stat.S_ISREG(status.st_mode):
                yield ProjectFile(name, path, status.st_size, status.st_mtime)


def _runs_of(path: Path) -> list[tuple[int, str]]:
    """Return id and key of every run; none when the file is too damaged to tell."""
    try:
        conn = db.connect(path, create=False, timeout_s=5)
    except StoreError:
        return []
    try:
        return conn.execute("SELECT id, key FROM runs").fetchall()
    except sqlite3.DatabaseError:
        return []
    finally:
        conn.close()
