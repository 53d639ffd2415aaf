"""Scores and labels: structured, greedy, and nothing passes that was not scored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from augtui.domain.annotation import CHECK, CLASSIFY, CRITERIA
from augtui.domain.taxonomy import CLASSES
from augtui.engines.base import Sampling
from augtui.errors import UsageError
from augtui.pipelines.choices import least_scores
from augtui.store.projects import Project
from tests.engines.scripted import ScriptedEngine
from tests.pipelines.steps import bench

ROWS = [{"instruction": "Name a river in France.", "output": "The Loire."}, {"instruction": "Name a lake."}]
GREEDY = Sampling(temperature=0)
GOOD = {"evidence": "Right.", "correctness": 9, "helpfulness": 7, "informativeness": 6, "factuality": 10}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return bench.write(tmp_path / "rows.jsonl", ROWS)


def test_scores_evidence_and_the_schema(project: Project, rows: Path) -> None:
    engine = ScriptedEngine(lambda request: json.dumps(GOOD))
    summary, lines = bench.run(project, bench.job(CHECK, sampling=GREEDY), rows, engine)
    assert summary.counts["accepted"] == 2
    assert lines[0]["scores"] == {name: GOOD[name] for name in CRITERIA}
    assert lines[0]["evidence"] == "Right."
    assert (lines[0]["instruction"], lines[0]["response"]) == (ROWS[0]["instruction"], "The Loire.")
    assert engine.asked[0].schema is not None
    assert json.loads(engine.asked[0].schema)["required"] == ["evidence", *CRITERIA]
    assert "The Loire." in engine.asked[0].messages[-1].content
    assert "[The Start of the Response]" not in engine.asked[1].messages[-1].content


def test_a_score_below_its_threshold_does_not_pass_and_is_told(project: Project, rows: Path) -> None:
    engine = ScriptedEngine(lambda request: json.dumps(GOOD | {"factuality": 5}))
    summary, lines = bench.run(project, bench.job(CHECK, sampling=GREEDY), rows, engine)
    assert summary.counts["failed"] == 2
    assert lines[0]["reason"] == "low score: factuality 5 < 6"
    assert lines[0]["scores"]["factuality"] == 5
    assert len(engine.asked) == 2
    job = bench.job(CHECK, sampling=GREEDY, options={"least": dict.fromkeys(CRITERIA, 5)})
    assert bench.run(project, job, rows, engine)[0].counts["accepted"] == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Looks good to me!", "no scores"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "factuality"}), "no scores: factuality is missing"),
        (json.dumps(GOOD | {"correctness": True}), "no scores"),
        (json.dumps(GOOD | {"correctness": 11}), "score out of range"),
        (json.dumps(GOOD | {"correctness": 7.5}), "no scores"),
        ("[" * 10_000, "no scores"),
    ],
)
def test_missing_scores_are_no_pass(project: Project, rows: Path, text: str, reason: str) -> None:
    summary, lines = bench.run(project, bench.job(CHECK, sampling=GREEDY), rows, ScriptedEngine(lambda request: text))
    assert summary.counts["failed"] == 2
    assert lines[0]["reason"].startswith(reason)
    assert lines[0]["scores"] is None


def test_an_object_in_a_code_block_or_after_a_thought_counts(project: Project, rows: Path) -> None:
    text = f"<think>Hm.</think>\n```json\n{json.dumps(GOOD)}\n```"
    summary, _ = bench.run(project, bench.job(CHECK, sampling=GREEDY), rows, ScriptedEngine(lambda request: text))
    assert summary.counts["accepted"] == 2


def test_thresholds_are_read_from_the_command_line() -> None:
    assert least_scores("7") == dict.fromkeys(CRITERIA, 7)
    assert least_scores("factuality=9") == dict.fromkeys(CRITERIA, 6) | {"factuality": 9}
    assert least_scores(None) is None
    for text in ("11", "truth=3", "factuality=x", "factuality", "0"):
        with pytest.raises(UsageError):
            least_scores(text)


def test_labels_are_of_the_list_or_others(project: Project, rows: Path) -> None:
    answers = iter(["It is <answer>code generation</answer>.", "<answer>Geography</answer>"])
    engine = ScriptedEngine(lambda request: next(answers))
    _, lines = bench.run(project, bench.job(CLASSIFY, sampling=GREEDY), rows, engine)
    assert [line["label"] for line in lines] == ["Code Generation", "Others"]
    assert all(f"- {name}\n" in engine.asked[0].messages[-1].content for name in CLASSES)


@pytest.mark.parametrize("text", ["Math", "<answer></answer>", "<answer>Math</answer><answer>Law</answer>"])
def test_no_label_or_two_are_none(project: Project, rows: Path, text: str) -> None:
    summary, lines = bench.run(
        project, bench.job(CLASSIFY, sampling=GREEDY), rows, ScriptedEngine(lambda request: text)
    )
    assert summary.counts["failed"] == 2
    assert lines[0]["label"] is None


def test_a_judge_sees_what_stands_before_an_instruction(project: Project, tmp_path: Path) -> None:
    talk = {"system": "Be brief.", "history": [["Who climbed it first?", "Balmat."]]}
    rows = bench.write(tmp_path / "talk.jsonl", [{"instruction": "When?", "output": "In 1786.", **talk}, ROWS[0]])
    engine = ScriptedEngine(lambda request: json.dumps(GOOD))
    _, lines = bench.run(project, bench.job(CHECK, sampling=GREEDY), rows, engine)
    first, second = (request.messages[-1].content for request in engine.asked)
    assert "System: Be brief.\n\nUser: Who climbed it first?\n\nAssistant: Balmat.\n\nUser: When?\n[The End" in first
    assert "Start of the Instruction]\nName a river in France.\n" in second
    assert lines[0]["instruction"] == "When?"
