"""The model steps as a user runs them: against scripted servers, and with the default model for the mechanics."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engines.http import fakeserver
from tests.engines.http.fakeserver import Ask, Deed, FakeServer
from tests.pipelines.recipes import kitchen
from tests.pipelines.steps.bench import write

ROWS = [
    {"id": "a", "instruction": "Name a river in France, please.", "output": "The Loire."},
    {"id": "b", "instruction": "Name a mountain in Italy, please."},
    {"id": "c", "instruction": "请写一首关于大海的短诗，不要超过四行。"},
]
ENGLISH, CHINESE = "Monte Rosa is a mountain in Italy.", "海浪轻轻拍打着沙滩，月光照亮了归来的小船。"
GOOD = {"evidence": "Right.", "correctness": 9, "helpfulness": 8, "informativeness": 7, "factuality": 9}


def augtui(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "augtui", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUGTUI_API_KEY", "OPENAI_API_KEY", "AUGTUI_MAX_COST", "AUGTUI_PRICE_IN", "AUGTUI_PRICE_OUT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write(tmp_path / "rows.jsonl", ROWS)


def test_each_language_has_its_teacher(rows: Path) -> None:
    with (
        FakeServer(lambda ask: fakeserver.answer(ENGLISH)) as one,
        FakeServer(lambda ask: fakeserver.answer(CHINESE)) as two,
    ):
        teachers = ["--teacher", f"default={one.address}#english", "--teacher", f"zh={two.address}#chinese"]
        done = augtui("respond", "--file", rows, *teachers, "--system", "Be brief.")
        assert done.returncode == 0, done.stderr
        found = lines(done.stdout)
        assert [line["response"] for line in found] == ["The Loire.", ENGLISH, CHINESE]
        assert [line["status"] for line in found] == ["kept_original", "accepted", "accepted"]
        assert [line["provenance"].get("model") for line in found] == [None, "english", "chinese"]
        assert [len([ask for ask in server.asks if "messages" in ask.body]) for server in (one, two)] == [1, 1]
        assert one.asks[-1].body["messages"][0] == {"role": "system", "content": "Be brief."}
        again = augtui("respond", "--file", rows, *teachers, "--system", "Be brief.")
        assert again.stdout == done.stdout
        assert len([ask for ask in one.asks if "messages" in ask.body]) == 1


def test_nobody_writes_responses_unless_he_is_named(rows: Path) -> None:
    done = augtui("respond", "--file", rows)
    assert done.returncode == 2
    assert "default model writes prompts only" in done.stderr


@pytest.mark.parametrize("task", ["translate", "classify"])
def test_what_only_a_general_model_can_do_wants_one_named(rows: Path, task: str) -> None:
    done = augtui(task, "--file", rows)
    assert done.returncode == 2
    assert "default model writes prompts only" in done.stderr and "-m MODEL.gguf" in done.stderr


def test_a_judge_scores_what_passes_the_rules(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Name a river in France, please.", "output": "The Loire."},
        {"instruction": "Name a river in Spain, please.", "output": "I'm sorry, but I can't help with that."},
        {"instruction": "Name a river in Italy, please.", "output": "The Rhine."},
    ]

    def judge(ask: Ask) -> Deed:
        return fakeserver.answer(json.dumps(GOOD | ({"factuality": 1} if "Rhine" in ask.prompt else {})))

    kept, dropped = tmp_path / "kept.jsonl", tmp_path / "dropped.jsonl"
    with FakeServer(judge) as server:
        path = write(tmp_path / "rows.jsonl", rows)
        done = augtui("check", "--file", path, "--judge", f"{server.address}#judge", "-o", kept, "--dropped", dropped)
        assert done.returncode == 0, done.stderr
        asks = [ask.body for ask in server.asks if "messages" in ask.body]
    assert len(asks) == 2
    assert {body["temperature"] for body in asks} == {0}
    assert asks[0]["response_format"]["type"] == "json_schema"
    (passed,) = lines(kept.read_text())
    assert passed["output"] == "The Loire."
    assert passed["augtui"]["check"]["scores"] == GOOD
    reasons = [line["augtui"]["check"]["reason"] for line in lines(dropped.read_text())]
    assert reasons == ["refusal", "low score"]


def test_a_model_labels_for_the_balance(tmp_path: Path) -> None:
    def label(ask: Ask) -> Deed:
        return fakeserver.answer("<answer>Math</answer>" if "plus" in ask.prompt else "<answer>Law</answer>")

    prompts = [f"How much is {n} plus {n}?" for n in range(6)] + ["May a landlord enter the flat?"]
    path = write(tmp_path / "rows.jsonl", [{"instruction": text} for text in prompts])
    with FakeServer(label) as server:
        done = augtui("balance", "--file", path, "--classifier", f"{server.address}#m", "--shortage", "less",
                      "--mix", "uniform", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {line["augtui"]["balance"]["label"] for line in lines(done.stdout)}
    assert found == {"Math", "Law"}


def test_a_translation_goes_there_and_back(tmp_path: Path) -> None:
    def translate(ask: Ask) -> Deed:
        back = "into English" in ask.prompt
        return fakeserver.answer("### Instruction:\n" + (ROWS[1]["instruction"] if back else "请说出意大利的一座山。"))

    path = write(tmp_path / "rows.jsonl", ROWS[1:2])
    with FakeServer(translate) as server:
        done = augtui("translate", "--file", path, "--to", "zh", "-m", f"{server.address}#m")
    assert done.returncode == 0, done.stderr
    (line,) = lines(done.stdout)
    assert (line["instruction"], line["language"]) == ("请说出意大利的一座山。", "zh")


def test_pairs_and_a_structured_judge_with_a_real_engine(tmp_path: Path) -> None:
    """A small model writes no good pairs and no good scores: what counts is that each item ends with a reason."""
    rows = [{"instruction": f"Name river number {n} of France.", "output": f"River {n}."} for n in range(4)]
    path = write(tmp_path / "rows.jsonl", rows)
    fast = ["--max-tokens", "48", "--retries", "0", "--slots", "4"]
    done = augtui("pairs", "--file", path, "-n", "5", "-k", "2", *fast)
    assert done.returncode in (0, 4), done.stderr
    found = lines(done.stdout)
    assert len(found) == 5
    assert all(len(line["context"]) == 2 for line in found)
    assert all(line["reason"] or line["response"] for line in found)
    judged = augtui("check", "--file", path, "--judge", "default", "--json", *fast)
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stderr.splitlines()[-1])["total"] == 4


def test_training_sets_from_a_file_and_from_a_project(tmp_path: Path) -> None:
    rows = [
        {
            "id": f"c{n}",
            "instruction": f"Describe lake {n}.",
            "source_id": f"s{n // 2}",
            "source": f"Describe river {n // 2}.",
        }
        for n in range(20)
    ]
    path = write(tmp_path / "expanded.jsonl", rows)
    done = augtui(
        "trainset", "--file", path, "--kind", "ie", "-o", tmp_path / "ie.jsonl", "--validation", "0.2", "--json"
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["table_2"]["ie"] == {"sources": 10, "targets": 20}
    assert figures["validation"] == {"ie": 4}
    assert len(lines((tmp_path / "ie.jsonl").read_text())) == 16
    with path.open("a") as file:
        file.write('{"instruction": null, "status": "failed", "source": "Describe river 1.", "source_id": "s1"}\n')
    told = augtui("trainset", "--file", path, "--kind", "ie", "-o", tmp_path / "again.jsonl")
    assert told.returncode == 0
    assert told.stderr.startswith("augtui trainset: D_IE: 20 examples (sources 10, targets 20): ")
    assert "1 lines set aside: no instruction field" in told.stderr
    empty = augtui("trainset", "-o", tmp_path / "none.jsonl", "-p", tmp_path / "none.db")
    assert empty.returncode == 1
    assert "There is no project" in empty.stderr
    wrong = augtui("trainset", "--file", path, "--kind", "iee", "-o", tmp_path / "x.jsonl")
    assert (wrong.returncode, "Did you mean 'ie'?" in wrong.stderr) == (2, True)


def test_a_pipeline_on_the_command_line(tmp_path: Path) -> None:
    path, out = write(tmp_path / "seeds.jsonl", kitchen.SEEDS[:4]), tmp_path / "out.jsonl"
    fast = ["--max-tokens", "24", "--retries", "0", "--slots", "4", "--set", "pairs.count=2", "--set", "expand.count=1"]
    done = augtui("pipeline", "run", "paper", "--file", path, "-o", out, "--json", *fast)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [stage["stage"] for stage in report["stages"]][-1] == "export"
    assert report["engines_opened"] == 1, "one model for all steps is loaded once"
    assert len(lines(out.read_text())) >= 4
    forecast = augtui("pipeline", "run", "paper", "--file", path, "--dry-run", "--json", *fast)
    assert forecast.returncode == 0, forecast.stderr
    told = json.loads(forecast.stdout)
    assert {step["basis"] for step in told["steps"]} == {"done", "no model"}
    assert told["items"] == 0
    again = augtui("pipeline", "run", "paper", "--file", path, "-o", out, *fast)
    assert "note: no model is named that could answer" in again.stderr
    shown = augtui("pipeline", "show", "1")
    assert "expand" in shown.stdout and "finished" in shown.stdout
    fates = lines(augtui("pipeline", "show", "1", "--stage", "refine").stdout)
    assert {line["fate"] for line in fates} <= {"kept", "made", "dropped"}
    assert all(line["reason"] == "refined" for line in fates if line["fate"] == "dropped")
    assert "Did you mean 'refine'?" in augtui("pipeline", "show", "1", "--stage", "refin").stderr
    listed = augtui("pipeline", "ls")
    assert "paper" in listed.stdout and "finished" in listed.stdout


def test_a_dry_run_says_what_a_paid_server_would_cost_without_asking_it(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [{"instruction": f"Describe place number {n}."} for n in range(10)])
    recipe = tmp_path / "mine.toml"
    with FakeServer(lambda ask: fakeserver.answer(ENGLISH)) as server:
        recipe.write_text(f"[[steps]]\nuse = 'respond'\nmodel = '{server.address}#m'\n[[steps]]\nuse = 'export'\n")
        done = augtui("pipeline", "run", recipe, "--file", path, "--dry-run", "--json", "-o", tmp_path / "o.jsonl",
                      "--price-in", "10", "--price-out", "30")  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert [ask for ask in server.asks if "messages" in ask.body] == []
    step = json.loads(done.stdout)["steps"][0]
    assert (step["items"], step["basis"], step["seconds"]) == (10, "assumed", None)
    assert step["cost"] == pytest.approx((step["prompt_tokens"] * 10 + step["completion_tokens"] * 30) / 1e6)
    assert not (tmp_path / "o.jsonl").exists()
