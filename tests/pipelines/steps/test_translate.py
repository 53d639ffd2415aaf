"""Translation: facts survive, the way back must lead home, and the first half is not paid for twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from augtui.domain.annotation import TRANSLATE
from augtui.engines.base import Completion, Request
from augtui.store.projects import Project
from tests.engines.scripted import ScriptedEngine
from tests.pipelines.steps import bench

ROWS = [
    {"instruction": "Explain what `sum(x)` does for ${{name}}, see https://a.org/x, in 3 lines.", "output": "It adds."},
    {"instruction": "写一首关于大海的短诗，不要超过四行。"},
]
CHINESE = "请用3行为${{name}}解释`sum(x)`的作用，参见 https://a.org/x。"
BACK = "Explain in 3 lines what `sum(x)` does for ${{name}}, see https://a.org/x."
POEM = "Write a short poem about the sea, of no more than four lines."


def faithful(request: Request) -> str:
    asked = request.messages[-1].content
    if "into Simplified Chinese" in asked:
        if "Explain" in asked:
            return f"### Instruction:\n{CHINESE}\n\n### Response:\n它做加法。"
        return "### Instruction:\n写一首关于大海的短诗，不超过四行。"
    if CHINESE in asked:
        return f"### Instruction:\n{BACK}\n\n### Response:\nIt adds."
    return POEM


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return bench.write(tmp_path / "rows.jsonl", ROWS)


def job(**options: Any) -> Any:
    return bench.job(TRANSLATE, options={"to": "both", "measure": "chrf", "least": 0.4} | options)


def test_each_record_comes_out_in_the_other_language(project: Project, rows: Path) -> None:
    engine = ScriptedEngine(faithful)
    summary, lines = bench.run(project, job(), rows, engine)
    assert summary.counts["accepted"] == 2, lines
    assert (lines[0]["instruction"], lines[0]["response"], lines[0]["language"]) == (CHINESE, "它做加法。", "zh")
    assert (lines[1]["instruction"], lines[1]["response"], lines[1]["language"]) == (POEM, None, "en")
    assert lines[0]["source"] == ROWS[0]["instruction"]
    assert BACK in lines[0]["back_translation"]
    assert len(engine.asked) == 4


def test_records_in_the_wanted_language_are_left(project: Project, rows: Path) -> None:
    engine = ScriptedEngine(faithful)
    summary, lines = bench.run(project, job(to="zh"), rows, engine)
    assert (summary.counts["accepted"], summary.counts["kept_original"]) == (1, 1)
    assert lines[1]["reason"] == "already in Simplified Chinese"


def test_a_turn_is_not_torn_out_of_its_conversation(project: Project, tmp_path: Path) -> None:
    talk = {"instruction": POEM, "history": [["Which topic?", "The sea."]]}
    engine = ScriptedEngine(faithful)
    _, (line,) = bench.run(project, job(), bench.write(tmp_path / "talk.jsonl", [talk]), engine)
    assert (line["status"], line["reason"].partition(":")[0]) == ("failed", "earlier turns")
    assert engine.asked == []


def test_what_the_input_has_in_both_languages_is_left(project: Project, tmp_path: Path) -> None:
    rows = [{"id": 7, **ROWS[1]}, {"id": 7, "instruction": POEM}, {"id": 8, "instruction": POEM + " Rhyme it."}]
    engine = ScriptedEngine(faithful)
    _, lines = bench.run(project, job(to="zh", least=0), bench.write(tmp_path / "both.jsonl", rows), engine)
    assert [line["status"] for line in lines] == ["kept_original", "kept_original", "accepted"]
    assert lines[0]["reason"] == "already in Simplified Chinese"
    assert lines[1]["reason"] == f"translated already: {lines[0]['provenance']['record']}"
    assert len(engine.asked) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("${{name}}", "名字"), "variable lost"),
        (("`sum(x)`", "`和(x)`"), "code lost"),
        (("https://a.org/x", "https://a.org/y"), "link lost"),
        (("3行", "几行"), "number lost"),
        (("### Response:\n它做加法。", ""), "no translation"),
    ],
)
def test_what_must_not_change_is_guarded(
    project: Project, tmp_path: Path, change: tuple[str, str], reason: str
) -> None:
    path = bench.write(tmp_path / "one.jsonl", ROWS[:1])
    summary, lines = bench.run(project, job(), path, ScriptedEngine(lambda request: faithful(request).replace(*change)))
    assert summary.counts["failed"] == 1
    assert reason in lines[0]["reason"]


def test_a_way_back_that_leads_elsewhere_is_rejected(project: Project, tmp_path: Path) -> None:
    path = bench.write(tmp_path / "one.jsonl", ROWS[1:])

    def astray(request: Request) -> str:
        back = "into Simplified Chinese" in request.messages[-1].content
        return "请给我推荐一家好吃的餐馆，要便宜的。" if back else POEM

    engine = ScriptedEngine(astray)
    summary, lines = bench.run(project, job(), path, engine)
    assert summary.counts["failed"] == 1
    assert lines[0]["reason"].startswith("back-translation differs: chrf 0.")
    assert len(engine.asked) == 6, "three tries, each there and back"
    summary, _ = bench.run(project, job(least=0), path, ScriptedEngine(astray))
    assert summary.counts["accepted"] == 1


def test_a_run_that_stops_between_there_and_back_goes_on_with_the_way_back(project: Project, rows: Path) -> None:
    class OneWay(ScriptedEngine):
        def poll(self, timeout_s: float):  # type: ignore[no-untyped-def]
            events = list(super().poll(timeout_s))
            return [event for event in events if isinstance(event, Completion) and not event.id.endswith("second")]

    first = OneWay(faithful)
    summary, _ = bench.run(project, job(), rows, first, stop_after=6)
    assert summary.interrupted
    second = ScriptedEngine(faithful)
    summary, lines = bench.run(project, job(), rows, second)
    assert summary.counts["accepted"] == 2, lines
    assert sorted(request.id.split(":")[-1] for request in second.asked) == ["second", "second"]
    assert project.read("SELECT COUNT(*) FROM attempts WHERE verdict = 'held'")[0][0] == 0
