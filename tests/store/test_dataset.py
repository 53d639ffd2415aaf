from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from augtui.domain.records import Record
from augtui.errors import InputError
from augtui.store import dataset, projects

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
RECORDS = st.builds(
    Record,
    instruction=TEXT,
    response=st.none() | TEXT,
    source_id=st.none() | st.integers() | st.text(max_size=8),
    line=st.none() | st.integers(1, 2**40),
    occurrence=st.integers(0, 3),
    extra=st.dictionaries(st.text(max_size=5), JSON, max_size=3),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(RECORDS, max_size=12, unique_by=lambda record: record.id))
def test_what_goes_in_comes_out_in_order(memory_folder: Path, records: list[Record]) -> None:
    memory_folder.joinpath("a.db").unlink(missing_ok=True)
    with projects.open_project(memory_folder / "a.db") as project:
        assert dataset.add_records(project, records, source_name="a.jsonl") == len(records)
        assert dataset.add_records(project, records, source_name="a.jsonl") == 0
        stored = list(dataset.records(project))
        assert [(r.id, r.instruction, r.response, r.source_id, r.line, r.extra) for r in stored] == [
            (r.id, r.instruction, r.response, r.source_id, r.line, r.extra) for r in records
        ]
        assert {(r.origin, r.source_name) for r in stored} <= {("imported", "a.jsonl")}
        assert project.read("SELECT COUNT(*) FROM sources") == [(len(records),)]


def test_records_are_read_page_by_page_while_others_are_written(
    project: projects.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.add_records(project, [Record(f"{n}") for n in range(dataset.PAGE + 5)])
    seen = 0
    for record in dataset.records(project):
        seen += 1
        if record.number == dataset.PAGE:
            dataset.add_records(project, [Record("late")])
    assert seen == dataset.PAGE + 6
    assert [record.instruction for record in dataset.records(project, start=dataset.PAGE + 5)] == [
        str(dataset.PAGE + 4),
        "late",
    ]


def test_a_record_seen_in_two_places_is_one_record_with_both_places(project: projects.Project) -> None:
    assert dataset.add_records(project, [Record("a", source_id=1, line=1)], source_name="one.jsonl") == 1
    assert dataset.add_records(project, [Record("a", source_id="x", line=9)], source_name="two.jsonl") == 0
    record = dataset.get(project, Record("a").id)
    assert record is not None
    assert (record.source_name, record.source_id, record.line) == ("one.jsonl", 1, 1)
    assert project.read("SELECT name, given_id, line FROM sources ORDER BY number") == [
        ("one.jsonl", "1", 1),
        ("two.jsonl", '"x"', 9),
    ]


def test_records_are_told_apart_by_origin(project: projects.Project) -> None:
    dataset.add_records(project, [Record("a"), Record("b")])
    dataset.add_records(project, [Record("c")], origin="generated")
    assert (dataset.count(project), dataset.count(project, "imported"), dataset.count(project, "generated")) == (
        3,
        2,
        1,
    )
    assert [record.instruction for record in dataset.records(project, origin="generated")] == ["c"]
    assert dataset.get(project, "nothing") is None


@pytest.mark.parametrize("record", [Record("a\ud800", line=3), Record("a", "\udfff", line=3)])
def test_invalid_unicode_names_its_line_and_stores_nothing(project: projects.Project, record: Record) -> None:
    with pytest.raises(InputError, match="Line 3 holds text that is not valid Unicode"):
        dataset.add_records(project, [Record("fine"), record])
    assert dataset.count(project) == 0


def test_a_source_that_fails_midway_leaves_no_transaction_open(project: projects.Project) -> None:
    def source() -> object:
        yield Record("a")
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="went away"):
        dataset.add_records(project, source())  # type: ignore[arg-type]
    assert not project.conn.in_transaction
    assert dataset.add_records(project, [Record("a")]) == 1
