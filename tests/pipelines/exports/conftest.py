"""A project with everything that an export can meet, made through the store as runs make it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from augtui.domain import templates
from augtui.domain.records import Record
from augtui.store import dataset, items, runs
from augtui.store.dataset import GeneratedRecord
from augtui.store.items import Attempt, PlannedItem, Settled
from augtui.store.projects import Project, open_project


def run_of(project: Project, task: str, key: str, template: str | None = None) -> runs.Run:
    made = templates.load(template or task)
    plan = runs.RunPlan(
        key, task, "rows.jsonl", {}, 42, made.hash, made.name, made.source, str(made.paper_table),
        f"sha-{task}", f"model-{task}",
    )  # fmt: skip
    return runs.begin(project, plan)


def settle(
    project: Project,
    task: str,
    record: Record,
    tries: list[tuple[str, str]],
    child: GeneratedRecord,
    known: str | None = None,
) -> str:
    """Settle one item: `tries` are (text, verdict), the last of them accepted; returns the new record's id."""
    key = f"{task}-{known or record.id}-{child.instruction}"
    run = run_of(project, task, key)
    items.add_items(project, run, [PlannedItem(0, key, record, known_id=known)])
    attempts = tuple(
        Attempt(n, n, text, verdict, None if verdict == "accepted" else f"why {n}")
        for n, (text, verdict) in enumerate(tries)
    )
    made = items.settle(project, run, [Settled(key, "accepted", child.instruction, None, attempts, child)])
    runs.finish(project, run, "finished")
    result = made.result_ids[key]
    assert result is not None
    return result


@pytest.fixture
def project() -> Iterator[Project]:
    """Three seeds; the first expanded twice, one of these refined; a pair and a conversation that came from files."""
    with open_project("demo") as opened:
        seeds = [Record(f"Seed {n}", f"Answer {n}", n, n + 1) for n in range(3)]
        dataset.add_records(opened, seeds, source_name="/home/somebody/rows.jsonl")
        first = settle(
            opened, "expand", seeds[0], [("Seed 0 again", "rejected"), ("", "failed"), ("New A", "accepted")],
            GeneratedRecord("New A", "Response A"),
        )  # fmt: skip
        settle(opened, "expand", seeds[0], [("New B", "accepted")], GeneratedRecord("New B", "Response B"))
        settle(
            opened, "refine", Record("New A"), [("Worse A", "rejected"), ("Better A", "accepted")],
            GeneratedRecord("Better A", "Response to better A"), known=first,
        )  # fmt: skip
        others = [
            Record("=1+1", "@sum", None, 4, 0, {"rejected": "-2"}),
            Record("And then?", "It ended.", None, 5, 0, {"system": "Be brief.", "history": [["A story", "Once …"]]}),
            Record("No response", None, None, 6),
        ]
        dataset.add_records(opened, others, source_name="hf:me/data/a.jsonl@1234")
        yield opened
