"""`augtui compare` as a person runs it, on real models."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_commands import augtui


def test_two_models_are_asked_the_same(home: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("list 3 facts about rain\nexplain tcp\n")
    page = tmp_path / "page.md"
    done = augtui(
        "compare", "default", "default", "-f", tmp_path / "prompts.txt", "--max-tokens", "48", "--json", "-o", page
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # Nothing but the weights can make a difference, and these are the same.
    assert (found["same"], found["lost"], found["won"], len(found["pairs"])) == (2, 0, 0, 2)
    assert "default 2/2" in done.stderr.decode() and "# default → default: refine" in page.read_text()
    (kept,) = (home / "comparisons").glob("*.json")
    assert json.loads(kept.read_text()) == found


def test_what_cannot_be_compared_is_said_before_a_model_is_loaded(home: Path, tmp_path: Path) -> None:
    for words, code, said in (
        (("default", "no-such-model"), 3, "no-such-model"),
        (("default", "default", "--task", "pairs"), 2, "refine or expand"),
        (("default", "default", "-o", "x.txt"), 2, ".json or .md"),
        (("default", "default", "-o", tmp_path / "none" / "x.md"), 1, "folder does not exist"),
        (("default", "default", "--limit", "3"), 2, "--file"),
    ):
        done = augtui("compare", *words)
        assert done.returncode == code and said in done.stderr.decode(), (words, done.stderr)
