"""Responses: ground truth stays, a teacher for each language, and what is no response is not taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from augtui.domain.annotation import RESPOND
from augtui.engines.base import Request
from augtui.errors import UsageError
from augtui.pipelines.teachers import teachers_of
from augtui.store import dataset, lineage
from augtui.store.projects import Project
from tests.engines.scripted import ScriptedEngine
from tests.pipelines.steps import bench

LONG = " ".join(f"Mountain {name} is high and far away." for name in "ABCDEFGHIJ")
ROWS = [
    {"id": "a", "instruction": "Name a river in France.", "output": "The Loire."},
    {"id": "b", "instruction": "Name a mountain in Italy."},
    {"id": "c", "instruction": "写一首关于大海的短诗，不要超过四行。"},
]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return bench.write(tmp_path / "rows.jsonl", ROWS)


def refuse(request: Request) -> str:
    raise AssertionError("nobody is to be asked")


def test_ground_truth_is_kept_and_the_rest_is_answered(project: Project, rows: Path) -> None:
    engine = ScriptedEngine(lambda request: "Mont Blanc is one, on the border.")
    summary, lines = bench.run(project, bench.job(RESPOND), rows, engine)
    assert summary.counts == {"accepted": 2, "kept_original": 1, "failed": 0, "pending": 0}
    assert [request.messages[-1].content for request in engine.asked] == [
        ROWS[1]["instruction"],
        ROWS[2]["instruction"],
    ]
    assert (lines[0]["response"], lines[0]["status"], lines[0]["reason"]) == (
        "The Loire.", "kept_original", "ground truth",
    )  # fmt: skip
    assert "model" not in lines[0]["provenance"]
    assert lines[1]["response"] == "Mont Blanc is one, on the border."
    assert lines[1]["provenance"]["model"] == "scripted"
    made = lines[1]["provenance"]["result"]
    assert [step.parent for step in lineage.ancestors(project, made)] == [lines[1]["provenance"]["record"]]


def test_there_is_no_system_prompt_unless_one_is_given(project: Project, rows: Path) -> None:
    engine = ScriptedEngine(lambda request: "Fine.")
    bench.run(project, bench.job(RESPOND), rows, engine)
    assert {len(request.messages) for request in engine.asked} == {1}
    engine = ScriptedEngine(lambda request: "Fine.")
    bench.run(project, bench.job(RESPOND, options={"system": "Be brief."}), rows, engine)
    assert [message.content for message in engine.asked[0].messages] == ["Be brief.", ROWS[1]["instruction"]]


def test_a_record_is_answered_behind_its_own_system_prompt_and_turns(project: Project, tmp_path: Path) -> None:
    talk = {"system": "You are a guide.", "history": [["Who climbed it first?", "Balmat did."]]}
    rows = bench.write(tmp_path / "talk.jsonl", [{"instruction": "When was that?", **talk}, ROWS[1]])
    engine = ScriptedEngine(lambda request: "It was done in the year 1786.")
    _, lines = bench.run(project, bench.job(RESPOND, options={"system": "Be brief."}), rows, engine)
    first, second = ([(m.role, m.content) for m in request.messages] for request in engine.asked)
    assert first == [
        ("system", "You are a guide."), ("user", "Who climbed it first?"), ("assistant", "Balmat did."),
        ("user", "When was that?"),
    ]  # fmt: skip
    assert second == [("system", "Be brief."), ("user", ROWS[1]["instruction"])]
    assert {name: lines[0].get(name) for name in talk} == talk
    assert "system" not in lines[1] and "history" not in lines[1]
    made = dataset.get(project, lines[0]["provenance"]["result"])
    assert made is not None and dict(made.extra) == talk


def test_a_row_says_further_on_whose_relative_it_is(project: Project, tmp_path: Path) -> None:
    rows = bench.write(tmp_path / "rows.jsonl", [{**ROWS[1], "id": "m1", "source_id": "s1"}, ROWS[0]])
    _, lines = bench.run(project, bench.job(RESPOND), rows, ScriptedEngine(lambda request: "The Etna, which smokes."))
    assert lines[0]["family"] == "s1"
    assert "family" not in lines[1]


def test_each_language_has_its_teacher_and_each_result_says_which(project: Project, rows: Path) -> None:
    teacher = replace(bench.job(RESPOND), model_name="qwen", model_sha256="1" * 64)
    job = replace(bench.job(RESPOND), teachers=(("zh", teacher),))
    own, chinese = ScriptedEngine(lambda request: "Monte Rosa."), ScriptedEngine(lambda request: "海浪轻轻拍打着沙滩。")
    _, lines = bench.run(project, job, rows, own, teachers={"zh": chinese})
    assert (len(own.asked), len(chinese.asked)) == (1, 1)
    assert [line["provenance"].get("model") for line in lines] == [None, "scripted", "qwen"]
    assert lines[2]["provenance"]["model_sha256"] == "1" * 64
    # The same work under the teacher alone is the same item.
    _, alone = bench.run(project, teacher, rows, ScriptedEngine(refuse), stop_after=0)
    assert alone == [] or alone[-1]["response"] != lines[1]["response"]
    assert teacher.item_key(lines[2]["provenance"]["record"], 0) in {
        row[0] for row in project.read("SELECT key FROM items")
    }


def test_without_a_model_only_ground_truth_is_left(project: Project, rows: Path) -> None:
    job = bench.job(RESPOND, options={"unasked": True})
    summary, lines = bench.run(project, job, rows, ScriptedEngine(refuse))
    assert summary.counts == {"accepted": 0, "kept_original": 1, "failed": 2, "pending": 0}
    assert lines[1]["reason"].startswith("no response")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("As an AI language model, I do not have feelings about mountains.", "refusal"),
        ("很抱歉，我无法完成这个请求。", "refusal"),
        ("```python\nprint(1)", "truncation"),
        (f"{LONG} The highest mountain of the whole of Italy is, by most of the counts of the", "truncation"),
        (("The highest", "length"), "cut off"),
        ("### Response:\nMonte Bianco", "template leaked"),
        ("<think>hmm", "template leaked"),
        ("Name a mountain in Italy.", "copy"),
        ("", "empty"),
    ],
)
def test_what_is_no_response_is_not_taken(
    project: Project, tmp_path: Path, text: str | tuple[str, str], reason: str
) -> None:
    path = bench.write(tmp_path / "one.jsonl", ROWS[1:2])
    engine = ScriptedEngine(lambda request: text)
    summary, lines = bench.run(project, bench.job(RESPOND), path, engine)
    assert summary.counts["failed"] == 1
    assert lines[0]["response"] is None
    assert lines[0]["reason"].startswith(reason)
    assert len(engine.asked) == 3


def test_a_thought_is_not_part_of_the_response(project: Project, tmp_path: Path) -> None:
    path = bench.write(tmp_path / "one.jsonl", ROWS[1:2])
    engine = ScriptedEngine(lambda request: "<think>Which one?</think>\n\nMonte Rosa.")
    assert bench.run(project, bench.job(RESPOND), path, engine)[1][0]["response"] == "Monte Rosa."


def test_teachers_are_read_from_the_command_line() -> None:
    teachers = teachers_of(["zh=qwen.gguf", "default=http://h/v1#m=x"], None)
    assert (dict(teachers.by_language), teachers.default) == ({"zh": "qwen.gguf"}, "http://h/v1#m=x")
    assert teachers_of(["zh=q"], "m").default == "m"
    assert teachers_of(["zh=q"], None).default is None
    for given, model in ((["fr=x"], None), (["zh"], None), (["zh=a", "zh=b"], None), (["default=a"], "b"), ([], None)):
        with pytest.raises(UsageError):
            teachers_of(given, model)
