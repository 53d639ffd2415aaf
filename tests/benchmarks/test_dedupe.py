"""The benchmarks of selecting, on a few rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import decontaminate, dedupe


def test_dedupe_compares_equal_keep_lists(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rouge_score", reason="rouge-score is not installed: pip install 'augtui[bench]'")
    file = shared_data / "seeds/self_instruct_seed_tasks.jsonl"
    dedupe.main([str(file), "--sample", "60", "--slow", "20", "--rounds", "2"])
    result = json.loads(capsys.readouterr().out)
    assert result["file"]["rows"] == 175
    assert result["against"]["rouge_score"]["rows"] == 20
    assert result["against"]["loop"]["ratio"]["median"] > 0


def test_decontaminate_finds_what_was_planted(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decontaminate.main([str(shared_data), "--records", "2500", "--tests", "300"])
    result = json.loads(capsys.readouterr().out)
    assert (result["records"], result["tests"]) == (2500, 300)
    assert result["planted"] == result["planted_found"] == 3
