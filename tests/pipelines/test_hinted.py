"""Models that are asked with hints: what they read, and what becomes of their answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from augtui.domain.guard import Strictness
from augtui.domain.tasks import EXPAND, REFINE
from augtui.engines.base import Request, Sampling
from augtui.pipelines.augment import Augmentation
from augtui.pipelines.job import HINTED, Job
from augtui.pipelines.planning import Input
from augtui.pipelines.source import opened
from augtui.store import items
from augtui.store.projects import Project, open_project
from tests.engines.scripted import ScriptedEngine

JOB = Job(
    REFINE, "specialised", "scripted", "0" * 64, Sampling(), 42, Strictness.STRICT, retries=0, variant=HINTED,
    answer_room=20,
)  # fmt: skip
PROMPT = "write a poem about Zorkania for my friend Quiblo"
TEXT = "Summarize the text in 2 sentences:\n\nZorkania exports 4,711 barrels a day."


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with open_project(tmp_path / "p.db") as project:
        yield project


def results(project: Project, folder: Path, job: Job, engine: ScriptedEngine) -> list[dict[str, object]]:
    path = folder / "prompts.jsonl"
    path.write_text("\n".join(f'{{"instruction": {text!r}}}'.replace("'", '"') for text in (PROMPT,)) + "\n")
    with (
        opened(str(path)) as source,
        Augmentation(project, job, Input(source), "model.gguf", 1) as augmentation,
    ):
        augmentation.plan()
        augmentation.work(lambda: engine, lambda: False, lambda event: None)
        return [line for _, line in augmentation.results()]


def test_the_model_reads_signs_and_the_kind_and_the_result_has_the_names(project: Project, tmp_path: Path) -> None:
    def answer(request: Request) -> str:
        assert request.messages[-1].content == "poem: write a poem about Ⓐ for my friend Ⓑ"
        return "Write a poem about Ⓐ for my friend Ⓑ. Use vivid images."

    engine = ScriptedEngine(answer)
    (line,) = results(project, tmp_path, JOB, engine)
    assert line["refined"] == "Write a poem about Zorkania for my friend Quiblo. Use vivid images."
    assert line["status"] == "accepted"
    key = engine.asked[0].id.split(":")[0]
    assert items.attempts(project, key)[0].text == line["refined"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Write a poem about Ⓐ for my friend Ⓒ. Use vivid images.", "sign of nothing: Ⓒ"),
        ("Write a poem about Ⓐ for my friend. Use vivid images.", "word lost"),
    ],
)
def test_a_sign_too_many_or_too_few_is_rejected(project: Project, tmp_path: Path, answer: str, reason: str) -> None:
    (line,) = results(project, tmp_path, JOB, ScriptedEngine(lambda request: answer))
    assert line["status"] == "kept_original"
    assert reason in str(line["reason"]) or "Quiblo" in str(line["reason"])


def test_an_expansion_s_seed_is_read_with_signs_too(project: Project, tmp_path: Path) -> None:
    def answer(request: Request) -> str:
        assert request.messages[-1].content == "poem: write a poem about Ⓐ for my friend Ⓑ"
        return "Write a poem about the sea."

    job = replace(JOB, task=EXPAND)
    (line,) = results(project, tmp_path, job, ScriptedEngine(answer))
    assert line["instruction"] == "Write a poem about the sea."


def test_the_room_for_an_answer_is_that_of_what_is_read() -> None:
    assert JOB.sampling_for("x" * 100).max_tokens == 70
    assert JOB.config()["hints"] == 1
    assert "hints" not in replace(JOB, variant="").config()
