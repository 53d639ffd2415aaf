"""Stages: saved whole or done again, read in order, and records by their ids."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from augtui.domain.records import Record
from augtui.errors import StoreError
from augtui.store import dataset, stages
from augtui.store.projects import Project, open_project
from augtui.store.stages import Fated

RECORDS = [Record(f"record {n}", "answer" if n % 2 else None, f"id{n}", n + 1, 0, {"n": n}) for n in range(1200)]


@pytest.fixture
def project() -> Iterator[Project]:
    with open_project("stages") as project:
        dataset.add_records(project, RECORDS, source_name="file.jsonl")
        yield project


def test_a_stage_gives_back_what_was_saved_in_order(project: Project) -> None:
    fates = [
        Fated(r.id, "kept") if n % 3 else Fated(r.id, "dropped", f"length: {n} words") for n, r in enumerate(RECORDS)
    ]
    number = stages.save(project, "k1", "check", {"a": 1}, "in", "out", fates, detail={"x": 2})
    assert [fated for _, fated in stages.fates(project, number)] == fates
    assert stages.outputs(project, number) == [r.id for n, r in enumerate(RECORDS) if n % 3]
    assert stages.reasons(project, number) == {"length": 400}
    found = stages.find(project, "k1")
    assert found is not None
    assert (found.kept, found.made, found.dropped, found.detail, found.config) == (800, 0, 400, {"x": 2}, {"a": 1})


def test_a_stage_that_was_not_finished_is_not_found_and_is_replaced(project: Project) -> None:
    def broken() -> Iterator[Fated]:
        yield from (Fated(record.id, "kept") for record in RECORDS[:1100])
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        stages.save(project, "k1", "check", {}, "in", "out", broken())
    assert stages.find(project, "k1") is None
    number = stages.save(project, "k1", "check", {}, "in", "out", [Fated(RECORDS[5].id, "kept")])
    assert stages.outputs(project, number) == [RECORDS[5].id]


def test_an_unknown_record_is_an_error(project: Project) -> None:
    with pytest.raises(KeyError):
        stages.save(project, "k", "check", {}, "in", "out", [Fated("nobody", "kept")])
    assert stages.find(project, "k") is None


def test_records_come_in_the_order_of_their_ids_with_their_fields(project: Project) -> None:
    ids = [record.id for record in reversed(RECORDS)]
    found = list(stages.fetch_records(project, ids))
    assert found == list(reversed(RECORDS))


def test_a_pipeline_is_one_row_that_one_process_holds(project: Project) -> None:
    pipeline = stages.begin(project, "key", "paper", "[[steps]]", "seeds.jsonl")
    assert stages.pipelines(project)[0].status == "running"
    with pytest.raises(StoreError, match="being worked on"):
        stages.begin(project, "key", "paper", "[[steps]]", "seeds.jsonl")
    number = stages.save(project, "k1", "check", {}, "in", "out", [Fated(RECORDS[0].id, "kept")])
    stages.note(project, pipeline, 0, number)
    pipeline.lock.release()
    assert stages.pipelines(project)[0].status == "interrupted", "its process is gone"
    again = stages.begin(project, "key", "paper", "[[steps]]", "seeds.jsonl")
    assert again.resumed and again.id == pipeline.id
    stages.note(project, again, 0, number)
    stages.finish(project, again, "finished")
    assert [stage.id for stage in stages.stages_of(project, again.id)] == [number]
    assert [row.status for row in stages.pipelines(project)] == ["finished"]
