"""Verdicts: saved at once, taken back one by one, with nothing left behind."""

from __future__ import annotations

import pytest

from augtui.domain.records import Record
from augtui.errors import StoreError
from augtui.store import items, judging, lineage, reviews, runs
from augtui.store.dataset import GeneratedRecord
from augtui.store.items import Attempt, PlannedItem, Settled
from augtui.store.projects import Project
from augtui.store.reviewers import Reviewer
from augtui.store.runs import RunPlan


@pytest.fixture
def settled(project: Project) -> Project:
    """Four items: accepted, accepted at the second try, refused with a text, failed without one."""
    run = runs.begin(project, RunPlan("k", "refine", "f", {}))
    texts = ["one", "two words", "three", "four"]
    items.add_items(project, run, [PlannedItem(n, f"i{n}", Record(text)) for n, text in enumerate(texts)])
    good = [Settled(f"i{n}", "accepted", f"{text}!", None, (Attempt(n, 0, f"{text}!", "accepted"),),
                    GeneratedRecord(f"{text}!")) for n, text in enumerate(texts[:2])]  # fmt: skip
    bad = Settled("i2", "kept_original", None, "number lost: 3", (Attempt(0, 0, "three?", "rejected"),))
    none = Settled("i3", "failed", None, "engine died", (Attempt(0, 0, "", "failed"),))
    items.settle(project, run, [*good, bad, none])
    runs.finish(project, run, "finished")
    return project


def counts(project: Project) -> tuple[int, ...]:
    return tuple(
        project.read(f"SELECT COUNT(*) FROM {table}")[0][0] for table in ("records", "lineage", "reviews", "items")
    )


def test_what_is_uncertain_comes_first_and_nothing_without_a_text(settled: Project) -> None:
    assert judging.candidates(settled) == [3, 2, 1]
    assert judging.candidates(settled, order="input") == [1, 2, 3]
    assert judging.candidates(settled, reason="number lost") == [3]
    assert judging.candidates(settled, status="accepted", limit=1) == [2]
    assert judging.candidates(settled, task="expand") == []
    one = judging.candidate(settled, 3)
    assert one is not None and (one.text, one.reason, one.verdict) == ("three?", "number lost: 3", None)
    assert judging.candidate(settled, 99) is None


def test_every_verdict_can_be_taken_back(settled: Project) -> None:
    before = counts(settled)
    assert judging.accept(settled, [1, 3, 4, 99]) == 2
    judging.reject(settled, 2, "dull")
    edited = judging.edit(settled, 1, "one, better")
    made = lineage.descendants(settled, Record("one").id)[0].child
    assert lineage.ancestors(settled, edited)[0].parent == made
    assert judging.counts(settled) == {"accepted": 1, "edited": 1, "rejected": 1}
    assert judging.candidates(settled) == []
    assert judging.candidates(settled, reviewed=True) == [3, 2, 1]
    undone = [judging.undo(settled) for _ in range(5)]
    assert [None if one is None else one.item for one in undone] == [1, 2, 3, 1, None]
    assert counts(settled) == before
    assert settled.integrity() == []


def test_an_edit_to_the_text_that_there_is_takes_nothing_away_when_undone(settled: Project) -> None:
    before = counts(settled)
    judging.edit(settled, 1, "one!")
    judging.undo(settled)
    assert counts(settled) == before and settled.integrity() == []


def test_an_edit_stands_for_what_was_edited(settled: Project) -> None:
    judging.edit(settled, 1, "one, better")
    judging.reject(settled, 2)
    verdicts = [review.verdict for _, review in reviews.of_results(settled).values()]
    assert verdicts == ["rejected", "rejected"]


def test_what_cannot_be_judged(settled: Project) -> None:
    with pytest.raises(StoreError, match="cannot be empty"):
        judging.edit(settled, 1, " \n")
    with pytest.raises(StoreError, match="no result"):
        judging.reject(settled, 99)
    assert judging.reasons(settled) == [("engine died", 1), ("number lost", 1)]


def test_one_takes_back_ones_own_verdicts_and_nobody_elses(settled: Project) -> None:
    ann, later, bob = Reviewer("ann@desk", "1"), Reviewer("ann@desk", "2"), Reviewer("bob@desk", "1")
    judging.accept(settled, [1])
    judging.accept(settled, [2], by=ann)
    judging.edit(settled, 1, "one, better", by=later)
    judging.reject(settled, 3, "dull", by=bob)
    judging.reject(settled, 2, by=ann)
    # First what this session said, then what the same person said before, then what nobody signed.
    undone = [judging.undo(settled, later) for _ in range(5)]
    assert [(one.item, one.reviewer, one.is_of_session) for one in undone if one is not None] == [
        (1, "ann@desk", True), (2, "ann@desk", False), (2, "ann@desk", False), (1, None, False),
    ]  # fmt: skip
    assert undone[-1] is None and judging.counts(settled) == {"accepted": 0, "edited": 0, "rejected": 1}
    assert judging.undo(settled, bob) is not None and judging.undo(settled) is None


def test_a_reviewer_is_the_account_at_its_machine_unless_named() -> None:
    assert Reviewer.here("Ann").name == "Ann" and "@" in Reviewer.here().name
    assert Reviewer.here().session != Reviewer.here().session
