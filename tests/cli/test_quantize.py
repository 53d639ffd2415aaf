"""`augtui quantize` as a user runs it: handed on to the annex, and the audit on the default model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gguf")


def augtui(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "augtui", "quantize", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd)


def test_a_conversion_is_handed_on(default_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    done = augtui(default_model, "-o", out, "--type", "Q6_K", "--requantize")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert out.read_bytes()[:4] == b"GGUF"
    again = augtui("convert", default_model, "-o", out, "--type", "Q6_K", "-q")
    assert again.returncode == 2
    assert "requantizing" in again.stderr


@pytest.mark.parametrize("name", ["convert", "adapter", "imatrix", "compare", "verify"])
def test_help_is_the_annexs(name: str) -> None:
    done = augtui(name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: augtui quantize")


def test_what_lies_in_the_folder_is_not_run(default_model: Path, tmp_path: Path) -> None:
    for name in ("quantize.py", "gguf.py", "numpy.py"):
        (tmp_path / name).write_text("raise SystemExit('ran what lay about')")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-P", "-m", "augtui", "quantize", "convert", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("Name a colour\nWrite a short poem about rain\n请写一首诗\n")
    return path


def test_an_audit_makes_asks_and_compares(prompts: Path, tmp_path: Path) -> None:
    done = augtui("audit", "--file", prompts, "--types", "Q4_K_M,F16", "--max-tokens", 40, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["model"], report["task"], report["prompts"], report["asked"]) == ("default", "refine", 3, 3)
    base, four, half = report["rows"]
    assert [row["name"] for row in report["rows"]] == ["Q8_0", "Q4_K_M", "F16"]
    assert four["bytes"] < base["bytes"] < half["bytes"]
    assert base["exact"] is None
    assert half["exact"]["cases"] == 3
    assert 0 <= four["rouge_l"] <= 1
    assert all(row["answers"] == 3 and row["tokens_per_second"] > 0 for row in report["rows"])
    # The files that were made are gone.
    assert not list(Path(os.environ["AUGTUI_HOME"]).glob("audit-*"))
    assert "making Q4_K_M" in done.stderr


def test_an_audits_table_and_files_that_are_kept(prompts: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    options = ["--file", prompts, "--types", "Q4_0", "--max-tokens", 8, "-q", "--keep", kept]
    done = augtui("audit", *options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("default: refine, 3 prompts, greedy")
    assert [line.split()[0] for line in lines[3:5]] == ["Q8_0", "Q4_0"]
    assert [path.name for path in kept.iterdir()] == ["augtui-nano-q8_0-q4_0.gguf"]
    path = next(kept.iterdir())
    stamp = path.stat().st_mtime_ns
    assert augtui("audit", *options).returncode == 0
    assert path.stat().st_mtime_ns == stamp  # not made again
    again = augtui("audit", "--file", prompts, "--types", path, "--max-tokens", 8, "--json", "-q")
    assert json.loads(again.stdout)["rows"][1]["name"] == "Q4_0"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--task", "pairs"], 2, "refine or expand"),
        (["--types", ","], 2, "names no type"),
        (["--types", "Q9_Z"], 3, "unknown type"),
        (["--keep", "absent"], 1, "no such folder"),
        (["-m", "absent.gguf"], 3, "no such model"),
        (["--file", "absent.txt"], 2, "absent.txt"),
    ],
)
def test_mistakes_are_told(options: list[str], code: int, message: str) -> None:
    done = augtui("audit", *options)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
