"""What child processes of the store's tests do: python children.py COMMAND DATABASE MODE [ARGUMENT]."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from augtui.domain.records import Record
from augtui.store import db, items, migrations, projects, runs
from augtui.store.dataset import GeneratedRecord

if TYPE_CHECKING:
    from sqlite_utils import Database

WORK = 240
"""Items of the run that `work` settles."""


def plan(key: str) -> runs.RunPlan:
    return runs.RunPlan(key, "refine", "input.jsonl", {}, template_hash="t", model_sha256="m")


def planned(count: int, prefix: str = "item") -> list[items.PlannedItem]:
    return [
        items.PlannedItem(n, f"{prefix}-{n}", Record(f"{prefix} instruction {n}", line=n + 1)) for n in range(count)
    ]


def settled(key: str, text: str) -> items.Settled:
    tried = items.Attempt(0, 7, text, "accepted", completion_tokens=3)
    return items.Settled(key, "accepted", text, attempts=(tried,), child=GeneratedRecord(text))


def work(project: projects.Project) -> None:
    """Resume one run and settle what is pending, one to four items at a time; print each item once it is safe."""
    db.BATCH = 10
    run = runs.begin(project, plan("work"))
    print("begun", flush=True)
    items.add_items(project, run, planned(WORK))
    print("ready", flush=True)
    size = 1
    while page := items.pending(project, run, size):
        done = {item.key: f"{item.key} by {os.getpid()}" for item in page}
        items.settle(project, run, [settled(key, text) for key, text in done.items()])
        for key, text in done.items():
            print(f"{key}\t{text}", flush=True)
        size = size % 4 + 1
    runs.finish(project, run, "finished")
    print("finished", flush=True)


def hammer(project: projects.Project, name: str) -> None:
    """Settle items of an own run that shares half of its items with every other, one transaction each."""
    run = runs.begin(project, plan(name))
    mine = planned(15, name)
    shared = [items.PlannedItem(15 + n, item.key, item.record) for n, item in enumerate(planned(15, "shared"))]
    items.add_items(project, run, mine + shared)
    ignored = 0
    for item in mine + shared:
        ignored += len(items.settle(project, run, [settled(item.key, f"{item.key} by {name}")]).ignored)
        items.note_attempts(project, run, [(item.key, items.Attempt(1, 8, "again", "rejected"))])
        runs.counts(project, run.id)
    runs.finish(project, run, "finished")
    print(ignored, flush=True)


def hold(project: projects.Project, key: str) -> None:
    """Begin a run and keep it until killed."""
    run = runs.begin(project, plan(key))
    print(run.id, flush=True)
    time.sleep(600)


def slow_step(database: Database) -> None:
    """A second step of the schema with time to be killed in."""
    database.conn.execute("CREATE TABLE second(x INTEGER)")
    for n in range(20):
        database.conn.execute("INSERT INTO second VALUES (?)", (n,))
        time.sleep(0.005)


def main() -> None:
    command, path, mode, *rest = sys.argv[1:]
    journal_mode: db.JournalMode = "wal" if mode == "wal" else "delete"
    if command == "migrate":
        migrations.STEPS.append(slow_step)
        print("ready", flush=True)
    with projects.open_project(Path(path), journal_mode=journal_mode) as project:
        if command == "work":
            work(project)
        elif command == "hammer":
            hammer(project, rest[0])
        elif command == "hold":
            hold(project, rest[0])
        else:
            print(migrations.version(project.conn, project.path), flush=True)


if __name__ == "__main__":
    main()
