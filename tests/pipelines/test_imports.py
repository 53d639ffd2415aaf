"""Imports: once and only once, killed and resumed, several processes, every line accounted for."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from augtui.domain.records import Record
from augtui.errors import InputError, StoreError
from augtui.pipelines import collect, import_rows, imports, source
from augtui.pipelines.import_rows import Reading
from augtui.pipelines.imports import Summary, import_source
from augtui.store import browse, dataset, items, listings, projects, runs
from augtui.store.projects import Project


def lines(count: int, broken: bool = True) -> str:
    rows = [json.dumps({"id": n, "instruction": f"Write about the number {n // 2}.", "output": "Done.", "k": n % 3})
            for n in range(count)]  # fmt: skip
    if broken:
        rows[count // 2] = "{broken"
    return "\n".join(rows) + "\n"


def run_import(project: Project, path: Path, reading: Reading | None = None, **options: Any) -> Summary:
    with source.opened(str(path)) as opened:
        return import_source(project, opened, reading or Reading(), **options)


def content(project: Project) -> list[tuple[Any, ...]]:
    rows = project.read(
        "SELECT c.number, c.id, c.instruction, c.response, c.occurrence, c.language, s.digest, s.given_id, s.line,"
        " s.extra FROM records c JOIN sources s ON s.record = c.number ORDER BY c.number, s.number"
    )
    return [tuple(row) for row in rows]


def test_a_project_tells_what_its_imports_brought(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(lines(60))
    with projects.open_project(tmp_path / "p.db") as project:
        assert listings.imported(project) is None
        summary = run_import(project, path)
        found = listings.imported(project)
        assert found is not None and found.pending == 0
        assert (found.accepted, found.failed) == (summary.added, summary.quarantined)
        assert summary.added and summary.quarantined


def test_a_file_is_imported_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(101))
    with projects.open_project("demo") as project:
        first = run_import(project, path, licence="mit")
        assert (first.records, first.added, first.quarantined, first.known) == (100, 100, 1, False)
        assert first.languages == {"en": 100}
        assert first.reasons == {"broken JSON": 1}
        assert [line.line for line in items.quarantined(project, first.run)] == [51]
        before = content(project)
        again = run_import(project, path)
        assert (again.records, again.added, again.known, again.run) == (100, 100, True, first.run)
        other = tmp_path / "copy.jsonl"
        other.write_bytes(path.read_bytes())
        assert run_import(project, other).known
        assert content(project) == before
        assert project.integrity() == []
        record = next(iter(dataset.records(project)))
        assert (record.source_id, record.line, record.extra) == (0, 1, {"k": 0})
        assert browse.licences(project) == {str(path): "mit"}
        # The same places as `dataset.add_records` notes: adding the rows in that way changes nothing.
        read = (one for one in collect.read(path) if isinstance(one, Record))
        assert dataset.add_records(project, read, source_name=str(path)) == 0
        assert content(project) == before


def test_what_another_file_has_too_is_added_once_with_both_places(tmp_path: Path) -> None:
    for name, count in (("a.jsonl", 10), ("b.jsonl", 14)):
        (tmp_path / name).write_text(lines(count, broken=False))
    with projects.open_project("demo") as project:
        run_import(project, tmp_path / "a.jsonl")
        second = run_import(project, tmp_path / "b.jsonl")
        assert (second.records, second.added) == (14, 4)
        assert dataset.count(project) == 14
        places = browse.places(project, next(iter(dataset.records(project))).id)
        assert [Path(place.name or "").name for place in places] == ["a.jsonl", "b.jsonl"]
        assert project.read("SELECT COUNT(*) FROM sources") == [(24,)]


def test_another_way_of_reading_is_another_import(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"instruction": "a", "text": "b"}\n')
    with projects.open_project("demo") as project:
        assert run_import(project, path).added == 1
        assert run_import(project, path, Reading(field="text")).added == 1
        assert run_import(project, path, Reading(limit=1)).added == 0


def test_a_file_that_cannot_be_read_is_told_and_may_be_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n' * 3)
    with projects.open_project("demo") as project:
        with pytest.raises(InputError, match="has an instruction"):
            run_import(project, path)
        assert [run.status for run in runs.list_runs(project)] == ["failed"]
        with pytest.raises(InputError):
            run_import(project, path)


CHILD = """
import sys
from augtui.pipelines import import_rows, imports, source
from augtui.store.projects import open_project
import_rows.BATCH_ROWS = 25
with open_project("demo") as project, source.opened(sys.argv[1]) as opened:
    summary = imports.import_source(project, opened, import_rows.Reading(),
                                    see=lambda s: print(s.records, flush=True))
    print("end", summary.added, flush=True)
