"""Files and folders: formats, splits, and all or nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from augtui.domain.records import Quarantined
from augtui.errors import OutputError, UsageError
from augtui.pipelines.exports import card, formats, rows, writer
from augtui.pipelines.exports.card import CardFacts
from augtui.pipelines.exports.rows import TrainingRow
from augtui.store.browse import Filters
from augtui.store.projects import Project

TALK = TrainingRow("t", "And?", "End.", "Be brief.", (("Hi", "Hello"),), "Bad.", "f")
PLAIN = TrainingRow("p", "Ask", "Answer")


def shape(format: str, row: TrainingRow) -> object:
    return formats.FORMATS[format].shape(row)


def test_each_format_has_its_tools_fields() -> None:
    chat = [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "And?"},
    ]  # fmt: skip
    end = {"role": "assistant", "content": "End."}
    assert shape("alpaca", PLAIN) == {"instruction": "Ask", "input": "", "output": "Answer"}
    assert shape("alpaca", TALK) == {
        "instruction": "And?", "input": "", "output": "End.", "system": "Be brief.", "history": [["Hi", "Hello"]],
    }  # fmt: skip
    assert shape("messages", TALK) == {"messages": [*chat, end]}
    assert shape("trl-sft", PLAIN) == {"prompt": "Ask", "completion": "Answer"}
    assert shape("trl-sft-chat", TALK) == {"prompt": chat, "completion": [end]}
    assert shape("trl-dpo-chat", TALK) == {
        "prompt": chat, "chosen": [end], "rejected": [{"role": "assistant", "content": "Bad."}],
    }  # fmt: skip
    talk = shape("sharegpt", TALK)
    assert isinstance(talk, dict)
    assert [turn["from"] for turn in talk["conversations"]] == ["system", "human", "gpt", "human", "gpt"]
    for format, row, reason in (
        ("trl-sft", TALK, formats.NEEDS_TURNS), ("trl-dpo", PLAIN, formats.NO_REJECTED),
        ("messages", TrainingRow("x", "Ask", " "), formats.NO_RESPONSE), ("trl-dpo", TALK, formats.NEEDS_TURNS),
    ):  # fmt: skip
        with pytest.raises(formats.LeftOut) as caught:
            shape(format, row)
        assert caught.value.reason == reason


@pytest.mark.parametrize("format", formats.FORMATS)
@pytest.mark.parametrize("validation", [0.0, 0.3])
def test_every_row_is_written_or_accounted_for(
    project: Project, tmp_path: Path, format: str, validation: float
) -> None:
    target = tmp_path / "out"
    aside = Quarantined(9, "broken JSON")
    found = [*rows.of_project(project, Filters()), aside]
    report = writer.write(found, format, target, validation=validation, seed=3)
    assert report.rows + sum(report.left_out.values()) == len(found) - 1
    assert report.quarantined == {"broken JSON": 1}
    if validation and report.rows > 3:
        assert 0 < report.written["validation"] <= round(validation * report.rows)
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    json.dumps(report.as_json())


def test_relatives_are_never_parted(project: Project, tmp_path: Path) -> None:
    for seed in range(12):
        writer.write(rows.of_project(project, Filters()), "jsonl", tmp_path / "a.jsonl", validation=0.5, seed=seed)
        families = [
            {json.loads(line)["family"] for line in (tmp_path / name).read_text().splitlines()}
            for name in ("a.jsonl", "a.validation.jsonl")
        ]
        assert families[1]
        assert families[0].isdisjoint(families[1])


def test_the_same_rows_give_the_same_bytes(project: Project, tmp_path: Path) -> None:
    for format in formats.FORMATS:
        for name in "ab":
            writer.write(rows.of_project(project, Filters()), format, tmp_path / f"{format}-{name}", validation=0.3)
        one, other = (tmp_path / f"{format}-{name}" for name in "ab")
        pairs = [(path, other / path.relative_to(one)) for path in one.rglob("*")] if one.is_dir() else [(one, other)]
        assert all(path.read_bytes() == twin.read_bytes() for path, twin in pairs if path.is_file())


def test_wrong_wishes_are_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown format"):
        writer.write([PLAIN], "xml", tmp_path / "a")
    with pytest.raises(UsageError, match="share"):
        writer.write([PLAIN], "jsonl", tmp_path / "a", validation=0.7)
    with pytest.raises(OutputError, match="does not exist"):
        writer.write([PLAIN], "jsonl", tmp_path / "none" / "a")
    assert list(tmp_path.iterdir()) == []


def broken() -> Iterator[TrainingRow]:
    yield PLAIN
    raise RuntimeError("the source broke")


@pytest.mark.parametrize("validation", [0.0, 0.5])
@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet", "alpaca", "hf-dataset"])
def test_a_broken_source_leaves_what_was_there(tmp_path: Path, format: str, validation: float) -> None:
    target = tmp_path / "out"
    writer.write([PLAIN, TALK, PLAIN], format, target, validation=validation)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RuntimeError):
        writer.write(broken(), format, target, validation=validation)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_full_disk_is_one_readable_error(tmp_path: Path) -> None:
    program = f"""
