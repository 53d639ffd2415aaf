from __future__ import annotations

import pytest

from augtui.domain.records import Record
from augtui.store import items, lineage, projects, runs
from augtui.store.dataset import GeneratedRecord

PLAN = runs.RunPlan(
    "key",
    "expand",
    "in.jsonl",
    {"temperature": 0.7},
    template_hash="3fa1",
    template_name="expand",
    model_sha256="ab",
    model_name="small",
)


def _make(project: projects.Project, run: runs.Run, number: int, parent: str, child: GeneratedRecord) -> str:
    key = f"item-{number}"
    items.add_items(project, run, [items.PlannedItem(number, key, Record("copy"), known_id=parent)])
    tried = items.Attempt(0, 9, child.instruction, "accepted", None, "stop", 4, 6, 0.0, 0.1, 0.5)
    result = items.settle(
        project, run, [items.Settled(key, "accepted", child.instruction, attempts=(tried,), child=child)]
    )
    made = result.result_ids[key]
    assert made is not None
    return made


@pytest.fixture
def run(project: projects.Project) -> runs.Run:
    run = runs.begin(project, PLAN)
    items.add_items(project, run, [items.PlannedItem(100 + n, f"seed-{n}", Record(f"seed {n}")) for n in range(2)])
    return run


def test_a_record_is_traced_to_its_seed_with_all_that_made_it(project: projects.Project, run: runs.Run) -> None:
    seed = Record("seed 0").id
    child = _make(project, run, 0, seed, GeneratedRecord("child"))
    grandchild = _make(project, run, 1, child, GeneratedRecord("grandchild"))
    near, far = lineage.ancestors(project, grandchild)
    assert (near.depth, near.child, near.parent, near.item_key) == (1, grandchild, child, "item-1")
    assert (far.depth, far.child, far.parent, far.item_key) == (2, child, seed, "item-0")
    assert (near.task, near.status, near.run_id, near.template_name, near.model_name) == (
        "expand",
        "accepted",
        run.id,
        "expand",
        "small",
    )
    assert (near.template_hash, near.model_sha256, near.config) == ("3fa1", "ab", {"temperature": 0.7})
    assert (near.seed, near.attempt, near.prompt_tokens, near.completion_tokens, near.duration_s) == (9, 0, 4, 6, 0.5)
    assert [(step.depth, step.child) for step in lineage.descendants(project, seed)] == [(1, child), (2, grandchild)]
    assert lineage.ancestors(project, seed) == []
    assert lineage.descendants(project, grandchild) == []


def test_a_record_may_have_several_parents_and_meet_a_seed_twice(project: projects.Project, run: runs.Run) -> None:
    seed, other = Record("seed 0").id, Record("seed 1").id
    left = _make(project, run, 0, seed, GeneratedRecord("left"))
    right = _make(project, run, 1, seed, GeneratedRecord("right", parents=(seed, other, seed)))
    merged = _make(project, run, 2, left, GeneratedRecord("merged", parents=(left, right)))
    assert {(step.depth, step.child, step.parent) for step in lineage.ancestors(project, merged)} == {
        (1, merged, left),
        (1, merged, right),
        (2, left, seed),
        (2, right, seed),
        (2, right, other),
    }


def test_equal_texts_of_two_items_are_two_records(project: projects.Project, run: runs.Run) -> None:
    one = _make(project, run, 0, Record("seed 0").id, GeneratedRecord("same"))
    two = _make(project, run, 1, Record("seed 1").id, GeneratedRecord("same"))
    assert one != two
    assert [step.parent for step in lineage.ancestors(project, two)] == [Record("seed 1").id]


def test_a_cycle_in_a_tampered_file_ends(project: projects.Project, run: runs.Run) -> None:
    child = _make(project, run, 0, Record("seed 0").id, GeneratedRecord("child"))
    project.conn.execute("INSERT INTO lineage(child, parent, item) SELECT parent, child, item FROM lineage")
    assert {step.depth for step in lineage.ancestors(project, child)} == {1, 2}
