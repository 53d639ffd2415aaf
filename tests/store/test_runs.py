from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from augtui import locations
from augtui.domain.records import Record
from augtui.errors import StoreError
from augtui.store import items, projects, runs

PLAN = runs.RunPlan(
    key="k" * 64,
    task="refine",
    source="in.jsonl",
    config={"temperature": 0.7},
    seed=42,
    template_hash="3fa1",
    template_name="refine",
    template_source="Rewrite {{ instruction }}",
    paper_table="Table 4",
    model_sha256="ab" * 32,
    model_name="small",
    model_path="/models/small.gguf",
    model_bytes=7,
    model_metadata={"general.architecture": "qwen2"},
)


def test_a_run_keeps_all_that_it_was_made_with(project: projects.Project) -> None:
    run = runs.begin(project, PLAN)
    assert (run.id, run.resumed, run.previous_status, run.total) == (1, False, None, None)
    row = runs.get(project, run.id)
    assert (row.task, row.source, row.config, row.seed) == ("refine", "in.jsonl", {"temperature": 0.7}, 42)
    assert (row.status, row.worker_pid, row.resumptions, row.finished_at) == ("running", os.getpid(), 0, None)
    assert project.read("SELECT * FROM templates") == [("3fa1", "refine", "Table 4", "Rewrite {{ instruction }}")]
    assert project.read("SELECT * FROM models") == [
        ("ab" * 32, "small", "/models/small.gguf", 7, '{"general.architecture": "qwen2"}')
    ]


def test_the_same_key_resumes_the_run(project: projects.Project) -> None:
    run = runs.begin(project, PLAN)
    items.add_items(project, run, [items.PlannedItem(0, "item", Record("a"))])
    runs.finish(project, run, "interrupted")
    again = runs.begin(project, PLAN)
    assert (again.id, again.resumed, again.previous_status, again.total) == (run.id, True, "interrupted", 1)
    runs.finish(project, again, "finished")
    row = runs.get(project, run.id)
    assert (row.status, row.resumptions, row.worker_pid) == ("finished", 1, None)
    assert row.finished_at is not None
    assert runs.begin(project, PLAN).previous_status == "finished"


def test_runs_are_listed_newest_first(project: projects.Project) -> None:
    for key in "ab":
        runs.finish(project, runs.begin(project, runs.RunPlan(key, "expand", "-", {})), "failed")
    assert [(row.id, row.key, row.status) for row in runs.list_runs(project)] == [
        (2, "b", "failed"),
        (1, "a", "failed"),
    ]
    with pytest.raises(StoreError, match="no run 9"):
        runs.get(project, 9)


def test_one_run_has_one_worker_even_within_a_process(project: projects.Project) -> None:
    run = runs.begin(project, PLAN)
    with pytest.raises(StoreError, match=f"Run 1 is being worked on by process {os.getpid()}"):
        runs.begin(project, PLAN)
    other = runs.begin(project, runs.RunPlan("other", "refine", "-", {}))
    assert other.id == 2
    run.release()
    assert runs.begin(project, PLAN).resumed


def test_a_living_process_keeps_its_run_and_a_killed_one_loses_it(
    project: projects.Project, journal_mode: str, start: Any
) -> None:
    child = start("hold", project.path, journal_mode, PLAN.key)
    assert child.stdout.readline() == "1\n"
    with pytest.raises(StoreError, match=f"Run 1 is being worked on by process {child.pid}"):
        runs.begin(project, PLAN)
    assert runs.get(project, 1).worker_pid == child.pid
    with pytest.raises(StoreError, match="being worked on"):
        projects.remove(project.path)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert (runs.get(project, 1).status, runs.get(project, 1).worker_pid) == ("interrupted", None)
    run = runs.begin(project, PLAN)
    assert (run.id, run.resumed, run.previous_status) == (1, True, "running")


def test_a_run_that_cannot_be_written_down_gives_its_lock_back(project: projects.Project) -> None:
    project.conn.execute("PRAGMA query_only=ON")
    with pytest.raises(StoreError, match="cannot be written"):
        runs.begin(project, PLAN)
    assert list(locations.locks().iterdir()) == []
