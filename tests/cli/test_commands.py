"""The commands as a user runs them: in a process of their own, on real files, with the default model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROMPTS = ["Write a poem about the sea", "Explain how a bicycle stays upright", "List 5 uses of a brick"]
MANY = 600
"""Records that keep the default model busy for a while."""
FAST = ["--max-tokens", "24", "--retries", "0", "--slots", "4"]


def augtui(*arguments: object, stdin: bytes | None = None, timeout: float = 120) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "augtui", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=timeout, check=False)


def rows(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.decode().splitlines()]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"id": f"p{n}", "prompt": text}) + "\n" for n, text in enumerate(PROMPTS)))
    return path


def test_refine_writes_a_line_for_every_record_in_order(prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = augtui("refine", "--file", prompts, "-o", out, *FAST)
    assert done.returncode in (0, 4), done.stderr
    assert done.stdout == b""
    lines = rows(out.read_bytes())
    assert [line["id"] for line in lines] == ["p0", "p1", "p2"]
    assert [line["instruction"] for line in lines] == PROMPTS
    for line in lines:
        assert set(line) == {"id", "instruction", "refined", "status", "reason", "provenance"}
        assert line["status"] in ("accepted", "kept_original", "failed")
        assert (line["reason"] is None) == (line["status"] == "accepted")
        assert len(line["provenance"]["model_sha256"]) == 64
        assert line["provenance"]["template"].startswith("refine-hinted@")


def test_the_same_command_again_is_the_same_run_and_gives_the_same_output(prompts: Path) -> None:
    first = augtui("refine", "--file", prompts, "--json", *FAST)
    second = augtui("refine", "--file", prompts, "--json", *FAST)
    assert first.stdout == second.stdout
    summary = json.loads(second.stderr.splitlines()[-1])
    assert summary["done_before"] == 3
    assert summary["run"] == 1


def test_expand_gives_n_new_lines_for_each(prompts: Path) -> None:
    done = augtui("expand", "--file", prompts, "-n", 2, "--similarity", "1", "--max-tokens", 32, "--retries", 0, "-q")
    lines = rows(done.stdout)
    assert [line["source_id"] for line in lines] == ["p0", "p0", "p1", "p1", "p2", "p2"]
    for line in lines:
        assert set(line) == {"id", "instruction", "source_id", "source", "status", "reason", "provenance"}
        assert line["provenance"]["paper_table"] == 10


def test_a_pipe_is_read_and_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    text = "".join(f"Describe animal number {number}\n" for number in range(30))
    command = f"set -o pipefail; {sys.executable} -m augtui refine --file - {' '.join(FAST)} -q | head -3"
    done = subprocess.run(["bash", "-c", command], input=text.encode(), capture_output=True, timeout=120, check=False)
    assert done.returncode == 0
    assert [line["instruction"] for line in rows(done.stdout)] == [f"Describe animal number {n}" for n in range(3)]
    assert done.stderr == b""
    assert list((Path(os.environ["AUGTUI_HOME"]) / "logs").iterdir()) == []


def test_an_empty_pipe_is_called_what_the_user_calls_it() -> None:
    done = augtui("refine", "--file", "-", "-q", stdin=b"")
    assert (done.returncode, done.stderr) == (2, b"augtui: standard input holds no rows\n")


def test_results_fit_any_encoding_of_the_output(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("写一首关于大海的诗，要求押韵，并且包含三种颜色。\n", encoding="utf-8")
    command = [sys.executable, "-m", "augtui", "refine", "--file", str(path), "-q", *FAST]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert rows(done.stdout)[0]["instruction"] == path.read_text(encoding="utf-8").strip()


def test_bad_lines_are_set_aside_with_their_numbers_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    lines = [b'{"prompt": "Name a colour"}', b'{"prompt": ', b"", b'{"prompt": "\xff"}', b'{"prompt": "\\ud800"}']
    path.write_bytes(b"\n".join([*lines, b'{"prompt": " "}', b'{"prompt": "Name a fruit"}']) + b"\n")
    done = augtui("refine", "--file", path, *FAST)
    assert done.returncode == 4
    assert [line["instruction"] for line in rows(done.stdout)] == ["Name a colour", "Name a fruit"]
    report = done.stderr.decode()
    assert "4 lines of the input set aside" in report
    for place in ("line 2: broken JSON", "line 4: not UTF-8", "line 5: lone surrogate", "line 6: empty"):
        assert place in report
    shown = augtui("runs", "show", 1, "--json")
    assert [line["line"] for line in json.loads(shown.stdout)["quarantined"]] == [2, 4, 5, 6]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--file", "missing.jsonl"], 2, "no such file"),
        (["--file", "."], 2, "is a folder"),
        (["--file", "{prompts}", "-m", "missing.gguf"], 3, "no such model file"),
        (["--file", "{prompts}", "-m", "nonsense"], 3, "no model"),
        (["--file", "{prompts}", "-m", "{prompts}"], 3, "not a GGUF file"),
        (["--file", "{prompts}", "-o", "/nowhere/at/all.jsonl"], 1, "the folder does not exist"),
        (["--file", "{prompts}", "--temperature", "-1"], 2, "temperature"),
        (["--file", "{prompts}", "--guard", "loose"], 2, "guard"),
        (["--file", "{prompts}", "--field", "nope"], 2, "'nope'"),
        (["--file", "{prompts}", "--project", "no good"], 2, "no good"),
        ([], 2, "--file"),
    ],
)
def test_a_mistake_is_one_clear_line(prompts: Path, arguments: list[str], code: int, message: str) -> None:
    done = augtui("refine", *[argument.format(prompts=prompts) for argument in arguments])
    assert (done.returncode, "Traceback" in done.stderr.decode()) == (code, False)
    assert message in done.stderr.decode()
    assert done.stdout == b""


def test_ctrl_c_stops_cleanly_says_how_to_go_on_and_the_same_command_does(tmp_path: Path) -> None:
    path = tmp_path / "many.txt"
    path.write_text("".join(f"Describe city number {number}\n" for number in range(MANY)))
    command = [sys.executable, "-m", "augtui", "refine", "--file", str(path), *FAST]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()  # the first result is there, and many are not
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        said = process.stderr.read().decode()
    assert process.returncode == 130
    assert "run the same command again" in said
    done = subprocess.run([*command, "--json"], capture_output=True, timeout=300, check=False)
    assert done.returncode in (0, 4)
    assert json.loads(done.stderr.splitlines()[-1])["done_before"] > 0
    assert len(rows(done.stdout)) == MANY


def test_two_processes_do_not_work_on_the_same_run(tmp_path: Path) -> None:
    path = tmp_path / "many.txt"
    path.write_text("".join(f"Describe river number {number}\n" for number in range(MANY)))
    command = [sys.executable, "-m", "augtui", "refine", "--file", str(path), "-o", str(tmp_path / "o"), *FAST]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if f"/{MANY} ".encode() in line:
                break
        second = augtui(*command[3:])
        process.kill()
    assert second.returncode == 1
    assert f"is being worked on by process {process.pid}" in second.stderr.decode()


def test_help_loads_neither_llama_cpp_nor_textual() -> None:
    program = """
