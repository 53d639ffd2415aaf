"""The records that a list shows as a file, and how long it stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from augtui.domain.records import Record
from augtui.store import commanded, dataset, runs
from augtui.store.listings import Filter
from augtui.store.projects import Project, open_project
from augtui.store.runs import RunPlan
from augtui.tui import selection

LATER = time.time() + 3 * 86_400


@pytest.fixture
def project(home: Path) -> Iterator[Project]:
    with open_project("chosen") as opened:
        dataset.add_records(opened, [Record(f"explain {n}") for n in range(5)])
        yield opened


def chosen(project: Project, text: str) -> Path:
    path, _ = selection.write(project, Filter(text), False)
    assert path is not None
    return path


def begin(project: Project, path: Path, status: str) -> None:
    with commanded.saying(["refine", f"--file={path}", "-p", "chosen"]):
        run = runs.begin(project, RunPlan(str(path), "refine", "renamed", {}))
    runs.finish(project, run, status)  # type: ignore[arg-type]


def test_what_a_run_may_read_again_stays(project: Project) -> None:
    interrupted, failed, finished, unused = (chosen(project, f"explain {n}") for n in range(4))
    begin(project, interrupted, "interrupted")
    begin(project, failed, "failed")
    begin(project, finished, "finished")
    # Those of today stay whatever has become of them.
    assert selection.clean(project) == []
    assert selection.clean(project, [str(unused)], now=LATER) == [finished]
    assert selection.clean(project, now=LATER) == [unused]
    assert interrupted.exists() and failed.exists()


def test_other_projects_files_are_not_touched(project: Project, tmp_path: Path) -> None:
    with open_project(tmp_path / "chosen.db") as other:
        dataset.add_records(other, [Record("explain 1")])
        theirs = chosen(other, "explain")
    ours = chosen(project, "explain 1")
    assert theirs != ours
    assert selection.clean(project, now=LATER) == [ours] and theirs.exists()
    assert chosen(project, "explain 1") == ours  # the same records are the same file


def test_a_copy_of_a_killed_app_goes(project: Project) -> None:
    left = selection.place() / f"{selection._prefix(project)}123.part"
    left.parent.mkdir(parents=True)
    left.touch()
    assert selection.clean(project, now=LATER) == [left]
