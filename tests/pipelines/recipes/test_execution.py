"""Pipelines: each record accounted for, what is done is never done again, and interruptions change nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from augtui.errors import StoreError, UsageError
from augtui.pipelines.recipes import recipe
from augtui.store import lineage, locks, stages
from augtui.store.projects import Project, open_project
from tests.pipelines.recipes import kitchen
from tests.pipelines.recipes.kitchen import Hands, cook
from tests.pipelines.steps.bench import write

PAPER = recipe.shipped()["paper"]
AUGMENTERS = recipe.shipped()["augmenters"]


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    return write(tmp_path / "seeds.jsonl", kitchen.SEEDS)


def snapshot(project: Project) -> dict[str, Any]:
    """All that a project holds, but for times, numbers and what is only of tries."""
    return {
        "records": set(project.read("SELECT id, instruction, response, origin FROM records")),
        "lineage": set(project.read(
            "SELECT c.id, p.id, i.key FROM lineage l JOIN records c ON c.number = l.child"
            " JOIN records p ON p.number = l.parent JOIN items i ON i.number = l.item"
        )),
        "items": set(project.read("SELECT key, status, text, reason FROM items")),
        "stages": set(project.read("SELECT key, step, input_digest, output_digest, detail FROM stages")),
        "fates": set(project.read(
            "SELECT s.key, r.place, c.id, r.fate, r.reason FROM stage_records r"
            " JOIN stages s ON s.id = r.stage JOIN records c ON c.number = r.record"
        )),
    }  # fmt: skip


def test_the_papers_recipe_from_seeds_to_a_training_set(project: Project, seeds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    report = cook(project, PAPER, seeds, Hands(), out)
    assert [stage.name for stage in report.stages] == [
        "collect", "expand", "respond", "refine", "pairs", "check", "dedupe", "export",
    ]  # fmt: skip
    for before, after in zip(report.stages, report.stages[1:], strict=False):
        assert after.records == before.out
        # Every record that goes in is kept or dropped; what is made comes on top.
        assert after.kept + after.dropped == after.records
    by_name = {stage.name: stage for stage in report.stages}
    assert by_name["expand"].made + by_name["expand"].detail["failed"] == 12
    assert by_name["expand"].made > 3
    assert by_name["pairs"].made > 0
    assert by_name["refine"].reasons == {"refined": by_name["refine"].made}
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == by_name["export"].out >= 6
    assert all([turn["role"] for turn in line["messages"]] == ["user", "assistant"] for line in lines)
    told = {line["messages"][1]["content"] for line in lines}
    assert told >= {row["output"] for row in kitchen.SEEDS}, "ground truth stays, with the refined instructions too"


def test_each_record_can_be_traced_to_its_seed(project: Project, seeds: Path, tmp_path: Path) -> None:
    cook(project, PAPER, seeds, Hands(), tmp_path / "out.jsonl")
    imported = {row[0] for row in project.read("SELECT id FROM records WHERE origin = 'imported'")}
    for (record_id,) in project.read("SELECT id FROM records WHERE origin = 'generated'"):
        assert imported & {step.parent for step in lineage.ancestors(project, record_id)}


def test_what_is_done_is_not_done_again(project: Project, seeds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    first = Hands()
    cook(project, PAPER, seeds, first, out)
    made, before = out.read_bytes(), snapshot(project)
    out.unlink()
    again = Hands()
    report = cook(project, PAPER, seeds, again, out)
    assert again.asked == 0
    assert all(stage.done_before for stage in report.stages[:-1])
    assert not report.stages[-1].done_before
    assert out.read_bytes() == made
    assert snapshot(project) == before
    assert len(stages.pipelines(project)) == 1


def test_a_changed_step_does_again_what_comes_behind_it_alone(project: Project, seeds: Path, tmp_path: Path) -> None:
    cook(project, PAPER, seeds, Hands(), tmp_path / "out.jsonl")
    changed = PAPER.replace('k = "1..3"', 'k = "1"')
    hands = Hands()
    report = cook(project, changed, seeds, hands, tmp_path / "other.jsonl")
    done = {stage.name: stage.done_before for stage in report.stages}
    assert done == {
        "collect": True, "expand": True, "respond": True, "refine": True, "pairs": False, "check": False,
        "dedupe": False, "export": False,
    }  # fmt: skip
    assert hands.asked < 40
    assert len(stages.pipelines(project)) == 2


@pytest.mark.parametrize("text", [PAPER, AUGMENTERS], ids=["paper", "augmenters"])
def test_interruptions_change_nothing(seeds: Path, tmp_path: Path, text: str) -> None:
    def files(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(folder.glob("out*"))}

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with open_project(tmp_path / "undisturbed.db") as project:
        cook(project, text, seeds, Hands(), tmp_path / "a" / "out.jsonl")
        expected = snapshot(project)
    with open_project(tmp_path / "disturbed.db") as project:
        interruptions = 0
        while True:
            report = cook(project, text, seeds, Hands(stop_after=4), tmp_path / "b" / "out.jsonl")
            if report.interrupted_at is None:
                break
            interruptions += 1
            assert stages.pipelines(project)[0].status == "interrupted"
            assert interruptions < 100
        assert interruptions > 3
        found = snapshot(project)
        assert stages.pipelines(project)[0].status == "finished"
    # Training stages name their files.
    for one in (expected, found):
        one["stages"] = {row for row in one["stages"] if row[1] not in ("export", "trainset")}
        one["fates"] = {row[2:] for row in one["fates"]}
    assert found == expected
    assert files(tmp_path / "b") == files(tmp_path / "a")
    assert files(tmp_path / "a")


def test_an_error_in_a_stage_leaves_the_pipeline_to_be_gone_on_with(
    project: Project, seeds: Path, tmp_path: Path
) -> None:
    text = PAPER.replace('method = "rouge-l"\nthreshold = 0.7', 'method = "rouge-l"\nthreshold = 0.0')
    with pytest.raises(UsageError, match="threshold"):
        cook(project, text, seeds, Hands(), tmp_path / "out.jsonl")
    broken = Hands(lambda request: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cook(project, PAPER, seeds, broken, tmp_path / "out.jsonl")
    assert stages.pipelines(project)[0].status == "failed"
    assert cook(project, PAPER, seeds, Hands(), tmp_path / "out.jsonl").interrupted_at is None


def test_two_processes_do_not_work_on_one_pipeline(project: Project, seeds: Path, tmp_path: Path) -> None:
    cook(project, PAPER, seeds, Hands(), tmp_path / "out.jsonl")
    key = stages.pipelines(project)[0].key
    with locks.acquire(project.path, key), pytest.raises(StoreError, match="being worked on"):
        cook(project, PAPER, seeds, Hands(), tmp_path / "out.jsonl")


def test_a_step_that_needs_a_file_says_so_before_any_work(project: Project, seeds: Path) -> None:
    hands = Hands()
    with pytest.raises(UsageError, match="needs a file to write to"):
        cook(project, PAPER, seeds, hands)
    assert hands.asked == 0


def test_a_judge_drops_what_it_scores_low_and_rules_come_first(project: Project, seeds: Path, tmp_path: Path) -> None:
    def judge(request: Any) -> str:
        asked = request.messages[-1].content
        scores = {"evidence": "e", "correctness": 9, "helpfulness": 9, "informativeness": 9, "factuality": 9}
        return json.dumps(scores | ({"factuality": 2} if "12 words" in asked else {}))

    rows = [
        *kitchen.SEEDS,
        {"id": "r", "instruction": "Name a lake.", "output": "I'm sorry, but I can't help with that."},
    ]
    path = write(tmp_path / "rows.jsonl", rows)
    text = "[[steps]]\nuse = 'check'\njudge = 'default'\nleast = {factuality = 5}\n[[steps]]\nuse = 'export'"
    hands = Hands(judge)
    report = cook(project, text, path, hands, tmp_path / "out.jsonl")
    assert hands.asked == len(kitchen.SEEDS), "the judge is not asked about what broke a rule"
    assert report.stages[1].reasons == {"refusal": 1, "low score": 1}
    fates = [fated for _, fated in stages.fates(project, stages.stages_of(project, report.pipeline)[1].id)]
    assert next(fated.reason for fated in fates if fated.fate == "dropped") == "low score: factuality 2 < 5"


def test_teachers_by_language_answer_in_one_stage(project: Project, tmp_path: Path, default_model: Path) -> None:
    import shutil

    chinese = tmp_path / "zh-teacher.gguf"
    shutil.copyfile(default_model, chinese)
    path = write(tmp_path / "rows.jsonl", [
        {"instruction": "Name a mountain in Italy, please."}, {"instruction": "请写一首关于大海的短诗，不要超过四行。"},
    ])  # fmt: skip
    text = (
        f"[[steps]]\nuse = 'respond'\nteachers = {{zh = '{chinese}', default = 'default'}}\n[[steps]]\nuse = 'export'"
    )

    def answer(request: Any) -> str:
        return "海浪轻轻拍打着沙滩，月光照亮了归来的小船。" if "诗" in request.messages[-1].content else "Monte Rosa."

    hands = Hands(answer)
    report = cook(project, text, path, hands, tmp_path / "out.jsonl")
    assert {name: len(engine.asked) for name, engine in hands.engines.items()} == {"default": 1, "zh-teacher": 1}
    assert report.stages[1].made == 2


def test_a_stage_without_records_makes_none(project: Project, seeds: Path, tmp_path: Path) -> None:
    strict = "[[steps]]\nuse = 'check'\nlimits = {instruction_min = 900}\n"
    text = f"{strict}[[steps]]\nuse = 'refine'\n[[steps]]\nuse = 'export'"
    report = cook(project, text, seeds, Hands(), tmp_path / "out.jsonl")
    assert [stage.out for stage in report.stages] == [6, 0, 0, 0]
    assert (tmp_path / "out.jsonl").read_text() == ""


def test_what_killed_a_stage_halfway_leaves_is_taken_away(project: Project, seeds: Path, tmp_path: Path) -> None:
    cook(project, PAPER, seeds, Hands(), tmp_path / "out.jsonl")
    before = snapshot(project)
    with project.write() as conn:
        conn.execute("UPDATE stages SET finished_at = NULL, output_digest = NULL WHERE step = 'dedupe'")
        conn.execute(
            "DELETE FROM stage_records WHERE place > 2 AND stage = (SELECT id FROM stages WHERE step = 'dedupe')"
        )
    hands = Hands()
    cook(project, PAPER, seeds, hands, tmp_path / "out.jsonl")
    assert hands.asked == 0
    assert snapshot(project) == before
