"""Full-text search: a trigram index of all records in a file of its own beside the project.

The index (SQLite FTS5, https://www.sqlite.org/fts5.html#the_trigram_tokenizer) is not a part of the project: it can be
thrown away at any time, makes no import slower, and no run waits for its writing. It is built in small portions; what
it does not hold yet, and words of one or two characters (most of the Chinese ones), are found by reading the texts.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from augtui.store import db
from augtui.store.projects import Project

PORTION = 2_000
"""Records that one step of the indexing reads."""
LEAST = 3
"""Characters of a word that a trigram index can find."""
SCHEMA = "search"
"""The name under which the index is attached to the project's connection."""
FORMAT = 1


def index_path(project: Path) -> Path:
    """Return where the index of a project is."""
    return project.with_name(project.name + "-search")


def attach(project: Project) -> bool:
    """Attach the project's index to its connection, made anew where there is none that fits; False where none can be.

    A folder that may not be written to, or an SQLite without FTS5, leaves search to the reading of the texts.
    """
    path = index_path(project.path)
    for _ in range(2):
        try:
            _open(project.conn, path)
            if _fits(project.conn):
                return True
            project.conn.execute(f"DETACH {SCHEMA}")
        except sqlite3.DatabaseError:
            with suppress(sqlite3.Error):
                project.conn.execute(f"DETACH {SCHEMA}")
        try:
            for suffix in ("", "-journal"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        except OSError:
            return False
    return False


def extend(project: Project, portion: int = PORTION) -> int:
    """Index the next records, at most `portion`; return how many, 0 when the index is complete."""
    done = indexed(project)
    rows = project.read(
        "SELECT number, instruction, response, id FROM records WHERE number > ? ORDER BY number LIMIT ?",
        (done, portion),
    )
    if not rows:
        return 0
    conn = project.conn
    conn.execute("BEGIN")
    try:
        conn.executemany(
            f"INSERT INTO {SCHEMA}.texts(rowid, instruction, response) VALUES (?, ?, ?)", [row[:3] for row in rows]
        )
        conn.execute(f"UPDATE {SCHEMA}.state SET number = ?, id = ?", (rows[-1][0], rows[-1][3]))
        conn.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            conn.execute("ROLLBACK")
        raise
    return len(rows)


def indexed(project: Project) -> int:
    """Return the number of the last record that the index holds."""
    return int(project.read(f"SELECT number FROM {SCHEMA}.state")[0][0])


def condition(text: str, *, attached: bool, indexed_to: int = 0) -> tuple[str, dict[str, object]]:
    """Return an SQL condition on record `r`, and its named parameters: all words of `text` occur in it.

    Words are separated by spaces, "a phrase" counts as one; ASCII letters are compared without case. The parameters
    `first` and `end` are the caller's: only records of these numbers (`end` excluded) are looked for in the index.
    """
    words = terms(text)
    long = [word for word in words if len(word) >= LEAST]
    clauses: list[str] = []
    parameters: dict[str, object] = {}
    if attached and long:
        clauses.append(
            f"(r.number > :indexed OR r.number IN (SELECT rowid FROM {SCHEMA}.texts"
            " WHERE texts MATCH :match AND rowid >= :first AND rowid < :end))"
        )
        parameters["indexed"] = indexed_to
        parameters["match"] = " AND ".join('"' + word.replace('"', '""') + '"' for word in long)
    for place, word in enumerate(words):
        name = f"word{place}"
        clauses.append(f"(r.instruction LIKE :{name} ESCAPE '\\' OR r.response LIKE :{name} ESCAPE '\\')")
        parameters[name] = f"%{like(word)}%"
    return " AND ".join(clauses) or "1", parameters


def terms(text: str) -> list[str]:
    """Return the words and quoted phrases of a search."""
    found: list[str] = []
    for place, piece in enumerate(text.split('"')):
        found += [piece] if place % 2 and piece else [] if place % 2 else piece.split()
    return [db.storable(term) for term in found]


def like(text: str) -> str:
    """Return the text for LIKE ... ESCAPE '\\', in which it stands for itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _open(conn: sqlite3.Connection, path: Path) -> None:
    conn.execute(f"ATTACH ? AS {SCHEMA}", (f"file:{quote(str(path))}?mode=rwc",))
    # A power cut may cost the index, which is then made anew: it is not worth waiting for the disk.
    conn.execute(f"PRAGMA {SCHEMA}.synchronous=OFF")
    if conn.execute(f"PRAGMA {SCHEMA}.user_version").fetchone()[0] == 0:
        conn.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS {SCHEMA}.texts"
            " USING fts5(instruction, response, content='', tokenize='trigram')"
        )
        conn.execute(f"CREATE TABLE IF NOT EXISTS {SCHEMA}.state(number INTEGER NOT NULL, id TEXT)")
        conn.execute(f"INSERT INTO {SCHEMA}.state SELECT 0, NULL WHERE NOT EXISTS (SELECT 1 FROM {SCHEMA}.state)")
        conn.execute(f"PRAGMA {SCHEMA}.user_version={FORMAT}")


def _fits(conn: sqlite3.Connection) -> bool:
    """Say whether the index belongs to this project as it is: its last record is the one that stands there."""
    if conn.execute(f"PRAGMA {SCHEMA}.user_version").fetchone()[0] != FORMAT:
        return False
    number, record_id = conn.execute(f"SELECT number, id FROM {SCHEMA}.state").fetchone()
    if number == 0:
        return True
    row = conn.execute("SELECT id FROM main.records WHERE number = ?", (number,)).fetchone()
    return row is not None and row[0] == record_id
