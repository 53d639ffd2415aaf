"""A pipeline killed a few times in every test run; the campaign is `python -m tests.reliability.pipeline_kills`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.reliability.pipeline_kills import campaign

FAST = [
    "--max-tokens",
    "16",
    "--retries",
    "0",
    "--slots",
    "4",
    "--threads",
    "1",
    "--set",
    "pairs.count=2",
    "--set",
    "expand.count=1",
]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for engines left behind in /proc")
def test_a_killed_pipeline_ends_as_an_undisturbed_one_does(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    rows = [{"instruction": f"Describe place number {n} for a guide book.", "output": f"Place {n}."} for n in range(5)]
    seeds.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = campaign(seeds, 3, FAST)
    assert report.kills == 3
    assert report.clean, report.lines()
    assert report.counts["items"] > 10
