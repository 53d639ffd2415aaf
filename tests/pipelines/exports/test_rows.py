"""Rows of projects and files: families, provenance, preferences, people's opinions."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.domain.records import Quarantined, Record
from augtui.errors import UsageError
from augtui.pipelines.exports import rows
from augtui.pipelines.exports.rows import TrainingRow
from augtui.store import dataset, family, reviews
from augtui.store.browse import Filters
from augtui.store.projects import Project
from tests.pipelines.exports.conftest import settle


def of(project: Project, **filters: object) -> dict[str, TrainingRow]:
    return {row.instruction: row for row in rows.of_project(project, Filters(**filters))}  # type: ignore[arg-type]


def test_a_project_gives_its_records_with_families_and_where_they_came_from(project: Project) -> None:
    found = of(project)
    assert list(found) == [
        "Seed 0",
        "Seed 1",
        "Seed 2",
        "New A",
        "New B",
        "Better A",
        "=1+1",
        "And then?",
        "No response",
    ]
    relatives = {found[name].family for name in ("Seed 0", "New A", "New B", "Better A")}
    assert len(relatives) == 1
    assert len({row.family for row in found.values()}) == 6
    seed, made = found["Seed 1"], found["Better A"]
    assert seed.provenance["source"] == "rows.jsonl"  # no folder of this machine
    assert (seed.task, seed.provenance["origin"], seed.provenance["line"]) == (None, "imported", 2)
    assert (made.task, made.provenance["model"], made.provenance["model_sha256"]) == (
        "refine",
        "model-refine",
        "sha-refine",
    )
    assert made.provenance["template"] == "refine"
    assert found["=1+1"].rejected == "-2"
    talk = found["And then?"]
    assert (talk.system, talk.history) == ("Be brief.", (("A story", "Once …"),))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"state": "imported"}, 6),
        ({"state": "generated"}, 3),
        ({"state": "accepted"}, 2),
        ({"state": "unused"}, 7),
        ({"state": "failed"}, 0),
        ({"task": "expand"}, 3),
        ({"task": "refine"}, 2),
        ({"task": "import"}, 6),
        ({"search": "seed 1"}, 1),
        ({"search": "RESPONSE better"}, 1),
        ({"search": "100%_"}, 0),
        ({"answered": False}, 1),
        ({"run": 3}, 1),
        ({"language": "en"}, 8),
        ({"language": "none"}, 1),
        ({"language": "other"}, 0),
    ],
    ids=str,
)
def test_filters(project: Project, filters: dict[str, object], expected: int) -> None:
    assert len(of(project, **filters)) == expected


def test_an_unknown_state_is_told(project: Project) -> None:
    with pytest.raises(UsageError, match="no state 'lost'"):
        of(project, state="lost")


def test_tries_become_preferences_with_the_prompt_that_the_model_had(project: Project) -> None:
    pairs = list(rows.pairs_of_project(project, Filters()))
    assert [(pair.response, pair.rejected) for pair in pairs] == [
        ("@sum", "-2"), ("New A", "Seed 0 again"), ("Better A", "Worse A"),
    ]  # fmt: skip
    expanded, refined = pairs[1], pairs[2]
    assert expanded.instruction == "Seed 0"
    assert "same task type but with different content" in (expanded.system or "")
    assert refined.system is not None
    assert expanded.family == refined.family
    assert refined.provenance["kind"] == "tries"
    assert refined.provenance["reason"] == "why 0"
    assert len(list(rows.pairs_of_project(project, Filters(task="refine")))) == 1


def test_what_people_made_of_a_result_counts(project: Project) -> None:
    key = project.read("SELECT key FROM items WHERE task = 'refine'")[0][0]
    reviews.add(project, key, "edited", "Best A")
    pairs = [pair for pair in rows.pairs_of_project(project, Filters()) if pair.task == "refine"]
    assert [(pair.response, pair.rejected) for pair in pairs] == [("Best A", "Better A"), ("Best A", "Worse A")]
    found = of(project)
    assert "Better A" not in found
    assert found["Best A"].response == "Response to better A"
    assert "edited" in found["Best A"].provenance
    reviews.add(project, key, "rejected")
    assert {"Better A", "Best A"}.isdisjoint(of(project))
    assert [pair for pair in rows.pairs_of_project(project, Filters()) if pair.task == "refine"] == []
    assert [review.verdict for review in reviews.history(project, key)] == ["edited", "rejected"]
    assert reviews.undo(project, key)
    assert "Best A" in of(project)
    assert reviews.undo(project, key)
    assert not reviews.undo(project, key)
    assert "Better A" in of(project)


def test_an_edit_needs_its_text_and_its_item(project: Project) -> None:
    for verdict, text in (("edited", None), ("edited", " "), ("accepted", "text")):
        with pytest.raises(UsageError):
            reviews.add(project, "x", verdict, text)  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        reviews.add(project, "x", "accepted")


def test_a_template_that_is_not_ours_is_never_rendered(project: Project) -> None:
    with project.write() as conn:
        conn.execute("UPDATE templates SET name = 'judge-detail' WHERE name = 'refine'")
    assert [pair.task for pair in rows.pairs_of_project(project, Filters())] == [None, "expand"]
    with project.write() as conn:
        conn.execute("UPDATE templates SET name = '../../../etc/passwd'")
    assert [pair.task for pair in rows.pairs_of_project(project, Filters())] == [None]


def test_families_of_a_long_and_branching_lineage(project: Project) -> None:
    parent = next(record for record in dataset.records(project) if record.instruction == "Seed 2")
    known, text = parent.id, parent.instruction
    for n in range(30):
        known = settle(
            project, "expand", Record(text), [(f"S{n}", "accepted")], dataset.GeneratedRecord(f"S{n}"), known
        )
        text = f"S{n}"
    told = family.families(project)
    numbers = {record.instruction: record.number for record in dataset.records(project)}
    assert {told(numbers[f"S{n}"]) for n in range(30)} == {told(numbers["Seed 2"])} == {f"r{numbers['Seed 2']}"}
    assert told(numbers["Seed 1"]) == f"r{numbers['Seed 1']}"


def test_imported_rows_of_augtui_are_relatives_as_they_say(project: Project) -> None:
    made = {"provenance": {"model": "m"}}
    records = [
        Record("A", source_id="s7"),
        Record("B", source_id="m1", extra={"source_id": "s7", **made}),
        Record("C", source_id="m2", extra={"source_id": "s7", **made}),
        Record("D", source_id="m3", extra={"family": "r5", **made}),
        Record("E", extra={"family": "r5", **made}),
        Record("F", extra={"family": "cats"}),
        Record("G", extra={"family": "cats"}),
    ]
    dataset.add_records(project, records, source_name="rows.jsonl")
    told = family.families(project)
    of = {record.instruction: told(record.number) for record in dataset.records(project)}
    assert of["A"] == of["B"] == of["C"]
    assert of["D"] == of["E"]
    assert len({of[name] for name in "ADFG"}) == 4


def test_a_file_that_augtui_wrote_knows_its_relatives() -> None:
    lines = [
        {"id": "s#0", "instruction": "New one", "source_id": "s", "source": "Seed", "status": "accepted",
         "provenance": {"record": "r1", "model": "m"}},
        {"id": "s", "instruction": "Seed"},
        {"id": "x", "instruction": "Other", "provenance": {"record": "r9"}},
        {"id": "s", "instruction": "Seed", "refined": "Better seed", "status": "accepted",
         "provenance": {"record": "r1", "task": "refine"}},
        {"id": "y", "instruction": "Named", "family": "f", "language": "xx", "task": "expand"},
        {"instruction": ""},
    ]  # fmt: skip
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    found = list(rows.of_path("-", stdin=io.BytesIO(data), name="/tmp/in.jsonl"))
    assert isinstance(found[-1], Quarantined)
    kept = [row for row in found if isinstance(row, TrainingRow)]
    assert [row.family for row in kept] == ["s", "s", "r9", "s", "f"]
    assert kept[0].provenance == {"record": "r1", "model": "m", "source": "in.jsonl"}
    assert (kept[4].language, kept[4].task) == ("xx", "expand")


@given(
    st.dictionaries(
        st.sampled_from(
            ["provenance", "language", "task", "family", "source_id", "history", "system", "rejected", "x"]
        ),
        st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.text(max_size=2), max_size=2)
        | st.dictionaries(st.just("record"), st.integers() | st.text(max_size=2)),
    )
)  # fmt: skip
def test_whatever_extra_fields_hold_a_row_comes_of_it(extra: dict[str, object]) -> None:
    row = rows.of_record(Record("Say hello to the world.", extra=extra))
    assert row.family
    assert isinstance(row.provenance, dict)
    assert row.system is None or isinstance(row.system, str)


def test_source_labels() -> None:
    assert rows.source_label("/home/x/a.jsonl") == "a.jsonl"
    assert rows.source_label("hf:a/b/c.jsonl@1") == "hf:a/b/c.jsonl@1"
    assert rows.source_label("-") == "-"
    assert rows.source_label(str(Path("/"))) == "/"
