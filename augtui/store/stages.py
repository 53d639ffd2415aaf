"""Pipelines and their stages: what each step of a recipe kept, made and dropped, so that it is never done again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from augtui.domain.records import Record
from augtui.errors import StoreError
from augtui.store import db, locks
from augtui.store.dataset import PAGE
from augtui.store.projects import Project

Fate = Literal["kept", "made", "dropped"]
PipelineStatus = Literal["running", "interrupted", "finished", "failed"]


@dataclass(frozen=True, slots=True)
class Fated:
    """What became of one record in a stage."""

    record_id: str
    fate: Fate
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StageRow:
    """A stage as the project holds it."""

    id: int
    key: str
    step: str
    config: Mapping[str, Any]
    input_digest: str
    output_digest: str | None
    run_id: int | None
    detail: Mapping[str, Any]
    created_at: str
    finished_at: str | None
    kept: int
    made: int
    dropped: int


@dataclass(frozen=True, slots=True)
class PipelineRow:
    """A pipeline as the project holds it; one whose process died reads `interrupted`."""

    id: int
    key: str
    name: str
    recipe: str
    source: str
    status: PipelineStatus
    created_at: str
    updated_at: str
    finished_at: str | None


@dataclass(slots=True)
class Pipeline:
    """A pipeline that this process works on: its lock is held until `finish`."""

    id: int
    resumed: bool
    lock: locks.FileLock


def begin(project: Project, key: str, name: str, recipe: str, source: str) -> Pipeline:
    """Create the pipeline of this key, or resume it, and lock it; raises StoreError while another process has it."""
    try:
        lock = locks.acquire(project.path, key)
    except locks.LockHeldError as error:
        raise StoreError(
            f"This pipeline is being worked on by process {error.pid or '(unknown)'}.",
            hint="Wait for it, or stop that process and run the same command again.",
        ) from None
    try:
        with project.write() as conn:
            now = db.now()
            found = conn.execute("SELECT id FROM pipelines WHERE key = ?", (key,)).fetchone()
            conn.execute(
                "INSERT INTO pipelines(key, name, recipe, source, status, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, 'running', ?, ?) ON CONFLICT(key) DO UPDATE"
                " SET status = 'running', updated_at = excluded.updated_at, finished_at = NULL",
                (key, db.storable(name), db.storable(recipe), db.storable(source), now, now),
            )
            (number,) = conn.execute("SELECT id FROM pipelines WHERE key = ?", (key,)).fetchone()
            return Pipeline(number, found is not None, lock)
    except BaseException:
        lock.release()
        raise


def finish(project: Project, pipeline: Pipeline, status: Literal["finished", "interrupted", "failed"]) -> None:
    """Set a pipeline's last status and let go of its lock."""
    try:
        with project.write() as conn:
            now = db.now()
            conn.execute(
                "UPDATE pipelines SET status = ?, updated_at = ?, finished_at = ? WHERE id = ?",
                (status, now, None if status == "interrupted" else now, pipeline.id),
            )
    finally:
        pipeline.lock.release()


def pipelines(project: Project) -> list[PipelineRow]:
    """Return every pipeline, the newest first."""
    rows = project.read(
        "SELECT id, key, name, recipe, source, status, created_at, updated_at, finished_at FROM pipelines"
        " ORDER BY id DESC"
    )
    found = []
    for row in rows:
        values = list(row)
        if values[5] == "running" and locks.holder(project.path, values[1]) is None:
            values[5] = "interrupted"
        found.append(PipelineRow(*values))
    return found


def stages_of(project: Project, pipeline_id: int) -> list[StageRow]:
    """Return the stages that a pipeline has been through, in order."""
    rows = project.read(
        f"{_SELECT} JOIN pipeline_stages p ON p.stage = s.id WHERE p.pipeline = ? ORDER BY p.place", (pipeline_id,)
    )
    return [_stage(row) for row in rows]


def find(project: Project, key: str) -> StageRow | None:
    """Return a finished stage by its key, None if there is none."""
    rows = project.read(f"{_SELECT} WHERE s.key = ? AND s.finished_at IS NOT NULL", (key,))
    return _stage(rows[0]) if rows else None


def note(project: Project, pipeline: Pipeline, place: int, stage_id: int) -> None:
    """Note that a pipeline has a stage at a place."""
    with project.write() as conn:
        conn.execute(
            "INSERT INTO pipeline_stages(pipeline, place, stage) VALUES (?, ?, ?)"
            " ON CONFLICT(pipeline, place) DO UPDATE SET stage = excluded.stage",
            (pipeline.id, place, stage_id),
        )


