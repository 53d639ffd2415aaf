"""What the commands that select share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from augtui.cli.sifting import Sieve
from augtui.errors import InputError
from augtui.pipelines.decisions import KEPT
from augtui.pipelines.originals import annotated, at


@pytest.mark.parametrize("more", ['{"prompt": "c"}\n', ""])
def test_a_file_that_changes_while_it_is_read_gives_no_output(tmp_path: Path, more: str) -> None:
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    file.write_text('{"prompt": "a"}\n{"prompt": "b"}\n')
    with (
        pytest.raises(InputError, match="changed while it was read"),
        Sieve("dedupe", str(file), outputs=[str(out)], quiet=True) as sieve,
    ):
        decisions = [KEPT for _ in sieve.records()]
        file.write_text('{"prompt": "a"}\n{"prompt": "x"}\n' + more)
        sieve.write(decisions, {}, str(out))
    assert sorted(tmp_path.iterdir()) == [file]


def test_rows_that_are_no_objects_become_objects(tmp_path: Path) -> None:
    file, out = tmp_path / "rows.json", tmp_path / "out.jsonl"
    file.write_text('["one", ["two", "answer", "more"], {"prompt": "three", "augtui": 7}]')
    with Sieve("check", str(file), outputs=[str(out)], quiet=True) as sieve:
        sieve.write([KEPT for _ in sieve.records()], {"rules": []}, str(out))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [{name: line[name] for name in line if name != "augtui"} for line in lines] == [
        {"instruction": "one"}, {"instruction": "two", "response": "answer"}, {"prompt": "three"},
    ]  # fmt: skip
    assert lines[2]["augtui"]["given"] == 7
    assert [line["augtui"]["check"]["line"] for line in lines] == [1, 2, 3]


def test_facts_and_paths() -> None:
    row = annotated({"a": 1}, "dedupe", {"x": 1})
    row = annotated(row, "check", {"y": {"z": None}})
    assert row == {"a": 1, "augtui": {"dedupe": {"x": 1}, "check": {"y": {"z": None}}}}
    assert at(row, "augtui.dedupe.x") == 1
    assert at(row, "augtui.check.y.z.deeper") is None
    assert at({"a.b": 2, "a": {"b": 3}}, "a.b") == 2
