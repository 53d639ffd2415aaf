"""dedupe, decontaminate, balance and check as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROWS: list[dict[str, Any]] = [
    {
        "id": "a",
        "instruction": "Write a short poem about the sea.",
        "output": "Waves roll in.",
        "tag": [1, {"x": None}],
    },
    {"id": "b", "instruction": "Write a short poem about the sky.", "output": "Blue above."},
    {"id": "c", "instruction": "What is 3 + 4?", "input": "", "output": "7"},
    {"id": "d", "instruction": "写一首关于大海的诗。", "output": "抱歉，我不能写诗。"},
    {"id": "e", "instruction": "What is 3 + 4?", "input": "", "output": "seven"},
]


def augtui(*arguments: object, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "augtui", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False)


def rows(data: bytes | Path) -> list[dict[str, Any]]:
    text = data.read_bytes() if isinstance(data, Path) else data
    return [json.loads(line) for line in text.decode().splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS))
    return path


def test_dedupe_keeps_the_rows_as_they_are_and_says_what_a_dropped_one_is_like(file: Path, tmp_path: Path) -> None:
    kept, dropped = tmp_path / "kept.jsonl", tmp_path / "dropped.jsonl"
    done = augtui("dedupe", "--file", file, "-o", kept, "--dropped", dropped, "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    summary = json.loads(done.stdout)
    assert (summary["total"], summary["kept"], summary["dropped"]) == (5, 3, 2)
    assert summary["reasons"] == {"near duplicate": 2}
    lines = rows(kept)
    assert [line["id"] for line in lines] == ["a", "c", "d"]
    for line, row in zip(lines, (ROWS[0], ROWS[2], ROWS[3]), strict=True):
        assert {name: value for name, value in line.items() if name != "augtui"} == row
        assert line["augtui"]["dedupe"]["method"] == "rouge-l"
    facts = [line["augtui"]["dedupe"] for line in rows(dropped)]
    assert [one["of"] for one in facts] == [{"line": 1, "id": "a"}, {"line": 3, "id": "c"}]
    assert facts[0]["similarity"] == pytest.approx(2 * 6 / 14, abs=1e-6)
    assert facts[1]["similarity"] == 1.0


def test_dedupe_reads_a_pipe_and_writes_to_stdout(file: Path) -> None:
    done = augtui("dedupe", "--file", "-", "--method", "exact", "-q", stdin=file.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    assert [line["id"] for line in rows(done.stdout)] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("method", ["minhash", "embedding"])
def test_dedupe_by_the_other_methods(file: Path, method: str) -> None:
    done = augtui("dedupe", "--file", file, "--method", method, "--threshold", "0.999", "-q")
    assert done.returncode == 0, done.stderr
    assert [line["id"] for line in rows(done.stdout)] == ["a", "b", "c", "d"]
    if method == "embedding":
        assert rows(done.stdout)[0]["augtui"]["dedupe"]["model"] == "default"


def test_decontaminate_reports_which_row_of_which_test_set(file: Path, tmp_path: Path) -> None:
    long = "a farmer has seventeen sheep and all but nine of them run away during the night"
    tests, more = tmp_path / "tests.csv", tmp_path / "more.txt"
    tests.write_text(f"id,question,answer\nt1,Something else entirely?,x\nt2,{long},nine\n")
    more.write_text("What is 3 + 4?\n")
    file.write_text(file.read_text() + json.dumps({"prompt": f"Think. {long.title()}!"}) + "\n")
    clean, report = tmp_path / "clean.jsonl", tmp_path / "report.jsonl"
    done = augtui("decontaminate", "--file", file, "-a", tests, "--against", more, "-o", clean, "--report", report)
    assert done.returncode == 0, done.stderr
    assert [line.get("id") for line in rows(clean)] == ["a", "b", "d"]
    found = rows(report)
    assert [line["line"] for line in found] == [3, 5, 6]
    assert found[0]["matches"][0]["test"] == {"file": str(more), "line": 1}
    match = found[2]["matches"][0]
    assert match["test"] == {"file": str(tests), "line": 2, "id": "t2"}
    assert match["ngram"] == " ".join(long.split()[:13])
    assert "instruction" not in found[2]


def test_decontaminate_replaces_no_test_set(tmp_path: Path) -> None:
    file, tests = tmp_path / "rows.jsonl", tmp_path / "test.jsonl"
    file.write_text('{"prompt": "Name a river."}\n')
    tests.write_text('{"question": "Name a river.", "answer": "The Loire."}\n')
    before = tests.read_bytes(), file.read_bytes()
    for option, target in (("-o", tests), ("--report", tests), ("--report", file)):
        done = augtui("decontaminate", "--file", file, "--against", tests, option, target)
        assert (done.returncode, b"would replace" in done.stderr) == (2, True)
    assert (tests.read_bytes(), file.read_bytes()) == before


def test_balance_by_a_field_hits_the_mix_and_lists_what_to_expand(tmp_path: Path) -> None:
    file, mix = tmp_path / "rows.jsonl", tmp_path / "mix.toml"
    out, seeds = tmp_path / "out.jsonl", tmp_path / "seeds.jsonl"
    kinds = ["math"] * 30 + ["code"] * 5 + ["chat"] * 5
    file.write_text("".join(json.dumps({"prompt": f"p{n}", "meta": {"kind": k}}) + "\n" for n, k in enumerate(kinds)))
    mix.write_text("[mix]\nmath = 1\ncode = 1\nabsent = 7\n")
    arguments = ["--file", file, "--label-field", "meta.kind", "--mix", mix, "--size", 20, "-o", out, "--json"]
    done = augtui("balance", *arguments)
    assert done.returncode == 0, done.stderr
    lines = rows(out)
    assert Counter(line["meta"]["kind"] for line in lines) == {"math": 10, "code": 10}
    assert [line["augtui"]["balance"]["line"] for line in lines] == sorted(
        line["augtui"]["balance"]["line"] for line in lines
    )
    copies = [line["augtui"]["balance"] for line in lines if line["meta"]["kind"] == "code"]
    assert [(one["copy"], one["copies"]) for one in copies] == [(0, 2), (1, 2)] * 5
    assert json.loads(done.stdout)["classes"]["code"] == {"present": 5, "target": 10, "rows": 10, "expand": 0}
    done = augtui("balance", "--file", file, "--label-field", "meta.sort")
    assert (done.returncode, done.stdout) == (2, b"")
    assert "no row has a class in its field 'meta.sort'" in done.stderr.decode()
    done = augtui("balance", *arguments, "--shortage", "expand", "--seeds", seeds)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["to_expand"] == 5
    assert len(rows(out)) == 15
    wanted = rows(seeds)
    assert [line["augtui"]["balance"]["expand"] for line in wanted] == [1] * 5
    assert {line["meta"]["kind"] for line in wanted} == {"code"}


def test_balance_labels_prompts_by_itself(file: Path) -> None:
    done = augtui("balance", "--file", file, "--size", "50", "-q")
    assert done.returncode == 0, done.stderr
    facts = [line["augtui"]["balance"] for line in rows(done.stdout)]
    assert len(facts) == 50
    assert {one["by"] for one in facts} == {"classifier"}
    assert {one["label"] for one in facts if one["line"] == 1} == {"Writing"}
    again = augtui("balance", "--file", "-", "--size", "50", "-q", stdin=file.read_bytes())
    assert rows(again.stdout) == rows(done.stdout)


def test_steps_leave_their_facts_beside_each_other(file: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    assert augtui("dedupe", "--file", file, "-o", first, "-q").returncode == 0
    assert augtui("balance", "--file", first, "-o", second, "--size", "3", "-q").returncode == 0
    done = augtui("balance", "--file", second, "--label-field", "augtui.balance.label", "-q")
    facts = [line["augtui"] for line in rows(done.stdout)]
    assert all(set(one) == {"dedupe", "balance"} and one["balance"]["by"] == "field" for one in facts)


def test_check_drops_what_breaks_a_rule_and_takes_limits(file: Path, tmp_path: Path) -> None:
    dropped, limits = tmp_path / "dropped.jsonl", tmp_path / "limits.toml"
    done = augtui("check", "--file", file, "--dropped", dropped, "-q")
    assert done.returncode == 0, done.stderr
    assert [line["id"] for line in rows(done.stdout)] == ["a", "b", "c", "e"]
    facts = rows(dropped)[0]["augtui"]["check"]
    assert (facts["reason"], list(facts["faults"])) == ("refusal", ["refusal"])
    limits.write_text("instruction_min = 5\n")
    done = augtui(
        "check", "--file", file, "--rules", "length,copy", "--limits", limits, "--set", "response_max=2", "-q"
    )
    assert [line["id"] for line in rows(done.stdout)] == ["b"]


def test_broken_lines_are_set_aside_and_the_exit_code_says_so(file: Path, tmp_path: Path) -> None:
    file.write_text(file.read_text() + '{"instruction": \n\x1b[31m{"no": 1}\n')
    for command in ("dedupe", "balance", "check"):
        done = augtui(command, "--file", file, "-o", tmp_path / "out.jsonl")
        assert done.returncode == 4, (command, done.stderr)
        assert b"2 lines of the input set aside" in done.stderr
        assert b"\x1b" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["dedupe", "--method", "magic"], 2, b"methods: exact, minhash, rouge-l, embedding"),
        (["dedupe", "--threshold", "0"], 2, b"above 0"),
        (["dedupe", "--on", "answers"], 2, b"--on is one of"),
        (["decontaminate", "--against", "nowhere.jsonl"], 2, b"nowhere.jsonl: no such file"),
        (["decontaminate", "--against", "x", "--near", "far"], 2, b"near matches"),
        (["balance", "--mix", "nowhere.toml"], 2, b"nowhere.toml: no such file"),
        (["balance", "--shortage", "steal"], 2, b"--shortage is one of"),
        (["balance", "--shortage", "expand"], 2, b"--seeds"),
        (["check", "--rules", "nice"], 2, b"rules: empty, length"),
        (["check", "--set", "copy"], 2, b"NAME=VALUE"),
        (["check", "--set", "beauty=1"], 2, b"limits: instruction_min"),
        (["check", "--rules", "copy", "--without", "copy"], 2, b"no rule is left"),
        (["dedupe", "--dropped", "/no/such/folder/x"], 1, b"folder does not exist"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line_or_two(
    file: Path, arguments: list[str], code: int, told: bytes
) -> None:
    before = sorted(file.parent.iterdir())
    done = augtui(arguments[0], "--file", file, *arguments[1:])
    assert (done.returncode, done.stdout) == (code, b"")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert sorted(file.parent.iterdir()) == before


def test_two_outputs_in_one_file_are_refused_and_the_input_may_be_replaced(file: Path) -> None:
    done = augtui("dedupe", "--file", file, "-o", file, "--dropped", file)
    assert (done.returncode, b"same file" in done.stderr) == (2, True)
    assert len(rows(file)) == 5
    assert augtui("dedupe", "--file", file, "-o", file, "-q").returncode == 0
    assert [line["id"] for line in rows(file)] == ["a", "c", "d"]


def test_a_full_disk_leaves_no_output(file: Path) -> None:
    done = augtui("dedupe", "--file", file, "-o", "/dev/full")
    assert done.returncode == 1
    assert b"no space left" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    target = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "augtui", "dedupe", "--file", str(pipe), "-o", str(target)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE)
    with pipe.open("wb") as writer:
        writer.write(b'{"prompt": "x"}\n' * 10_000)
        writer.flush()
        time.sleep(0.3)
        running.send_signal(number)
        running.wait(30)
    assert running.returncode in (130, -number)
    assert sorted(tmp_path.iterdir()) == [pipe]


def test_a_file_without_any_record_is_no_failure_of_the_whole(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"instruction": ""}\n' * 3)
    for command in ("dedupe", "balance", "check"):
        done = augtui(command, "--file", file, "--json")
        assert (done.returncode, done.stdout) == (4, b"")
        summary = json.loads(done.stderr.splitlines()[-1])
        assert (summary["total"], summary["quarantined"]) == (0, 3)
