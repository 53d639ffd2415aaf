"""SQLite as augtui uses it: safe settings, one kind of write transaction, errors that a user can act on."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from augtui.errors import StoreError

JournalMode = Literal["wal", "delete"]

APPLICATION_ID = 0x61756774
"""`augt` in ASCII, in the header of every project: https://www.sqlite.org/pragma.html#pragma_application_id"""

BUSY_TIMEOUT_S = 30.0
"""How long a statement waits for another process's transaction, in seconds."""

CHECKED_BYTES = 32 * 2**20
"""Databases up to this size (bytes) are checked at every open; larger ones only after an unclean end."""

BATCH = 1_000
"""Rows in one write transaction of a bulk insert, at most."""

BATCH_CHARACTERS = 16 * 2**20
"""Characters of text after which a batch of fewer rows is full, so that long rows do not fill the memory."""

_NETWORK_FILESYSTEMS = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "ceph",
    "fuse.sshfs",
    "fuse.rclone",
    "lustre",
    "gpfs",
)
_SURROGATES = re.compile("[\ud800-\udfff]")

_ENCODER = json.JSONEncoder(ensure_ascii=False)
"""What `json.dumps` makes anew for every value."""

T = TypeVar("T")


def connect(path: Path, *, create: bool, timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """Open a database file with augtui's settings; the connection belongs to the calling thread.

    `sqlite3` refuses its use from any other thread (ProgrammingError). Transactions are explicit.
    Raises StoreError for a file that is damaged, no database, or cannot be opened.
    """
    with readable_errors(path):
        conn = sqlite3.connect(
            f"file:{quote(os.fsencode(path))}?mode={'rwc' if create else 'rw'}",
            uri=True,
            timeout=timeout_s,
            isolation_level=None,
            check_same_thread=True,
        )
        try:
            conn.execute("PRAGMA foreign_keys=ON")
            # FULL leaves a rollback journal's removal to the operating system: a power cut just after a commit
            # could bring the journal back, and with it the state before. https://www.sqlite.org/pragma.html
            conn.execute("PRAGMA synchronous=EXTRA")
            conn.execute("PRAGMA fullfsync=ON")  # macOS: fsync alone does not empty the drive's cache
            conn.execute("PRAGMA cache_size=-32000")
            # A project may come by mail: https://www.sqlite.org/security.html, on untrusted database files
            conn.execute("PRAGMA trusted_schema=OFF")
            conn.execute("PRAGMA cell_size_check=ON")
            conn.execute("PRAGMA schema_version").fetchone()
        except BaseException:
            conn.close()
            raise
    return conn


@contextmanager
def immediate(conn: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Connection]:
    """Run the block in one `BEGIN IMMEDIATE` transaction: all of it is saved afterwards, or none of it.

    A deferred transaction that reads and then writes fails at once when another process wrote between,
    whatever the timeout; an immediate one waits. Raises StoreError for a full disk, a damaged file or an
    endless wait.
    """
    with readable_errors(path):
        conn.execute("BEGIN IMMEDIATE")
        try:
            yield conn
            conn.execute("COMMIT")
        except BaseException:
            if conn.in_transaction:
                with suppress(sqlite3.Error):  # the first error is the one to tell
                    conn.execute("ROLLBACK")
            raise


@contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the file, the disk and locks into StoreError; others stay as they are."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        explained = _explain(error, path)
        if explained is None:
            raise
        raise explained from error


def choose_journal_mode(path: Path, version: tuple[int, ...] = sqlite3.sqlite_version_info) -> JournalMode:
    """Return `wal` where it is safe, else `delete` (the rollback journal).

    SQLite 3.7.0 to 3.51.2 can corrupt a database in WAL mode when several connections write and checkpoint
    (the WAL-reset bug, https://www.sqlite.org/wal.html#walresetbug; also repaired in 3.50.7 and 3.44.6), and
    WAL does not work over a network.
    """
    repaired = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "wal" if repaired and not _on_network(path) else "delete"


def set_journal_mode(conn: sqlite3.Connection, path: Path, wanted: JournalMode) -> None:
    """Bring the database to the wanted journal mode; staying at the rollback journal is always fine.

    Raises StoreError when a database in WAL mode is open elsewhere and this SQLite cannot safely share it.
    """
    with readable_errors(path):
        if str(conn.execute("PRAGMA journal_mode").fetchone()[0]).lower() == wanted:
            return
        conn.execute("PRAGMA busy_timeout=500")
        try:
            now = str(conn.execute(f"PRAGMA journal_mode={wanted}").fetchone()[0]).lower()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY):
                raise
            now = str(conn.execute("PRAGMA journal_mode").fetchone()[0]).lower()
        finally:
            conn.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_S * 1000)}")
    if wanted == "delete" and now == "wal":
        raise StoreError(
            f"{path} is in use by another program in WAL mode,"
            f" which this SQLite {sqlite3.sqlite_version} cannot safely share.",
            hint="Close the other program, or use a Python with SQLite 3.51.3 or newer.",
        )


