"""The reading side of an import in a process of its own: the same rows, its errors, its end and its parent's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from augtui.errors import InputError
from augtui.pipelines import import_rows
from augtui.pipelines.import_rows import Reading
from augtui.pipelines.readahead import ReadAhead
from augtui.store import dataset, projects, runs
from augtui.store.imports import Batch
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


def outcomes(path: Path, reading: Reading, skip: int = 0) -> Iterator[tuple[Any, ...]]:
    """Yield the records, each with its place, and the lines set aside, by their lines."""
    languages: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    with import_rows.batches(path, "rows", reading, skip) as batches:
        while (batch := batches.next()) is not None:
            languages += batch.languages
            counted.update(row[4] for row in batch.records)
            assert [place[0] for place in batch.places] == list(range(len(batch.records)))
            records = [(place[3], *row, *place[1:]) for row, place in zip(batch.records, batch.places, strict=True)]
            aside = [(line.line, line.reason, line.excerpt) for line in batch.quarantined]
            yield from sorted(records + aside, key=lambda outcome: int(outcome[0] or 0))
    assert languages == counted


def test_a_child_finds_what_this_process_finds(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = list(outcomes(file, Reading()))
    monkeypatch.setattr(import_rows, "LARGE", 0)
    assert list(outcomes(file, Reading())) == here
    assert len(here) == 4000
    assert [one[0] for one in here if len(one) == 3] == [11, 3001]
    assert list(outcomes(file, Reading(limit=5))) == here[:5]
    assert list(outcomes(file, Reading(), skip=2995)) == here[2995:]
    assert list(outcomes(file, Reading(), skip=4000)) == []


@pytest.mark.usefixtures("always_a_child")
def test_its_refusal_is_told_here(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n' * 300)
    found = []
    with pytest.raises(InputError, match="has an instruction") as caught:
        found.extend(outcomes(path, Reading()))
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
    monkeypatch.setattr(import_rows, "ReadAhead", partial(ReadAhead, limit=1))  # else it may be done before the kill
    monkeypatch.setattr("augtui.pipelines.imports.TRANSACTION_ROWS", 600)
    with projects.open_project("demo") as project:
        with pytest.raises(InputError, match="by signal 9"):
            run_import(project, file, see=lambda _: os.kill(children[0].pid, signal.SIGKILL))
        assert 0 < dataset.count(project) < 3998
        assert run_import(project, file).records == 3998
        killed = content(project)
    with projects.open_project("other") as project:
        run_import(project, file)
        assert content(project) == killed


def test_no_transaction_waits_for_a_slow_reader(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        """Gives a batch at once, a second one now and then."""

        def __init__(self, rows: list[Batch]) -> None:
            self.rows = rows
            self.open = 0

        def next(self) -> Batch | None:
            assert not project.conn.in_transaction
            self.open = len(self.rows) % 3
            return self.rows.pop(0) if self.rows else None

        def ready(self) -> Batch | None:
            assert project.conn.in_transaction
            self.open -= 1
            return self.rows.pop(0) if self.rows and self.open > 0 else None

    with import_rows.batches(file, str(file), Reading()) as batches:
        whole = batches.next()
    assert whole is not None
    rows = [Batch([row], [(0, *place[1:])]) for row, place in zip(whole.records, whole.places, strict=True)][:50]
    monkeypatch.setattr(import_rows, "batches", lambda *_: nullcontext(Slow(rows)))
    seen: list[int] = []
    with projects.open_project("demo") as project:
        assert run_import(project, file, see=lambda summary: seen.append(summary.records)).records == 50
        assert dataset.count(project) == seen[-1] == 50
    assert 25 < len(seen) < 50


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_it_ends_with_its_parent(file: Path) -> None:
    program = f"""
import os, time
from pathlib import Path
from augtui.pipelines import import_rows
import_rows.LARGE = 0
opened = import_rows.batches(Path({str(file)!r}), "rows", import_rows.Reading())
opened.__enter__().next()
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
