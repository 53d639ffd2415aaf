"""The reading side of an import in a process of its own: the same rows, its errors, its end and its parent's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from augtui.domain.records import Quarantined
from augtui.errors import InputError
from augtui.pipelines import import_rows
from augtui.pipelines.import_rows import Reading, outcomes
from augtui.store import dataset, projects, runs
from tests.pipelines.test_imports import content, run_import


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    rows = [json.dumps({"id": n, "instruction": f"Write about {n // 2}. 写", "output": "x" * 300, "k": {"n": n}})
            for n in range(4000)]  # fmt: skip
    rows[10], rows[3000] = "{broken", '"\\ud800"'
    path.write_text("\n".join(rows))
    return path


@pytest.fixture
def always_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_rows, "LARGE", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def test_a_child_finds_what_this_process_finds(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = list(outcomes(file, "rows", Reading()))
    monkeypatch.setattr(import_rows, "LARGE", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert list(outcomes(file, "rows", Reading())) == here
    assert len(here) == 4000
    assert [one.line for one in here if isinstance(one, Quarantined)] == [11, 3001]
    assert list(outcomes(file, "rows", Reading(limit=5))) == here[:5]


@pytest.mark.usefixtures("always_a_child")
def test_its_refusal_is_told_here(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n' * 300)
    found = []
    with pytest.raises(InputError, match="has an instruction") as caught:
        found.extend(outcomes(path, "rows", Reading()))
    assert caught.value.hint == "name the field with --field NAME"
    assert len(found) == 99
    with projects.open_project("demo") as project:
        with pytest.raises(InputError, match=r"rows\.jsonl has an instruction"):
            run_import(project, path)
        assert [run.status for run in runs.list_runs(project)] == ["failed"]


@pytest.mark.usefixtures("always_a_child")
def test_when_it_is_killed_what_came_stays_and_the_import_goes_on(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def spawned(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        children.append(popen(*arguments, **options))  # type: ignore[call-overload]
        return children[-1]

    monkeypatch.setattr(import_rows.subprocess, "Popen", spawned)
    monkeypatch.setattr("augtui.pipelines.imports.BATCH_ROWS", 600)
    with projects.open_project("demo") as project:
        with pytest.raises(InputError, match="by signal 9"):
            run_import(project, file, see=lambda _: os.kill(children[0].pid, signal.SIGKILL))
        assert 0 < dataset.count(project) < 3998
        assert run_import(project, file).records == 3998
        killed = content(project)
    with projects.open_project("other") as project:
        run_import(project, file)
        assert content(project) == killed


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_it_ends_with_its_parent(file: Path) -> None:
    program = f"""
import os, time
from pathlib import Path
from augtui.pipelines import import_rows
import_rows.LARGE = 0
os.cpu_count = lambda: 2
rows = import_rows.outcomes(Path({str(file)!r}), "rows", import_rows.Reading())
next(rows)
print(Path(f"/proc/{{os.getpid()}}/task/{{os.getpid()}}/children").read_text(), flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    _, errors = parent.communicate()
    deadline = time.monotonic() + 30
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(child)
    assert errors == ""


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