"""


def start(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.PIPE)  # fmt: skip


def test_killed_at_random_moments_it_ends_as_if_undisturbed(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(1501))
    with projects.open_project("undisturbed") as project:
        run_import(project, path)
        expected = content(project)
    rng = random.Random(7)
    kills = 0
    for _ in range(8):
        child = start(path)
        assert child.stdout is not None
        for _ in range(rng.randrange(1, 12)):
            if not child.stdout.readline():
                break
        time.sleep(rng.random() * 0.01)
        if child.poll() is None:
            kills += 1
            os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    assert kills >= 5
    child = start(path)
    told = child.communicate()[0].splitlines()
    assert told[-1] == "end 1500"
    with projects.open_project("demo") as project:
        assert content(project) == expected
        assert len(list(items.quarantined(project, 1))) == 1
        assert project.integrity() == []
        assert run_import(project, path).known


def test_two_processes_import_side_by_side_and_never_one_file_twice(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(lines(800, broken=False).replace("number", f"number {name}"))
    projects.open_project("demo").close()
    children = [start(tmp_path / name) for name in "aabc"]
    ends = [child.communicate() for child in children]
    codes = [child.returncode for child in children]
    assert codes.count(0) >= 3, ends
    refused = [error for code, (_, error) in zip(codes, ends, strict=True) if code]
    assert all("is being worked on by process" in error for error in refused)
    with projects.open_project("demo") as project:
        assert dataset.count(project) == 2400
        assert project.read("SELECT COUNT(*) FROM sources") == [(2400,)]
        assert project.integrity() == []


def test_a_full_disk_loses_nothing_and_the_import_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(1001))
    monkeypatch.setattr(import_rows, "BATCH_ROWS", 50)
    with projects.open_project("demo") as project:
        (pages,) = project.read("PRAGMA page_count")[0]
        project.conn.execute(f"PRAGMA max_page_count={pages + 60}")
        with pytest.raises(StoreError, match="no room left"):
            run_import(project, path)
        kept = dataset.count(project)
        assert 0 < kept < 1000
        assert kept in (*range(0, 500, 50), *range(499, 1000, 50))  # whole batches, in one of which a line is broken
        assert project.integrity() == []
        project.conn.execute("PRAGMA max_page_count=1000000")
        summary = run_import(project, path)
        assert (summary.records, summary.added, summary.quarantined) == (1000, 1000, 1)
        assert dataset.count(project) == 1000


@pytest.mark.parametrize("large", [0, 2**40], ids=["read by a child", "read here"])
def test_what_comes_before_the_cut_of_a_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int) -> None:
    monkeypatch.setattr(import_rows, "LARGE", large)
    path = tmp_path / "rows.jsonl.gz"
    packed = gzip.compress(lines(5_000).encode())
    path.write_bytes(packed[: len(packed) * 9 // 10])
    with projects.open_project("demo") as project:
        for _ in range(2):
            with pytest.raises(InputError, match=r"rows\.jsonl\.gz is cut off"):
                run_import(project, path)
            kept = dataset.count(project)
            assert 3_000 < kept < 5_000
            assert project.read("SELECT COUNT(*) FROM sources") == [(kept,)]
        assert project.read("PRAGMA foreign_keys") == [(1,)]
        path.write_bytes(packed)
        assert run_import(project, path).records == 4_999
        assert dataset.count(project) == 4_999
        assert project.integrity() == []


def test_a_pipe_and_a_fifo_are_imported_by_their_content(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(11))
    with projects.open_project("demo") as project:
        with path.open("rb") as stdin, source.opened("-", stdin) as opened:
            assert import_source(project, opened, Reading()).added == 10
        with path.open("rb") as stdin, source.opened("-", stdin) as opened:
            assert import_source(project, opened, Reading()).known


def test_one_file_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(10))
    with projects.open_project("demo") as project, source.opened(str(path)) as opened:
        with pytest.raises(StoreError, match="is being worked on"):
            import_source(project, opened, Reading(), see=lambda _: run_import(project, path) and None)
        assert imports.import_source(project, opened, Reading()).records == 9
