"""Maps: where each record stands among the others, and the clusters; kept in a file of its own beside the project.

Like the search index it is no part of the project: it can be deleted at any time. A new map replaces the old one in
one transaction, so that a reader sees either, and a killed writer leaves the old one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from augtui.errors import StoreError, UsageError
from augtui.store import db
from augtui.store.projects import Project

SCHEMA = "map"
"""The name under which a map is attached to the project's connection."""
FORMAT = 1
PAGE = 10_000

_TABLES = (
    "CREATE TABLE IF NOT EXISTS state(name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS clusters(
        number INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, parent INTEGER, last INTEGER NOT NULL,
        size INTEGER NOT NULL, words TEXT NOT NULL, density REAL NOT NULL, length REAL NOT NULL,
        duplicates INTEGER NOT NULL, x REAL NOT NULL, y REAL NOT NULL, examples TEXT NOT NULL, centre BLOB NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS points(
        record INTEGER PRIMARY KEY, cluster INTEGER NOT NULL, x REAL NOT NULL, y REAL NOT NULL,
        density REAL NOT NULL, words INTEGER NOT NULL, twin INTEGER
    )""",
    "CREATE INDEX IF NOT EXISTS points_cluster ON points(cluster, record)",
    "CREATE TABLE IF NOT EXISTS vectors(record INTEGER PRIMARY KEY, vector BLOB NOT NULL)",
)


@dataclass(frozen=True, slots=True)
class State:
    """What a map was made of and how."""

    digest: str
    """Of the records and the options: an equal one is an equal map."""
    options: Mapping[str, Any]
    records: int
    last: int
    """Number of the last record in it."""
    last_id: str
    placed: int
    """Records that were put into it later."""
    made_at: str
    seconds: float
    likeness: str = ""
    """What alike means, in words for people."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Records that are alike."""

    number: int
    """In the order of the tree: those inside are `number` + 1 to `last`."""
    path: str
    """Numbers from the top, such as `3.1`."""
    parent: int | None
    last: int
    size: int
    words: tuple[str, ...]
    """What sets it apart, from the data."""
    density: float
    """Mean likeness of its records to their nearest five others, 0 to 1."""
    length: float
    """Mean words of a record's text."""
    duplicates: int
    """Records that nearly repeat an earlier one."""
    x: float
    y: float
    """Place of its most central records, about -1 to 1."""
    examples: tuple[int, ...]
    """Numbers of its most central records, the most central first."""
    centre: bytes = field(default=b"", repr=False)
    """Of its vectors: 16-bit floats."""

    @property
    def name(self) -> str:
        """Return its words as a name."""
        return " · ".join(self.words) or "(no words)"


@dataclass(frozen=True, slots=True)
class Point:
    """A record's place."""

    record: int
    cluster: int
    """The innermost one."""
    x: float
    y: float
    density: float
    words: int
    twin: int | None = None
    """The earlier record that it nearly repeats."""
    vector: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Model:
    """What puts later records into the map, as arrays' bytes (32-bit floats)."""

    weights: bytes
    axes: bytes
    centre: bytes
    dimensions: int


def map_path(project: Path) -> Path:
    """Return where the map of a project is."""
    return project.with_name(project.name + "-map")


def save(
    project: Path, state: State, clusters: Iterable[Cluster], points: Iterable[Point], model: Model | None
) -> None:
    """Put a map in the place of the one that there may be; None leaves the model as it is. Raises StoreError."""
    path = map_path(project)
    if _format(path) not in (None, FORMAT):
        _remove(path)
    with closing(_connected(path)) as conn, db.immediate(conn, path):
        for statement in _TABLES:
            conn.execute(statement)
        for table in ("clusters", "points", "vectors"):
            conn.execute(f"DELETE FROM {table}")
        for cluster in clusters:
            row = asdict(cluster)
            row["words"], row["examples"] = db.to_json(list(cluster.words)), json.dumps(list(cluster.examples))
            conn.execute(
                f"INSERT INTO clusters({', '.join(row)}) VALUES ({', '.join(':' + name for name in row)})", row
            )
        for batch in db.batches(points, lambda point: 1):
            conn.executemany(
                "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(p.record, p.cluster, p.x, p.y, p.density, p.words, p.twin) for p in batch],
            )
            conn.executemany("INSERT INTO vectors VALUES (?, ?)", [(p.record, p.vector) for p in batch])
        kept: dict[str, Any] = {"state": db.to_json(asdict(state))}
        if model is not None:
            kept |= asdict(model)
        conn.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", kept.items())
        conn.execute(f"PRAGMA user_version={FORMAT}")


def attach(project: Project) -> bool:
    """Attach the project's map to its connection; False where there is none that can be read."""
    path = map_path(project.path)
    try:
        found = path.stat()
    except OSError:
        _detach(project)
        return False
    if project.map_file == (found.st_dev, found.st_ino):
        return True
    _detach(project)
    try:
        # For writing too: what a killed writer left must be rolled back.
        project.conn.execute(f"ATTACH ? AS {SCHEMA}", (f"file:{quote(str(path))}?mode=rw",))
        if project.conn.execute(f"PRAGMA {SCHEMA}.user_version").fetchone()[0] == FORMAT:
            project.map_file = (found.st_dev, found.st_ino)
            return True
    except sqlite3.DatabaseError:
        pass
    _detach(project)
    return False


def state(project: Project) -> State | None:
    """Return what the map was made of, None where there is none or it is of other records."""
    if not attach(project):
        return None
    try:
        rows = project.conn.execute(f"SELECT value FROM {SCHEMA}.state WHERE name = 'state'").fetchall()
        found = State(**json.loads(rows[0][0]))
    except (sqlite3.DatabaseError, ValueError, TypeError, IndexError):
        return None
    known = project.read("SELECT id FROM main.records WHERE number = ?", (found.last,))
    return found if (known and known[0][0] == found.last_id) or not found.records else None


def fresh(project: Project, found: State) -> int:
    """Return how many records have come since the map was made."""
    return int(project.read("SELECT COUNT(*) FROM main.records WHERE number > ?", (found.last,))[0][0])


def clusters(project: Project, *, centres: bool = False) -> list[Cluster]:
    """Return all clusters in the order of the tree; none without a map."""
    if not attach(project):
        return []
    rows = _rows(
        project,
        "SELECT number, path, parent, last, size, words, density, length, duplicates, x, y, examples,"
        f" {'centre' if centres else 'NULL'} FROM {SCHEMA}.clusters ORDER BY number",
    )
    found: list[Cluster] = []
    for number, path, parent, last, size, words, density, length, duplicates, x, y, examples, centre in rows:
        named = tuple(str(word) for word in json.loads(words))
        shown = tuple(int(record) for record in json.loads(examples))
        found.append(
            Cluster(
                number, path, parent, last, size, named, density, length, duplicates, x, y, shown, centre or b""
            )
        )  # fmt: skip
    return found


def find(project: Project, path: str) -> Cluster:
    """Return the cluster of a path such as `3.1`. Raises UsageError."""
    found = next((cluster for cluster in clusters(project) if cluster.path == path), None)
    if found is None:
        raise UsageError(f"there is no cluster {path!r}", hint="See: augtui clusters")
    return found


def points(project: Project) -> Iterator[Point]:
    """Yield every point, without its vector, in the order of the records; none without a map."""
    if not attach(project):
        return
    after = 0
    query = f"SELECT record, cluster, x, y, density, words, twin FROM {SCHEMA}.points WHERE record >= ? ORDER BY record"
    while rows := _rows(project, f"{query} LIMIT {PAGE}", (after,)):
        yield from (Point(*row) for row in rows)
        after = rows[-1][0] + 1


def places(project: Project, rejected: str, most: int) -> list[tuple[int, float, float, bool]]:
    """Return (innermost cluster, x, y, whether it was rejected) of records, evenly thinned to about `most`.

    `rejected` is the query for rejected records (`augtui.store.pruning`).
    """
    if not attach(project):
        return []
    count = int(_rows(project, f"SELECT COUNT(*) FROM {SCHEMA}.points")[0][0])
    return _rows(
        project,
        f"SELECT cluster, x, y, record IN ({rejected}) FROM {SCHEMA}.points WHERE record % ? = 0 ORDER BY record",
        (max(1, -(-count // most)),),
    )


def members(project: Project, cluster: Cluster) -> list[tuple[int, int | None, bytes]]:
    """Return (record, its twin, its vector) of a cluster's records, in their order."""
    if not attach(project):
        return []
    return _rows(
        project,
        f"SELECT p.record, p.twin, v.vector FROM {SCHEMA}.points p JOIN {SCHEMA}.vectors v ON v.record = p.record"
        " WHERE p.cluster BETWEEN ? AND ? ORDER BY p.record",
        (cluster.number, cluster.last),
    )


def vectors(project: Project) -> list[tuple[int, bytes]]:
    """Return the vectors of all records, in their order."""
    return _rows(project, f"SELECT record, vector FROM {SCHEMA}.vectors ORDER BY record") if attach(project) else []


def model(project: Project) -> Model | None:
    """Return what puts later records into the map."""
    if not attach(project):
        return None
    kept = dict(_rows(project, f"SELECT name, value FROM {SCHEMA}.state WHERE name <> 'state'"))
    return Model(**kept) if set(kept) == set(Model.__slots__) else None


def acceptance(project: Project) -> dict[int, tuple[int, int]]:
    """Return for each innermost cluster how many results of its records were accepted, and how many there are."""
    if not attach(project):
        return {}
    rows = _rows(
        project,
        "SELECT p.cluster, SUM(i.status = 'accepted'), COUNT(*) FROM main.items i"
        f" JOIN {SCHEMA}.points p ON p.record = i.record WHERE i.status <> 'pending' AND i.run_id IS NOT NULL"
        " GROUP BY p.cluster",
    )
    return {cluster: (int(accepted), int(total)) for cluster, accepted, total in rows}


def _rows(project: Project, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
    try:
        return project.conn.execute(sql, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if "interrupt" in str(error):
            raise
        raise _unreadable(project) from error
    except sqlite3.DatabaseError as error:
        raise _unreadable(project) from error


def _unreadable(project: Project) -> StoreError:
    return StoreError(
        f"The map {map_path(project.path).name} cannot be read.", hint="Make it anew: augtui clusters map --renew"
    )


def _detach(project: Project) -> None:
    project.map_file = None
    with suppress(sqlite3.Error):
        project.conn.execute(f"DETACH {SCHEMA}")


def _connected(path: Path) -> sqlite3.Connection:
    try:
        return db.connect(path, create=True)
    except StoreError:
        _remove(path)  # nothing is lost with what cannot be read
        return db.connect(path, create=True)


def _format(path: Path) -> int | None:
    """Return the format of the file, 0 where it is no map, None where there is none."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as conn:
            return int(conn.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError:
        return 0


def _remove(path: Path) -> None:
    for suffix in ("", "-journal"):
        with suppress(OSError):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
