"""Looking at a project's records: filtered lists, what became of each, and what a project holds in all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from augtui.errors import UsageError
from augtui.store import db
from augtui.store.dataset import PAGE
from augtui.store.projects import Project

STATES: Final = ("imported", "generated", "pending", "accepted", "kept_original", "failed", "unused")
"""What `Filters.state` takes: the two origins, the outcome of some work on the record, or none so far."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which records are wanted; None and "" mean all."""

    state: str | None = None
    task: str | None = None
    """Records that this task made or worked on."""
    language: str | None = None
    """A code; `other` means neither English nor Chinese."""
    search: str | None = None
    """Words that stand in the instruction or the response, whatever their case."""
    answered: bool | None = None
    """Whether there is a response."""
    run: int | None = None
    """Records that this run made or imported."""


@dataclass(frozen=True, slots=True)
class ListedRecord:
    """A record in a list."""

    number: int
    id: str
    origin: str
    instruction: str
    response: str | None
    language: str | None
    task: str | None
    """The task that made it, None for an imported one."""
    status: str | None
    """Outcome of the last work on it, None where there was none."""
    source_name: str | None
    line: int | None
    extra: Any
    run: int | None
    """The run that made it."""
    created_at: str


def records(project: Project, filters: Filters, *, start: int = 0) -> Iterator[ListedRecord]:
    """Yield the records that pass, in the order of arrival from number `start`, read in pages. Raises UsageError."""
    where, parameters = conditions(filters)
    query = f"{_SELECT} WHERE c.number > ? {where} ORDER BY c.number LIMIT {PAGE}"

    def fetch(after: int) -> list[ListedRecord]:
        return [_listed(row) for row in project.read(query, (after, *parameters))]

    return db.pages(fetch, lambda record: record.number, start)


def count(project: Project, filters: Filters) -> int:
    """Return how many records pass."""
    where, parameters = conditions(filters)
    return int(project.read(f"SELECT COUNT(*) FROM records c WHERE 1 {where}", parameters)[0][0])


def conditions(filters: Filters) -> tuple[str, tuple[Any, ...]]:
    """Return the conditions on `records c` as SQL, each beginning with AND, and their parameters."""
    parts: list[str] = []
    values: list[Any] = []

    def add(sql: str, *parameters: Any) -> None:
        parts.append(f"AND ({sql})")
        values.extend(parameters)

    state = filters.state
    if state in ("imported", "generated"):
        add("c.origin = ?", state)
    elif state == "unused":
        add("NOT EXISTS (SELECT 1 FROM items WHERE record = c.number)")
    elif state in STATES:
        add("EXISTS (SELECT 1 FROM items WHERE record = c.number AND status = ?)", state)
    elif state is not None:
        raise UsageError(f"there is no state {state!r}", hint="states: " + ", ".join(STATES))
    if filters.task == "import":
        add("c.origin = 'imported'")
    elif filters.task is not None:
        made_by = "SELECT record FROM items WHERE task = ? UNION SELECT result FROM items WHERE task = ?"
        add(f"c.number IN ({made_by})", filters.task, filters.task)
    if filters.language == "other":
        add("c.language IS NOT NULL AND c.language NOT IN ('en', 'zh', 'none')")
    elif filters.language is not None:
        add("c.language = ?", filters.language)
    for word in (filters.search or "").split():
        pattern = "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        add("c.instruction LIKE ? ESCAPE '\\' OR c.response LIKE ? ESCAPE '\\'", pattern, pattern)
    if filters.answered is not None:
        add(f"c.response IS {'NOT ' if filters.answered else ''}NULL")
    if filters.run is not None:
        made_by = (
            "SELECT result FROM items WHERE run_id = ?"
            " UNION SELECT s.record FROM sources s JOIN runs r ON r.source = s.name"
            " WHERE r.id = ? AND r.task = 'import'"
        )
        add(f"c.number IN ({made_by})", filters.run, filters.run)
    return " ".join(parts), tuple(values)


@dataclass(frozen=True, slots=True)
class Place:
    """One place that a record was seen in."""

    name: str | None
    given_id: Any
    line: int | None
    extra: Any


def places(project: Project, record_id: str) -> list[Place]:
    """Return every place that a record was seen in, the first one first."""
    rows = project.read(
        "SELECT name, given_id, line, extra FROM sources WHERE record ="
        " (SELECT number FROM records WHERE id = ?) ORDER BY number",
        (record_id,),
    )
    return [Place(name, db.from_json(given), line, db.mapping(extra)) for name, given, line, extra in rows]


def work(project: Project, record_id: str) -> list[dict[str, Any]]:
    """Return the items that worked on a record, each with its tries' count, for people and for JSON."""
    rows = project.read(
        "SELECT i.key, i.task, i.sample, i.status, i.reason, i.text, g.id, i.run_id,"
        " (SELECT COUNT(*) FROM attempts a WHERE a.item = i.number)"
        " FROM items i LEFT JOIN records g ON g.number = i.result"
        " WHERE i.record = (SELECT number FROM records WHERE id = ?) ORDER BY i.number",
        (record_id,),
    )
    names = ("key", "task", "sample", "status", "reason", "text", "result", "run", "tries")
    return [dict(zip(names, row, strict=True)) for row in rows]


def find(project: Project, beginning: str) -> list[str]:
    """Return the ids, ten at most, that begin with some characters, or the one of a record's number (`#12`)."""
    if beginning.startswith("#") and beginning[1:].isdecimal() and len(beginning) < 19:
        rows = project.read("SELECT id FROM records WHERE number = ?", (int(beginning[1:]),))
    else:
        rows = project.read(
            "SELECT id FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT 10",
            (beginning, beginning + "\U0010ffff"),
        )
    return [row[0] for row in rows]


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a project holds."""

    imported: int
    generated: int
    answered: int
    runs: int
    languages: dict[str, int]
    """Records by language; those whose language was never told are left out."""


def holdings(project: Project) -> Holdings:
    """Count what a project holds."""
    imported, generated, answered = project.read(
        "SELECT COALESCE(SUM(origin = 'imported'), 0), COALESCE(SUM(origin = 'generated'), 0), COUNT(response)"
        " FROM records"
    )[0]
    runs = project.read("SELECT COUNT(*) FROM runs")[0][0]
    languages = project.read(
        "SELECT language, COUNT(*) FROM records WHERE language IS NOT NULL GROUP BY language ORDER BY 2 DESC, 1"
    )
    return Holdings(imported, generated, answered, runs, dict(languages))


def licences(project: Project) -> dict[str, str]:
    """Return the licences that imports were given, by the name of the source."""
    rows = project.read("SELECT source, json_extract(config, '$.licence') FROM runs WHERE task = 'import' ORDER BY id")
    return {source: licence for source, licence in rows if isinstance(licence, str)}


_SELECT = """
    SELECT c.number, c.id, c.origin, c.instruction, c.response, c.language, m.task,
           (SELECT status FROM items WHERE record = c.number ORDER BY number DESC LIMIT 1),
           s.name, s.line, COALESCE(c.extra, s.extra), m.run_id, c.created_at
    FROM records c
    LEFT JOIN sources s ON s.number = (SELECT MIN(number) FROM sources WHERE record = c.number)
    LEFT JOIN items m ON c.origin = 'generated'
         AND m.number = (SELECT MIN(item) FROM lineage WHERE child = c.number)
"""


def _listed(row: tuple[Any, ...]) -> ListedRecord:
    values = list(row)
    values[10] = db.mapping(values[10])
    return ListedRecord(*values)