def left_unclean(path: Path) -> bool:
    """Say whether a journal lies beside the database: a writer died in a transaction, or one is at work."""
    return any(_size(path.with_name(path.name + suffix)) > 0 for suffix in ("-journal", "-wal"))


def quick_check(conn: sqlite3.Connection, path: Path) -> None:
    """Check the structure of the whole file. Raises StoreError when it is damaged."""
    with readable_errors(path):
        found = conn.execute("PRAGMA quick_check(1)").fetchone()
    if found is None or found[0] != "ok":
        raise damaged(path)


def damaged(path: Path) -> StoreError:
    """Return the error for a file that SQLite cannot read as a sound database."""
    return StoreError(
        f"{path} is damaged.",
        hint="Put a copy of it back, or save what is readable with: sqlite3 FILE .recover",
    )


def batches(rows: Iterable[T], length: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield lists of rows for one transaction each, so that none is open while the source is read.

    `length` tells a row's size in characters.
    """
    batch: list[T] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += length(row)
        if len(batch) >= BATCH or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def pages(fetch: Callable[[int], Sequence[T]], position: Callable[[T], int], start: int) -> Iterator[T]:
    """Yield the rows of page after page: `fetch(after)` returns those whose position is above `after`."""
    after = start - 1
    while page := fetch(after):
        yield from page
        after = position(page[-1])


def now() -> str:
    """Return the time as ISO 8601 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_json(value: Any) -> str:
    """Return a value as readable JSON, escaped where it has lone surrogates, which SQLite cannot hold."""
    if type(value) is str and value.isascii():
        return encode_basestring(value)
    text = _ENCODER.encode(value)
    return json.dumps(value) if not text.isascii() and _SURROGATES.search(text) else text


def from_json(text: str | None) -> Any:
    """Return the value that `to_json` wrote; None for NULL."""
    return None if text is None else json.loads(text)


def mapping(text: str | None) -> Mapping[str, Any]:
    """Return the mapping that `to_json` wrote; an empty one for NULL."""
    value = from_json(text)
    return value if isinstance(value, dict) else {}


def storable(text: str) -> str:
    """Return a model's text with lone surrogates, which SQLite cannot hold, as U+FFFD."""
    return _SURROGATES.sub("\ufffd", text)


def is_storable(text: str | None) -> bool:
    """Say whether SQLite can hold the text: it has no lone surrogate."""
    return text is None or _SURROGATES.search(text) is None


def _explain(error: sqlite3.DatabaseError, path: Path) -> StoreError | None:
    code = getattr(error, "sqlite_errorcode", None)
    match None if code is None else code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return StoreError(
                f"There is no room left for {path}; everything saved so far is safe.",
                hint="Make room on the disk and run the same command again: it goes on where it stopped.",
            )
        case sqlite3.SQLITE_NOTADB:
            return StoreError(f"{path} is not a database.", hint="Give the name or file of an augtui project.")
        case sqlite3.SQLITE_CORRUPT:
            return damaged(path)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return StoreError(
                f"Another program has kept {path} busy for {BUSY_TIMEOUT_S:.0f} seconds.",
                hint="Close what works on it (a database browser with unsaved changes?) and try again.",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return StoreError(f"{path} cannot be written to.", hint="Check the permissions of the file and its folder.")
        case sqlite3.SQLITE_CANTOPEN:
            return StoreError(
                f"{path} cannot be opened.",
                hint="Check that the folder exists, has room, and may be written to.",
            )
        case sqlite3.SQLITE_IOERR:
            return StoreError(
                f"The disk failed under {path} ({error.sqlite_errorname}); what was saved before is safe.",
                hint="Check the disk, then run the same command again: it goes on where it stopped.",
            )
        case _:
            return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _on_network(path: Path) -> bool:
    """Say whether Linux mounts the path's folder from a network; False where /proc does not tell."""
    folder = str(path.resolve().parent)
    try:
        mounts = [line.split(" ")[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return False
    over = [(len(point), kind) for point, kind in mounts if Path(folder).is_relative_to(point.replace("\\040", " "))]
    return bool(over) and max(over)[1].startswith(_NETWORK_FILESYSTEMS)
