"""Runs: one pass of a task over an input, begun once, resumed as needed, by one process at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from augtui.errors import StoreError, UsageError
from augtui.store import commanded, db, locks
from augtui.store.projects import Project

RunStatus = Literal["running", "interrupted", "finished", "failed"]
ItemStatus = Literal["pending", "accepted", "kept_original", "failed"]


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run is to do; equal keys are the same run, which is then resumed."""

    key: str
    """Sha256 of the configuration and the source's identity."""
    task: str
    source: str
    """Name of the input: a file, `-`, or the project itself."""
    config: Mapping[str, Any]
    seed: int | None = None
    template_hash: str | None = None
    template_name: str = ""
    template_source: str = ""
    paper_table: str | None = None
    model_sha256: str | None = None
    model_name: str = ""
    model_path: str | None = None
    model_bytes: int | None = None
    model_metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """A run that this process works on: its lock is held until `finish`, `release` or the process's end."""

    id: int
    key: str
    resumed: bool
    previous_status: RunStatus | None
    """The status that a resumed run had; `running` when its process died."""
    total: int | None
    """Items planned so far; None before the first `items.add_items` was done."""
    lock: locks.FileLock = field(repr=False)

    def release(self) -> None:
        """Let other processes take the run, without a change of its status."""
        self.lock.release()


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as the project holds it; one whose process died reads `interrupted`."""

    id: int
    key: str
    task: str
    source: str
    template_hash: str | None
    model_sha256: str | None
    config: Mapping[str, Any]
    seed: int | None
    status: RunStatus
    total: int | None
    created_at: str
    updated_at: str
    finished_at: str | None
    resumptions: int
    worker_pid: int | None
    """The living process that works on it; None when nobody does."""
    command: commanded.Command | None = None
    """The command that worked on it last; None for runs from before these were kept."""


def begin(project: Project, plan: RunPlan) -> Run:
    """Create the run of the plan, or resume the one with its key, and lock it for this process.

    Raises StoreError when a living process works on it; a process that died, however hard, leaves it free.
    Raises UsageError when another run is to be continued, and this would be a new one (`commanded.continuing`).
    """
    command = commanded.current()
    try:
        lock = locks.acquire(project.path, plan.key)
    except locks.LockHeldError as error:
        found = project.read("SELECT id FROM runs WHERE key = ?", (plan.key,))
        name = f"Run {found[0][0]}" if found else "The run"
        raise StoreError(
            f"{name} is being worked on by process {error.pid or '(unknown)'}.",
            hint="Wait for it, or stop that process and run the same command again.",
        ) from None
    try:
        with project.write() as conn:
            begun = _begin(conn, plan, lock, None if command is None else db.to_json(command.as_json()))
        commanded.taken_up(plan.key)
        return begun
    except BaseException:
        lock.release()
        raise


def finish(project: Project, run: Run, status: Literal["finished", "interrupted", "failed"]) -> None:
    """Set the run's last status and let go of its lock."""
    try:
        with project.write() as conn:
            now = db.now()
            conn.execute(
                "UPDATE runs SET status = ?, updated_at = ?, finished_at = ? WHERE id = ?",
                (status, now, None if status == "interrupted" else now, run.id),
            )
    finally:
        run.release()


def list_runs(project: Project) -> list[RunRow]:
    """Return every run, the newest first."""
    return [_row(project, row) for row in project.read(f"{_SELECT} ORDER BY id DESC")]


def get(project: Project, run_id: int) -> RunRow:
    """Return one run. Raises StoreError when the project has none of that id."""
    rows = project.read(f"{_SELECT} WHERE id = ?", (run_id,))
    if not rows:
        raise StoreError(f"There is no run {run_id} in {project.name}.", hint="See: augtui runs ls")
    return _row(project, rows[0])


