"""A user's own templates and accepted records become training chats, and what does not fit is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from augtui.domain.guard import Strictness, guard
from training.nano.own import main
from training.nano.sources import builtin_sources, own_examples
from training.nano.teacher import OWN, own_chat, stream

TEMPLATES = """
[pools]
part = "pump; valve; heat exchanger"

[[type]]
name = "maintenance"
noun = "procedure"
aspects = ["the tools that are needed", "the steps in order", "how to test the result"]
rules = ["Name every tool.", "Warn of pressure and heat.", "End with a test run."]
forms = ["How do I replace the {part}?", "Write a checklist for {s}."]
subjects = ["a new {part}", "the yearly inspection of the {part}"]
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    templates = tmp_path / "templates.toml"
    templates.write_text(TEMPLATES)
    out = tmp_path / "own.jsonl"
    assert main([str(templates), "-o", str(out), "--count", "120"]) == 0
    return out


def test_examples_are_sound_and_of_both_tasks(own: Path) -> None:
    rows = [json.loads(line) for line in own.read_text().splitlines()]
    assert len(rows) == 120
    assert {row["task"] for row in rows} == {"refine", "expand"}
    assert not [row for row in rows if "{" in row["instruction"] + row["output"]]
    for row in rows:
        assert row["instruction"] != row["output"]
        if row["task"] == "refine":
            assert not guard(row["instruction"], row["output"], Strictness.NORMAL), row


def test_half_of_the_chats_are_ones_own(own: Path) -> None:
    chats = list(stream(builtin_sources().with_own(own), 0, 300))
    outputs = {own_chat(example)["messages"][-1]["content"] for example in own_examples(own)}
    share = sum(chat["messages"][-1]["content"] in outputs for chat in chats) / len(chats)
    assert OWN - 0.12 < share < OWN + 0.12


def test_accepted_output_lines_serve_and_others_are_left_out(tmp_path: Path) -> None:
    lines = tmp_path / "refined.jsonl"
    rows = [
        {"instruction": "a", "refined": "a, better", "status": "accepted"},
        {"instruction": "b", "refined": "b", "status": "kept_original"},
        {"instruction": "new", "source": "old", "status": "accepted"},
    ]
    lines.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert own_examples(lines) == [
        {"task": "refine", "instruction": "a", "output": "a, better"},
        {"task": "expand", "instruction": "old", "output": "new"},
    ]


def test_what_is_no_example_is_named_by_its_line(tmp_path: Path) -> None:
    lines = tmp_path / "own.jsonl"
    lines.write_text('{"task": "refine", "instruction": "a", "output": "b"}\n{"task": "pairs", "instruction": "a"}\n')
    with pytest.raises(ValueError, match=r"own\.jsonl:2: not an example"):
        own_examples(lines)


def test_a_broken_templates_file_is_one_line_and_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    templates = tmp_path / "templates.toml"
    empty = '[[type]]\nname = "a"\nnoun = "b"\naspects = []\nrules = []\nforms = []\nsubjects = []\n'
    for content in ("[[type", "x = 1", empty):
        templates.write_text(content)
        assert main([str(templates), "-o", str(tmp_path / "out.jsonl")]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out.jsonl").exists()