def save(
    project: Project,
    key: str,
    step: str,
    config: Mapping[str, Any],
    input_digest: str,
    output_digest: str,
    fates: Iterable[Fated],
    *,
    run_id: int | None = None,
    detail: Mapping[str, Any] | None = None,
) -> int:
    """Save a stage with all its records; it counts as finished when all are in. Returns its id.

    Records are saved in batches; what a killed process left of the stage is taken away first. Raises KeyError for a
    record that the project does not have.
    """
    with project.write() as conn:
        now = db.now()
        conn.execute(
            "INSERT INTO stages(key, step, config, input_digest, created_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT(key) DO NOTHING",
            (key, step, db.to_json(dict(config)), input_digest, now),
        )
        (number,) = conn.execute("SELECT id FROM stages WHERE key = ?", (key,)).fetchone()
        conn.execute("DELETE FROM stage_records WHERE stage = ?", (number,))
    place = 0
    for batch in db.batches(fates, lambda fated: len(fated.record_id)):
        with project.write() as conn:
            _insert(conn, number, place, batch)
        place += len(batch)
    with project.write() as conn:
        conn.execute(
            "UPDATE stages SET output_digest = ?, run_id = ?, detail = ?, finished_at = ? WHERE id = ?",
            (output_digest, run_id, db.to_json(dict(detail or {})), db.now(), number),
        )
    return int(number)


def fates(project: Project, stage_id: int, start: int = 0) -> Iterator[tuple[int, Fated]]:
    """Yield (place, record and its fate) of a stage, in order, read page by page."""

    def fetch(after: int) -> list[tuple[int, Fated]]:
        rows = project.read(
            "SELECT r.place, c.id, r.fate, r.reason FROM stage_records r JOIN records c ON c.number = r.record"
            " WHERE r.stage = ? AND r.place > ? ORDER BY r.place LIMIT ?",
            (stage_id, after, PAGE),
        )
        return [(row[0], Fated(*row[1:])) for row in rows]

    return db.pages(fetch, lambda row: row[0], start)


def outputs(project: Project, stage_id: int) -> list[str]:
    """Return the ids of the records that a stage kept and made, in order."""
    return [fated.record_id for _, fated in fates(project, stage_id) if fated.fate != "dropped"]


def reasons(project: Project, stage_id: int) -> dict[str, int]:
    """Return how many records were dropped for which kind of reason (what stands before its first colon)."""
    rows = project.read(
        "SELECT CASE WHEN instr(reason, ':') THEN substr(reason, 1, instr(reason, ':') - 1) ELSE reason END, COUNT(*)"
        " FROM stage_records WHERE stage = ? AND fate = 'dropped' GROUP BY 1 ORDER BY 2 DESC, 1",
        (stage_id,),
    )
    return {str(kind): count for kind, count in rows}


def fetch_records(project: Project, ids: Sequence[str]) -> Iterator[Record]:
    """Yield the records of these ids, in their order, with the fields of the place they were first seen in.

    `line` and `source_id` are those of that place. Raises KeyError for an id that the project does not have.
    """
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        rows = project.read(
            "SELECT c.id, c.instruction, c.response, s.given_id, s.line, c.occurrence, COALESCE(c.extra, s.extra)"
            " FROM records c"
            " LEFT JOIN sources s ON s.number = (SELECT MIN(number) FROM sources WHERE record = c.number)"
            f" WHERE c.id IN ({', '.join('?' * len(page))})",
            page,
        )
        found = {
            row[0]: Record(row[1], row[2], db.from_json(row[3]), row[4], row[5], db.mapping(row[6])) for row in rows
        }
        yield from (found[record_id] for record_id in page)


_SELECT = """
    SELECT s.id, s.key, s.step, s.config, s.input_digest, s.output_digest, s.run_id, s.detail, s.created_at,
           s.finished_at,
           (SELECT COUNT(*) FROM stage_records r WHERE r.stage = s.id AND r.fate = 'kept'),
           (SELECT COUNT(*) FROM stage_records r WHERE r.stage = s.id AND r.fate = 'made'),
           (SELECT COUNT(*) FROM stage_records r WHERE r.stage = s.id AND r.fate = 'dropped')
    FROM stages s
"""


def _stage(row: Sequence[Any]) -> StageRow:
    values = list(row)
    values[3], values[7] = db.mapping(values[3]), db.mapping(values[7])
    return StageRow(*values)


def _insert(conn: sqlite3.Connection, stage: int, place: int, batch: Sequence[Fated]) -> None:
    rows = []
    for at, fated in enumerate(batch, start=place):
        found = conn.execute("SELECT number FROM records WHERE id = ?", (fated.record_id,)).fetchone()
        if found is None:
            raise KeyError(fated.record_id)
        reason = None if fated.reason is None else db.storable(fated.reason)
        rows.append((stage, at, found[0], fated.fate, reason))
    conn.executemany("INSERT INTO stage_records(stage, place, record, fate, reason) VALUES (?, ?, ?, ?, ?)", rows)