import resource, signal
from augtui.errors import OutputError
from augtui.pipelines.exports import writer
from augtui.pipelines.exports.rows import TrainingRow
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for format in ("jsonl", "csv", "parquet", "hf-dataset"):
    rows = (TrainingRow(str(n), str(n * 7919 ** 20), str(n * 104729 ** 30), language="en") for n in range(40_000))
    try:
        writer.write(rows, format, {str(tmp_path / "out")!r})
    except OutputError as error:
        print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.count("the file would be larger than allowed") + done.stdout.count("cannot be written") >= 4
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_export_is_never_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "README.md").write_text("mine")
    with pytest.raises(OutputError, match="no export of augtui's"):
        writer.write([PLAIN], "hf-dataset", precious)
    assert (precious / "README.md").read_text() == "mine"
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        writer.write([PLAIN], "hf-dataset", tmp_path / "file")
    empty = tmp_path / "empty"
    empty.mkdir()
    writer.write([PLAIN], "hf-dataset", empty)
    writer.write([TALK, PLAIN], "hf-dataset", empty)
    (empty / "notes.txt").write_text("x")
    with pytest.raises(OutputError):
        writer.write([PLAIN], "hf-dataset", empty)


def test_the_card_says_what_is_in_it(project: Project, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    facts = CardFacts(
        "My [data]\n---\nx: 1", licences={"rows.jsonl": "mit", "hf:me/data/a.jsonl@1234": "cc0-1.0"}, notes=["Note."]
    )
    writer.write(rows.of_project(project, Filters()), "hf-dataset", tmp_path / "d", facts=facts, validation=0.3)
    text = (tmp_path / "d" / "README.md").read_text()
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["license"] == ["cc0-1.0", "mit"]
    assert header["size_categories"] == ["n<1K"]
    assert "synthetic" in header["tags"]
    assert header["pretty_name"] == "My [data] --- x: 1"
    assert [entry["split"] for entry in header["configs"][0]["data_files"]] == ["train", "validation"]
    for wanted in (
        "model-refine",
        "`sha-refine`",
        "refine@",
        "rows.jsonl",
        "written by language models",
        "Note.",
        card.SIGN,
    ):
        assert wanted in text
    assert "/home/somebody" not in text


def test_hostile_names_are_no_markup_on_the_card(tmp_path: Path) -> None:
    row = TrainingRow(
        "x", "a", "b", provenance={"source": "a|b\n# Title <script>", "model": "`x`\x1b[31m", "model_sha256": "|"}
    )
    writer.write([row], "hf-dataset", tmp_path / "d")
    text = (tmp_path / "d" / "README.md").read_text()
    assert "\x1b" not in text
    assert "<script>" not in text
    assert "\n# Title" not in text


def test_an_empty_export_is_an_empty_file(tmp_path: Path) -> None:
    for format in formats.FORMATS:
        report = writer.write([], format, tmp_path / format, validation=0.1)
        assert report.written == {"train": 0, "validation": 0}
    assert json.loads((tmp_path / "alpaca").read_text()) == []
    assert (tmp_path / "csv").read_text().count("\n") == 1
