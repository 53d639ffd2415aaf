"""The balance stage: shares over the classes that are there, by a model's labels, and expansion of what lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from augtui.store import lineage, stages
from augtui.store.projects import Project
from tests.pipelines.recipes.kitchen import Hands, cook, reply
from tests.pipelines.steps.bench import write

ROWS = [
    *({"instruction": f"How much is {n} plus {n} times seven?"} for n in range(9)),
    {"instruction": "May a landlord enter the flat of a tenant?"},
]
TEXT = """
[[steps]]
use = "balance"
mix = "uniform"
classifier = "default"
size = 8
shortage = "{shortage}"
[[steps]]
use = "export"
format = "jsonl"
"""


def labelling(request: Any) -> str:
    if "sorts instructions" in request.messages[0].content:
        return "<answer>Math</answer>" if "plus" in request.messages[-1].content else "<answer>Law</answer>"
    return reply(request)


def test_each_class_has_its_share(project: Project, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", ROWS)
    report = cook(project, TEXT.format(shortage="less"), path, Hands(labelling), tmp_path / "out.jsonl")
    stage = report.stages[1]
    assert (stage.kept, stage.made) == (5, 0)
    assert stage.detail["classes"] == {"Law": 1, "Math": 4}
    assert list(stage.reasons) == ["more than its class's share"]


def test_what_a_class_lacks_is_expanded(project: Project, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", ROWS)
    report = cook(project, TEXT.format(shortage="expand"), path, Hands(labelling), tmp_path / "out.jsonl")
    stage = report.stages[1]
    assert stage.kept == 5
    assert stage.detail["items"] == 3
    assert stage.made + stage.detail.get("failed", 0) == 3
    law = next(row[0] for row in project.read("SELECT id FROM records WHERE instruction LIKE 'May a%'"))
    made = [fated.record_id for _, fated in stages.fates(project, stages.stages_of(project, report.pipeline)[1].id)
            if fated.fate == "made"]  # fmt: skip
    assert made
    assert all([step.parent for step in lineage.ancestors(project, record_id)] == [law] for record_id in made)
