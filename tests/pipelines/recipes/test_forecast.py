"""Forecasts: what is done counts as done, what is recorded is told, and nothing is written to the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from augtui.pipelines.planning import Input
from augtui.pipelines.recipes import recipe
from augtui.pipelines.recipes.forecast import StepForecast, forecast, tokens_about
from augtui.pipelines.recipes.workshop import Workshop
from augtui.pipelines.source import opened
from augtui.store.projects import Project
from tests.pipelines.recipes import kitchen
from tests.pipelines.recipes.kitchen import Hands, cook
from tests.pipelines.steps.bench import write

PAPER = recipe.shipped()["paper"]


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    return write(tmp_path / "seeds.jsonl", kitchen.SEEDS)


def told(project: Project, text: str, path: Path, hands: Hands, **flags: Any) -> dict[str, StepForecast]:
    made = recipe.parse(recipe.tomllib.loads(text), "test.toml", text)
    with opened(str(path)) as source:
        return {step.step: step for step in forecast(Workshop(project, made, hands, flags, "o.jsonl"), Input(source))}


def test_a_local_model_is_tried_on_a_few_records_and_nothing_is_kept(project: Project, seeds: Path) -> None:
    hands = Hands()
    found = told(project, PAPER, seeds, hands)
    assert hands.asked > 0
    assert (found["expand"].items, found["expand"].basis) == (12, "measured")
    assert found["expand"].completion_tokens > 0
    assert found["expand"].seconds is not None
    assert found["respond"].items == 0, "nobody is named that could write responses"
    assert found["respond"].seconds == 0
    assert found["refine"].items == found["expand"].out
    assert found["dedupe"].basis == "no model"
    assert project.read("SELECT COUNT(*) FROM records")[0][0] == 0


def test_what_is_finished_is_done_and_what_is_recorded_is_told(project: Project, seeds: Path, tmp_path: Path) -> None:
    cook(project, PAPER, seeds, Hands(), tmp_path / "o.jsonl")
    hands = Hands()
    found = told(project, PAPER, seeds, hands)
    assert {step.basis for name, step in found.items() if name != "export"} == {"done"}
    assert hands.asked == 0
    more = write(tmp_path / "more.jsonl", [*kitchen.SEEDS, {"instruction": "Describe a moor.", "output": "It is wet."}])
    found = told(project, PAPER, more, hands)
    assert (found["expand"].basis, found["expand"].items) == ("recorded", 14)
    assert 7 < found["expand"].out < 7 + 14


def test_an_interrupted_stage_counts_only_what_is_left(project: Project, seeds: Path, tmp_path: Path) -> None:
    report = cook(project, PAPER, seeds, Hands(stop_after=4), tmp_path / "o.jsonl")
    assert report.interrupted_at == "expand"
    settled = project.read("SELECT COUNT(*) FROM items WHERE status <> 'pending'")[0][0]
    found = told(project, PAPER, seeds, Hands())
    assert found["expand"].items == 12 - settled
    assert settled > 0


def test_tokens_are_about_right() -> None:
    assert 8 <= tokens_about("Describe the oldest bridge of the town, please.") <= 14
    assert 5 <= tokens_about("写一首关于大海的诗") <= 9


def test_a_model_that_labels_for_a_mix_is_counted(project: Project, seeds: Path) -> None:
    text = '[[steps]]\nuse = "balance"\nsize = 4\n{}\n[[steps]]\nuse = "export"\nformat = "jsonl"\n'
    alone = told(project, text.format(""), seeds, Hands())
    assert (alone["balance"].basis, alone["balance"].items, alone["balance"].out) == ("no model", 0, 4)
    priced = {"price_in": 1.0, "price_out": 1.0}
    labelled = told(project, text.format('classifier = "http://127.0.0.1:9/v1#m"'), seeds, Hands(), **priced)
    assert (labelled["balance"].basis, labelled["balance"].items, labelled["balance"].out) == ("assumed", 6, 4)
    assert labelled["balance"].prompt_tokens > 6 * 100
    assert labelled["balance"].cost is not None and labelled["balance"].cost > 0
