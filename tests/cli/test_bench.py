"""`augtui bench` as a user runs it: in a process of its own, on the default model."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

FAST = ["--max-tokens", "6"]
TOP = {
    "generated_tokens", "seconds", "tokens_per_second", "decode_tokens_per_second", "prefill_tokens_per_second",
    "first_token_s", "peak_rss_bytes", "slots", "threads", "model", "machine", "rows", "load_s", "prompts", "failed",
    "recommended_slots", "reason", "notes",
}  # fmt: skip


def augtui(*arguments: object, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "augtui", "bench", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("Name a colour\nName a fruit\nName a town\nName a river\n")
    return path


def logs() -> list[Path]:
    return list((Path(os.environ["AUGTUI_HOME"]) / "logs").iterdir())


def test_one_object_with_the_figures_of_the_only_row(prompts: Path) -> None:
    done = augtui("--file", prompts, "--slots", 2, "--json", *FAST)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert set(report) >= TOP
    row = report["rows"][0]
    assert {name: report[name] for name in row} == row
    assert len(report["rows"]) == 1
    assert (report["slots"], report["prompts"], report["model"]) == (2, 4, "default")
    assert report["recommended_slots"] is None
    assert 4 <= report["generated_tokens"] <= 24
    assert report["tokens_per_second"] == pytest.approx(report["generated_tokens"] / report["seconds"], rel=0.01)
    assert 0 < report["first_token_s"]["median"] <= report["first_token_s"]["p95"]
    assert report["peak_rss_bytes"] > 4_000_000
    assert report["machine"]["cores"] >= 1
    assert logs() == []


def test_a_table_with_a_row_for_each_number_and_advice(prompts: Path) -> None:
    done = augtui("--file", prompts, "--slots", "1", "4", "--slots=2", *FAST)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert [line.split()[:2] for line in lines if line.split()[0] in ("1", "2", "4")] == [
        ["1", "4"],
        ["2", "4"],
        ["4", "4"],
    ]
    # It may take two lines.
    assert any(line.startswith("recommended: ") for line in lines[-2:])
    assert all(len(line) <= 80 for line in lines[1:-1])
    assert [line.split(":")[1] for line in done.stderr.decode().splitlines()] == [" 1 slot", " 2 slots", " 4 slots"]


def test_the_best_row_is_on_top_and_the_same_keys_are_there(prompts: Path) -> None:
    done = augtui("--slots", "1,3", "--json", "-q", *FAST, "--file", "-", stdin=prompts.read_bytes())
    report = json.loads(done.stdout)
    assert done.stderr == b""
    best = max(report["rows"], key=lambda row: row["tokens_per_second"])
    assert report["slots"] == best["slots"]
    assert report["recommended_slots"] in (1, 3)
    assert f"{report['recommended_slots']} slot" in report["reason"]
    assert set(report) >= TOP


def test_lines_without_a_prompt_are_told(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    path.write_text('{"prompt": "Name a colour"}\n{"prompt": \n')
    done = augtui("--file", path, "--slots", 1, *FAST)
    assert done.returncode == 4
    assert b"1 lines of the input hold no prompt" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--slots", "0"], 2, "slots"),
        (["--slots", "256"], 2, "slots"),
        (["--slots", "many"], 2, "'many'"),
        (["--slots", "4", "x"], 2, "x"),
        (["4"], 2, "4"),
        (["--max-tokens", "0"], 2, "max-tokens"),
        (["--threads", "0"], 2, "threads"),
        (["--max-tokens", "100000", "--slots", "1"], 2, "--max-tokens"),
        (["--limit", "3"], 2, "--file"),
        (["--file", "missing.txt"], 2, "no such file"),
        (["-m", "missing.gguf"], 3, "no such model file"),
    ],
)
def test_a_mistake_is_one_clear_line(arguments: list[str], code: int, message: str) -> None:
    done = augtui(*arguments)
    assert (done.returncode, b"Traceback" in done.stderr) == (code, False)
    assert message in done.stderr.decode()
    assert done.stdout == b""


def children(pid: int) -> list[str]:
    """The processes that a process's threads have started."""
    return [name for path in Path(f"/proc/{pid}/task").glob("*/children") for name in path.read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="the engine's process is found by /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing_behind(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "augtui", "bench", "--slots", "1", "1,2", "--max-tokens", "900"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None and process.stdout is not None
        folder = Path(os.environ["AUGTUI_HOME"]) / "logs"
        deadline = time.monotonic() + 60
        while not (folder.is_dir() and logs() and children(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.02)
        engines = children(process.pid)
        process.send_signal(number)
        said, printed = process.stderr.read().decode(), process.stdout.read()
    assert (process.returncode, printed) == (130, b"")
    assert "interrupted" in said
    assert "Traceback" not in said
    assert logs() == []
    assert engines
    assert not [engine for engine in engines if Path(f"/proc/{engine}").exists()]


def test_a_terminal_shows_a_bar_and_gets_its_cursor_back(prompts: Path) -> None:
    command = [sys.executable, "-m", "augtui", "bench", "--file", str(prompts), "--slots", "2", *FAST]
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=child, env=environment) as process:
        os.close(child)
        shown = b""
        try:
            while chunk := os.read(parent, 65_536):
                shown += chunk
        except OSError:  # the terminal's other end is closed
            pass
        assert process.stdout is not None
        table = process.stdout.read().decode()
    os.close(parent)
    assert process.returncode == 0
    assert b"2 slots" in shown
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert "prefill" in table
