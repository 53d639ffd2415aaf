from __future__ import annotations

import pytest

from augtui.domain.records import Quarantined, Record
from augtui.errors import InputError, StoreError
from augtui.store import dataset, items, projects, runs
from augtui.store.dataset import GeneratedRecord


@pytest.fixture
def run(project: projects.Project) -> runs.Run:
    return _begin(project, "first", "first.jsonl")


def _begin(project: projects.Project, key: str, source: str = "in.jsonl") -> runs.Run:
    return runs.begin(project, runs.RunPlan(key, "refine", source, {}, template_hash="t", model_sha256="m"))


def _planned(count: int, first: int = 0) -> list[items.PlannedItem]:
    return [
        items.PlannedItem(n, f"item-{first + n}", Record(f"do {first + n}", source_id=first + n, line=n + 1))
        for n in range(count)
    ]


TRIES = (
    items.Attempt(0, 1, "too long", "rejected", "too long", "length", 10, 99, 0.1, 0.2, 0.9, {"slot": 3}),
    items.Attempt(1, 2, "good", "accepted", None, "stop", 10, 5, 0.0, 0.1, 0.4),
)


def test_items_come_back_in_order_page_by_page(project: projects.Project, run: runs.Run) -> None:
    assert items.add_items(project, run, _planned(7)) == 7
    assert run.total == 7 == runs.get(project, run.id).total
    first = items.pending(project, run, 4)
    rest = items.pending(project, run, 4, after=first[-1].position)
    assert [item.position for item in first + rest] == list(range(7))
    assert first[2] == items.PendingItem(2, "item-2", Record("do 2").id, "do 2", None, 0, 0, 2, 3, {})
    assert items.pending(project, run, 4, after=6) == []


def test_adding_again_changes_nothing(project: projects.Project, run: runs.Run) -> None:
    items.add_items(project, run, _planned(5))
    assert items.add_items(project, run, _planned(5)) == 0
    assert items.add_items(project, run, _planned(8)) == 3
    assert runs.counts(project, run.id)["pending"] == run.total == 8


def test_a_changed_input_is_refused(project: projects.Project, run: runs.Run) -> None:
    items.add_items(project, run, _planned(5))
    with pytest.raises(StoreError, match=r"input of run 1 has changed .*item 1 differs"):
        items.add_items(project, run, _planned(5, first=1))
    assert runs.counts(project, run.id)["pending"] == 5


def test_settling_keeps_tries_outcome_record_and_figures(project: projects.Project, run: runs.Run) -> None:
    items.add_items(project, run, _planned(2))
    items.note_attempts(project, run, [("item-0", TRIES[0])])
    assert items.pending(project, run, 1)[0].attempts_made == 1
    done = items.settle(
        project,
        run,
        [items.Settled("item-0", "accepted", "good", attempts=TRIES, child=GeneratedRecord("good", extra={"a": 1}))],
    )
    assert done.ignored == []
    row = next(items.results(project, run.id))
    assert row == items.ResultRow(
        position=0,
        key="item-0",
        record_id=Record("do 0").id,
        source_id=0,
        line=1,
        extra={},
        instruction="do 0",
        response=None,
        sample=0,
        status="accepted",
        text="good",
        reason=None,
        result_record_id=done.result_ids["item-0"],
        run_id=run.id,
        seed=2,
        attempt=1,
        finish_reason="stop",
        prompt_tokens=10,
        completion_tokens=5,
        queued_s=0.0,
        first_token_s=0.1,
        duration_s=0.4,
        template_hash="t",
        model_sha256="m",
    )
    assert items.attempts(project, "item-0") == list(TRIES)
    made = dataset.get(project, done.result_ids["item-0"] or "")
    assert made is not None
    assert (made.instruction, made.origin, made.extra) == ("good", "generated", {"a": 1})
    assert runs.counts(project, run.id) == {"pending": 1, "accepted": 1, "kept_original": 0, "failed": 0}


def test_the_first_settlement_wins(project: projects.Project, run: runs.Run) -> None:
    items.add_items(project, run, _planned(2))
    items.settle(project, run, [items.Settled("item-0", "accepted", "first")])
    second = items.Settled("item-0", "failed", "second", "late", TRIES, GeneratedRecord("second"))
    done = items.settle(project, run, [second, items.Settled("item-1", "kept_original", reason="no better")])
    assert done == items.Settlement({"item-1": None}, ["item-0"])
    assert [(row.status, row.text, row.reason) for row in items.results(project, run.id)] == [
        ("accepted", "first", None),
        ("kept_original", None, "no better"),
    ]
    assert items.attempts(project, "item-0") == []
    assert dataset.count(project, "generated") == 0


def test_tries_of_other_items_are_noted_with_a_settlement(project: projects.Project, run: runs.Run) -> None:
    items.add_items(project, run, _planned(2))
    items.settle(project, run, [items.Settled("item-0", "accepted", "good")], tries=[("item-1", TRIES[0])])
    assert [(item.key, item.attempts_made) for item in items.pending(project, run, 9)] == [("item-1", 1)]


def test_a_group_is_settled_together_or_not_at_all(project: projects.Project, run: runs.Run) -> None:
    items.add_items(project, run, _planned(2))
    with pytest.raises(KeyError, match="unplanned"):
        items.settle(project, run, [items.Settled("item-0", "accepted"), items.Settled("unplanned", "accepted")])
    assert runs.counts(project, run.id)["pending"] == 2


