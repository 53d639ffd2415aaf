"""What four processes at once and `kill -9` at random moments leave behind."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from augtui.store import db, items, projects, runs

KILLS = 15
"""For each journal mode."""


def test_four_processes_write_at_once_without_a_locked_error(
    memory_folder: Path, journal_mode: db.JournalMode, start: Any
) -> None:
    path = memory_folder / "demo.db"
    projects.open_project(path, journal_mode=journal_mode).close()
    children = [start("hammer", path, journal_mode, f"run-{n}") for n in range(4)]
    outputs = [child.communicate() for child in children]
    assert [errors for _, errors in outputs] == [""] * 4
    # Each of the 15 shared items is settled once and found settled by the other three.
    assert sum(int(ignored) for ignored, _ in outputs) == 15 * 3
    with projects.open_project(path, journal_mode=journal_mode) as project:
        assert project.integrity() == []
        assert [runs.counts(project, row.id)["accepted"] for row in runs.list_runs(project)] == [30] * 4
        assert project.read("SELECT COUNT(*) FROM items") == [(4 * 15 + 15,)]
        assert project.read("SELECT COUNT(*) FROM attempts WHERE attempt = 0") == [(4 * 15 + 15,)]
        assert project.read("SELECT COUNT(*) FROM attempts WHERE attempt = 1") == [(4 * 30,)]


def test_killed_at_random_moments_no_acknowledged_item_is_lost_or_done_twice(
    memory_folder: Path, journal_mode: db.JournalMode, start: Any
) -> None:
    path = memory_folder / "demo.db"
    acknowledged: dict[str, str] = {}
    clock = random.Random(0)

    def work(kill_after_s: float | None) -> None:
        child = start("work", path, journal_mode)
        assert [child.stdout.readline(), child.stdout.readline()] == ["begun\n", "ready\n"]
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            os.kill(child.pid, 9)
        output, errors = child.communicate()
        assert errors == ""
        # A line that the kill cut short was not acknowledged in full.
        whole = output.rpartition("\n")[0].splitlines()
        for line in whole:
            if line == "finished":
                continue
            key, text = line.split("\t")
            assert acknowledged.setdefault(key, text) == text

    for _ in range(KILLS):
        work(clock.uniform(0.0, 0.015))
        with projects.open_project(path, journal_mode=journal_mode) as project:
            assert project.integrity() == []
            stored = {row.key: row.text for row in items.results(project, 1) if row.status == "accepted"}
            assert acknowledged.items() <= stored.items()
    work(None)
    with projects.open_project(path, journal_mode=journal_mode) as project:
        rows = list(items.results(project, 1))
        size = len(rows)
        assert {row.status for row in rows} == {"accepted"}
        assert acknowledged.items() <= {row.key: row.text for row in rows}.items()
        assert all(row.text and row.text.startswith(f"{row.key} by ") for row in rows)
        assert project.read("SELECT COUNT(*) FROM attempts") == [(size,)]
        assert project.read("SELECT COUNT(*), COUNT(DISTINCT child) FROM lineage") == [(size, size)]
        assert project.read("SELECT COUNT(*) FROM records WHERE origin = 'generated'") == [(size,)]
        assert runs.get(project, 1).status == "finished"
        assert project.integrity() == []


@pytest.mark.parametrize("moment_s", [0.0, 0.005, 0.015])
def test_killed_while_items_are_planned_the_same_call_completes_the_plan(
    memory_folder: Path, start: Any, moment_s: float
) -> None:
    path = memory_folder / "demo.db"
    child = start("work", path, "delete")
    assert child.stdout.readline() == "begun\n", child.communicate()[1]
    time.sleep(moment_s)
    os.kill(child.pid, 9)
    child.communicate()
    output, errors = start("work", path, "delete").communicate()
    assert errors == ""
    assert output.endswith("finished\n")
    with projects.open_project(path) as project:
        assert [row.position for row in items.results(project, 1)] == list(range(240))
        assert runs.counts(project, 1) == {"pending": 0, "accepted": 240, "kept_original": 0, "failed": 0}
        assert project.integrity() == []
