"""Pruning: many verdicts at once, taken back at once, and what exports make of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augtui.domain.records import Record
from augtui.pipelines.exports import rows
from augtui.store import dataset, judging, listings, projects, pruning, reviews
from augtui.store.browse import Filters
from augtui.store.listings import Filter
from augtui.store.projects import Project
from augtui.store.reviewers import Reviewer
from tests.tui.conftest import build


@pytest.fixture
def demo(tmp_path: Path) -> Project:
    build(tmp_path / "demo.db")
    return projects.open_project(tmp_path / "demo.db")


def exported(project: Project) -> set[str]:
    return {row.id for row in rows.of_project(project, Filters())}


def test_imported_and_made_records_leave_the_export_and_come_back(demo: Project) -> None:
    before = demo.read("SELECT * FROM items ORDER BY number"), demo.read("SELECT * FROM records ORDER BY number")
    everything = exported(demo)
    made = demo.read("SELECT result FROM items WHERE result IS NOT NULL LIMIT 1")[0][0]
    assert pruning.prune(demo, [1, 2, made, 10_000], "too easy") == 3
    assert pruning.rejected(demo) == {1, 2, made}
    assert len(exported(demo)) == len(everything) - 3
    assert pruning.prune(demo, [1, 2], "again") == 0, "what is rejected already is not rejected again"
    newest = pruning.newest(demo)
    assert newest is not None and (newest.count, newest.reason) == (3, "too easy")
    listed = listings.listing(demo, Filter(kept=True))
    assert listed.total == dataset.count(demo) - 3
    row = listings.page(demo, listings.listing(demo, Filter()), 0)[0]
    assert (row.task, row.state) == ("prune", "rejected")
    taken = pruning.undo(demo)
    assert taken is not None and taken.count == 3
    assert exported(demo) == everything and pruning.undo(demo) is None
    assert (
        demo.read("SELECT * FROM items ORDER BY number"),
        demo.read("SELECT * FROM records ORDER BY number"),
    ) == before
    assert demo.integrity() == []


def test_a_pruned_record_is_nothing_to_judge_in_review(demo: Project) -> None:
    before = judging.candidates(demo)
    pruning.prune(demo, [1, 2, 3], "x")
    after = judging.candidates(demo)
    assert set(after) <= set(before) and not {c for c in after if c not in before}
    assert [reason for reason, _ in judging.reasons(demo)] == ["number lost"]


def test_only_the_last_verdict_takes_a_pruning_with_it(demo: Project) -> None:
    pruning.prune(demo, [1, 2], "x")
    item = judging.candidates(demo)[0]
    judging.accept(demo, [item])
    assert pruning.undo(demo, only_last=True) is None
    undone = judging.undo(demo)
    assert undone is not None and undone.item == item
    assert judging.undo(demo) is None, "a pruning goes back whole, not record by record"
    taken = pruning.undo(demo, only_last=True)
    assert taken is not None and taken.count == 2


def test_one_takes_back_one_s_own(demo: Project) -> None:
    ann, bob = Reviewer("ann@desk", "1"), Reviewer("bob@desk", "2")
    pruning.prune(demo, [1], "too easy")
    pruning.prune(demo, [2, 3], "too easy", ann)
    pruning.prune(demo, [4], "too easy", bob)
    pruning.prune(demo, [5], "twice", bob)
    of_ann = pruning.newest(demo, ann)
    assert of_ann is not None and (of_ann.count, of_ann.reviewer) == (2, "ann@desk")
    # What others said since does not count.
    assert pruning.undo(demo, ann, only_last=True) == of_ann
    assert pruning.rejected(demo) == {1, 4, 5}
    unsigned = pruning.undo(demo, ann)
    assert unsigned is not None and unsigned.reviewer is None
    assert pruning.undo(demo, ann) is None
    newest = pruning.undo(demo)
    assert newest is not None and (newest.reason, newest.reviewer) == ("twice", "bob@desk")
    assert pruning.rejected(demo) == {4}


def test_a_later_verdict_outlives_the_pruning(demo: Project) -> None:
    item, made = demo.read("SELECT number, result FROM items WHERE result IS NOT NULL LIMIT 1")[0]
    pruning.prune(demo, [made], "x")
    judging.accept(demo, [item])
    assert made not in pruning.rejected(demo)
    assert pruning.undo(demo) is not None
    assert reviews.of_results(demo)[made][1].verdict == "accepted"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(1, 12), max_size=8), max_size=6))
def test_taking_all_back_leaves_nothing(tmp_path_factory: pytest.TempPathFactory, prunings: list[list[int]]) -> None:
    with projects.open_project(tmp_path_factory.mktemp("law") / "p.db") as project:
        dataset.add_records(project, [Record(f"record {n}") for n in range(10)])
        gone: list[set[int]] = [set()]
        for records in prunings:
            # Equal reasons within a millisecond are different prunings.
            if pruning.prune(project, records, "equal"):
                gone.append(pruning.rejected(project))
        while len(gone) > 1:
            assert pruning.rejected(project) == gone.pop()
            assert pruning.undo(project) is not None
        assert pruning.undo(project) is None
        assert project.read("SELECT COUNT(*) FROM items") == project.read("SELECT COUNT(*) FROM reviews") == [(0,)]