def test_equal_items_of_two_runs_are_worked_on_once_but_keep_their_places(
    project: projects.Project, run: runs.Run
) -> None:
    items.add_items(project, run, _planned(3))
    items.settle(project, run, [items.Settled("item-1", "accepted", "done", attempts=TRIES[1:])])
    other = _begin(project, "second", "second.jsonl")
    moved = items.PlannedItem(0, "item-1", Record("do 1", source_id="theirs", line=41))
    items.add_items(project, other, [moved, items.PlannedItem(1, "item-2", Record("do 2", line=42))])
    assert [item.key for item in items.pending(project, other, 9)] == ["item-2"]
    row = next(items.results(project, other.id))
    assert (row.status, row.text, row.source_id, row.line, row.run_id, row.seed) == (
        "accepted",
        "done",
        "theirs",
        41,
        run.id,
        2,
    )
    assert [(row.source_id, row.line) for row in items.results(project, run.id)][1] == (1, 2)


def test_two_runs_number_their_own_tries_of_a_shared_item(project: projects.Project, run: runs.Run) -> None:
    other = _begin(project, "second")
    for one in (run, other):
        items.add_items(project, one, _planned(1))
    mine, theirs = items.Attempt(0, 1, "mine", "accepted"), items.Attempt(0, 1, "theirs", "rejected")
    items.note_attempts(project, other, [("item-0", theirs)])
    items.settle(project, run, [items.Settled("item-0", "accepted", "mine", attempts=(mine,))])
    assert items.attempts(project, "item-0") == [mine, theirs]
    assert next(items.results(project, other.id)).run_id == run.id


def test_an_item_at_two_positions_is_done_once_and_shown_twice(project: projects.Project, run: runs.Run) -> None:
    items.add_items(project, run, [items.PlannedItem(n, "same", Record("a")) for n in (0, 4)])
    assert [item.position for item in items.pending(project, run, 9)] == [0]
    assert items.pending(project, run, 9, after=0) == []
    items.settle(project, run, [items.Settled("same", "accepted", "b")])
    assert [(row.position, row.text) for row in items.results(project, run.id)] == [(0, "b"), (4, "b")]


def test_known_records_are_referred_to_with_the_place_they_came_from(project: projects.Project, run: runs.Run) -> None:
    dataset.add_records(project, [Record("a", source_id="id", line=3, extra={"x": 1})], source_name="data.csv")
    known = next(dataset.records(project))
    items.add_items(project, run, [items.PlannedItem(0, "k", Record("a"), known_id=known.id)])
    item = items.pending(project, run, 1)[0]
    assert (item.record_id, item.source_id, item.line, item.extra) == (known.id, "id", 3, {"x": 1})
    assert dataset.count(project) == 1
    assert project.read("SELECT COUNT(*) FROM sources") == [(1,)]


def test_failed_items_can_be_opened_again(project: projects.Project, run: runs.Run) -> None:
    items.add_items(project, run, _planned(2))
    items.settle(project, run, [items.Settled("item-0", "failed", None, "engine died", TRIES[:1])])
    items.settle(project, run, [items.Settled("item-1", "accepted", "good")])
    assert items.reopen_failed(project, run) == 1
    item = items.pending(project, run, 9)[0]
    assert (item.key, item.attempts_made) == ("item-0", 1)
    items.settle(project, run, [items.Settled("item-0", "accepted", "good", attempts=TRIES[1:])])
    assert [attempt.text for attempt in items.attempts(project, "item-0")] == ["too long", "good"]


def test_quarantined_lines_are_kept_once_and_in_order(project: projects.Project, run: runs.Run) -> None:
    lines = [Quarantined(n, "not JSON", f"{{ {n}") for n in range(1, dataset.PAGE + 3)]
    assert items.add_quarantined(project, run, reversed(lines)) == len(lines)
    assert items.add_quarantined(project, run, lines) == 0
    assert list(items.quarantined(project, run.id)) == lines


def test_results_come_from_any_position_while_items_are_settled(project: projects.Project, run: runs.Run) -> None:
    size = dataset.PAGE + 10
    items.add_items(project, run, _planned(size))
    seen = []
    for row in items.results(project, run.id, start=3):
        seen.append(row.position)
        items.settle(project, run, [items.Settled(row.key, "accepted", "x")]) if row.position % 100 == 0 else None
    assert seen == list(range(3, size))


def test_a_models_invalid_unicode_is_replaced_and_a_records_is_refused(
    project: projects.Project, run: runs.Run
) -> None:
    items.add_items(project, run, _planned(1))
    with pytest.raises(InputError, match="Line 5"):
        items.add_items(project, run, [items.PlannedItem(1, "bad", Record("\ud800", line=5))])
    bad = items.Attempt(0, 1, "a\ud800", "accepted", "b\udfff")
    items.settle(
        project, run, [items.Settled("item-0", "accepted", "a\ud800", "b\udfff", (bad,), GeneratedRecord("\ud800"))]
    )
    row = next(items.results(project, run.id))
    assert (row.text, row.reason) == ("a\ufffd", "b\ufffd")
    assert items.attempts(project, "item-0")[0].text == "a\ufffd"


def test_tries_of_an_unplanned_item_are_an_error(project: projects.Project, run: runs.Run) -> None:
    with pytest.raises(KeyError, match="unplanned"):
        items.note_attempts(project, run, [("unplanned", TRIES[0])])