def counts(project: Project, run_id: int) -> dict[ItemStatus, int]:
    """Return how many positions of a run have each status, all four of them; their sum is the run's size."""
    found: dict[ItemStatus, int] = dict.fromkeys(get_args(ItemStatus), 0)
    rows = project.read(
        "SELECT i.status, COUNT(*) FROM run_items r JOIN items i ON i.number = r.item"
        " WHERE r.run_id = ? GROUP BY i.status",
        (run_id,),
    )
    found.update(rows)
    return found


def _begin(conn: sqlite3.Connection, plan: RunPlan, lock: locks.FileLock, command: str | None) -> Run:
    now = db.now()
    found = conn.execute("SELECT id, status, total FROM runs WHERE key = ?", (plan.key,)).fetchone()
    if found is not None:
        run_id, status, total = found
        conn.execute(
            "UPDATE runs SET status = 'running', resumptions = resumptions + 1, updated_at = ?,"
            " finished_at = NULL, command = COALESCE(?, command) WHERE id = ?",
            (now, command, run_id),
        )
        return Run(run_id, plan.key, True, status, total, lock)
    _refuse_another(conn, plan)
    if plan.template_hash is not None:
        conn.execute(
            "INSERT INTO templates(hash, name, paper_table, source) VALUES (?, ?, ?, ?) ON CONFLICT(hash) DO NOTHING",
            (plan.template_hash, plan.template_name, plan.paper_table, plan.template_source),
        )
    if plan.model_sha256 is not None:
        conn.execute(
            "INSERT INTO models(sha256, name, path, bytes, metadata) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT(sha256) DO UPDATE SET name = excluded.name, path = excluded.path",
            (
                plan.model_sha256,
                plan.model_name,
                plan.model_path,
                plan.model_bytes,
                db.to_json(dict(plan.model_metadata)),
            ),
        )
    run_id = conn.execute(
        "INSERT INTO runs(key, task, source, template_hash, model_sha256, config, seed, status, created_at,"
        " updated_at, command) VALUES (?, ?, ?, ?, ?, ?, ?, 'running', ?, ?, ?)",
        (
            plan.key,
            plan.task,
            db.storable(plan.source),
            plan.template_hash,
            plan.model_sha256,
            db.to_json(dict(plan.config)),
            plan.seed,
            now,
            now,
            command,
        ),
    ).lastrowid
    assert run_id is not None
    return Run(run_id, plan.key, False, None, None, lock)


def _refuse_another(conn: sqlite3.Connection, plan: RunPlan) -> None:
    """Raise UsageError where a run is to be continued and the plan is another one's, and say what is different."""
    expected = commanded.expected()
    if expected is None:
        return
    row = conn.execute("SELECT task, config FROM runs WHERE id = ?", (expected[0],)).fetchone()
    before = {} if row is None else db.mapping(row[1])
    now = db.mapping(db.to_json(dict(plan.config)))
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    what = f"{', '.join(names)}: not what it was" if names else f"the input {plan.source} is not what it was"
    raise UsageError(
        f"Run {expected[0]} cannot be continued: {what}.",
        hint="Nothing was begun. Bring back what it had, or run the command anew: that is another run.",
    )


_SELECT = """
    SELECT id, key, task, source, template_hash, model_sha256, config, seed, status, total,
           created_at, updated_at, finished_at, resumptions, command
    FROM runs
"""


def _row(project: Project, row: tuple[Any, ...]) -> RunRow:
    (
        run_id,
        key,
        task,
        source,
        template,
        model,
        config,
        seed,
        status,
        total,
        created,
        updated,
        finished,
        resumed,
        command,
    ) = row
    pid = locks.holder(project.path, key)
    if status == "running" and pid is None:
        status = "interrupted"
    return RunRow(
        run_id,
        key,
        task,
        source,
        template,
        model,
        db.mapping(config),
        seed,
        status,
        total,
        created,
        updated,
        finished,
        resumed,
        pid,
        commanded.parsed(db.mapping(command)),
    )