import sys
from augtui.cli.main import entry
sys.argv = ["augtui", "--help"]
try:
    entry()
except SystemExit as end:
    code = end.code
heavy = {"llama_cpp", "textual", "numpy", "jinja2", "sqlite_utils", "pydantic_settings", "rich", "huggingface_hub"}
print(code, sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "0 []"
    assert "refine" in done.stdout


def test_refine_itself_never_loads_llama_cpp_into_the_parent(prompts: Path) -> None:
    program = f"""
import sys
from augtui.cli.main import entry
sys.argv = ["augtui", "refine", "--file", {str(prompts)!r}, "-q", *{FAST!r}]
try:
    entry()
except SystemExit:
    pass
print([name for name in ("llama_cpp", "torch", "textual") if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr.splitlines()[-1] == "[]"
    assert len(done.stdout.splitlines()) == 3


def test_settings_come_from_flags_then_variables_then_the_file(prompts: Path, home: Path) -> None:
    (home / "config.toml").write_text('seed = 5\nproject = "from-file"\nmax_tokens = 16\nretries = 0\n')
    done = augtui("refine", "--file", prompts, "-q")
    assert rows(done.stdout)[0]["provenance"]["tries"] == 1
    assert (home / "projects" / "from-file.db").exists()
    environment = {**os.environ, "AUGTUI_PROJECT": "from-variable"}
    command = [sys.executable, "-m", "augtui", "refine", "--file", str(prompts), "-q"]
    subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert (home / "projects" / "from-variable.db").exists()
    subprocess.run([*command, "-p", "from-flag"], env=environment, capture_output=True, timeout=120, check=False)
    assert (home / "projects" / "from-flag.db").exists()


def test_the_deterministic_mode_gives_the_same_lines_with_any_number_of_slots(prompts: Path) -> None:
    found = []
    for slots, project in ((1, "one"), (7, "seven")):
        done = augtui(
            "refine", "--file", str(prompts), "--deterministic", "--slots", str(slots), "-p", project,
            "--max-tokens", "40", "--temperature", "0.9", "--retries", "1",
        )  # fmt: skip
        assert done.returncode in (0, 4)
        found.append([(row["refined"], row["status"], row["reason"]) for row in rows(done.stdout)])
    assert found[0] == found[1]


def test_an_adapter_that_does_not_fit_is_one_clear_line(prompts: Path, default_model: Path) -> None:
    done = augtui("refine", "--file", str(prompts), "--adapter", str(default_model))
    assert done.returncode == 3
    assert "adapter" in done.stderr.decode()
    missing = augtui("refine", "--file", str(prompts), "--adapter", "no-such.gguf")
    assert missing.returncode == 3
    assert "no-such.gguf" in missing.stderr.decode()
