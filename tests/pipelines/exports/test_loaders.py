"""Every export is loaded by the tool that it is for: datasets, pandas, pyarrow, TRL, our own importer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from augtui.pipelines.exports import formats, rows, writer
from augtui.pipelines.exports.rows import TrainingRow
from augtui.store.browse import Filters
from augtui.store.projects import Project

datasets = pytest.importorskip("datasets")
pandas = pytest.importorskip("pandas")


MORE = [TrainingRow(f"m{n}", f"More {n}", f"Answer {n}", rejected=f"Worse {n}", family=f"m{n}", language="en",
                    provenance={f"key {n}": n}) for n in range(12)]  # fmt: skip


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets.disable_progress_bars()
    yield


@pytest.fixture
def exported(project: Project, tmp_path: Path) -> dict[str, Path]:
    """Each format, written with a validation split."""
    found: dict[str, Path] = {}
    for format, made in formats.FORMATS.items():
        suffix = writer.SUFFIXES[made.container]
        found[format] = tmp_path / f"{format}{suffix}"
        chosen = rows.pairs_of_project if format in formats.PREFERENCES else rows.of_project
        writer.write(chain(chosen(project, Filters()), MORE), format, found[format], validation=0.3)
    return found


def load(kind: str, path: Path, tmp_path: Path) -> Any:
    files = {"train": str(path), "validation": str(writer.validation_path(path))}
    if kind == "csv":  # which has no types: a column that is empty in one file would be one of numbers there
        texts = datasets.Features({name: datasets.Value("string") for name in formats.COLUMNS})
        return datasets.load_dataset(kind, data_files=files, features=texts, cache_dir=str(tmp_path / "cache"))
    return datasets.load_dataset(kind, data_files=files, cache_dir=str(tmp_path / "cache"))


def test_datasets_loads_all_files(exported: dict[str, Path], tmp_path: Path) -> None:
    for format, path in exported.items():
        made = formats.FORMATS[format]
        if made.container == "folder":
            loaded = datasets.load_dataset(str(path), cache_dir=str(tmp_path / "cache"))
        else:
            kind = {"jsonl": "json", "array": "json"}.get(made.container, made.container)
            loaded = load(kind, path, tmp_path)
        assert set(loaded) == {"train", "validation"}, format
        assert len(loaded["train"]) > len(loaded["validation"]) > 0, format
    folder = datasets.load_dataset(str(exported["hf-dataset"]), cache_dir=str(tmp_path / "cache"))
    assert folder["train"].column_names == list(formats.COLUMNS)
    both = [*folder["train"], *folder["validation"]]
    assert {row["instruction"] for row in both} >= {"Seed 0", "=1+1", "And then?"}
    talk = next(row for row in both if row["instruction"] == "And then?")
    assert talk["history"] == [["A story", "Once …"]]
    assert json.loads(talk["provenance"])["source"] == "hf:me/data/a.jsonl@1234"


def test_trl_understands_what_is_for_it(exported: dict[str, Path], tmp_path: Path) -> None:
    data_utils = pytest.importorskip("trl.data_utils")
    transformers = pytest.importorskip("transformers")
    tokenizer = _tokenizer(transformers)
    keys = {
        "messages": ({"messages"}, True),
        "trl-sft": ({"prompt", "completion"}, False),
        "trl-sft-chat": ({"prompt", "completion"}, True),
        "trl-dpo": ({"prompt", "chosen", "rejected"}, False),
        "trl-dpo-chat": ({"prompt", "chosen", "rejected"}, True),
    }
    for format, (fields, is_chat) in keys.items():
        loaded = load("json", exported[format], tmp_path)["train"]
        assert set(loaded.column_names) == fields, format
        for example in loaded:
            assert data_utils.is_conversational(example) is is_chat, format
            rendered = data_utils.maybe_apply_chat_template(dict(example), tokenizer)
            texts = [text for text in rendered.values() if isinstance(text, str)]
            assert texts
            if is_chat:
                assert all("<|im_start|>" in texts[0] for _ in texts[:1])
            if "rejected" in fields:
                assert rendered["chosen"] != rendered["rejected"]
                # What `extract_prompt` finds in an implicit prompt is what we wrote explicitly.
                assert data_utils.maybe_extract_prompt(dict(example)) == dict(example)


def _tokenizer(transformers: Any) -> Any:
    """A tokenizer of three words with ChatML's template: what TRL needs of one."""
    from tokenizers import Tokenizer, models

    words = Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>")
    tokenizer.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    return tokenizer


def test_pandas_reads_the_tables(exported: dict[str, Path]) -> None:
    table = pandas.read_csv(exported["csv"], dtype=str, keep_default_na=False)
    assert list(table.columns) == list(formats.COLUMNS)
    parquet = pandas.read_parquet(exported["parquet"])
    assert list(parquet["instruction"].str.replace("=", "'=")) == list(table["instruction"])
    lines = pandas.read_json(exported["jsonl"], lines=True)
    assert list(lines["instruction"]) == list(parquet["instruction"])
    assert len(pandas.read_json(exported["alpaca"])) > 0


def test_our_own_importer_reads_every_format_back(project: Project, exported: dict[str, Path]) -> None:
    originals = {row.instruction: row for row in chain(rows.of_project(project, Filters()), MORE)}
    for format, path in exported.items():
        made = formats.FORMATS[format]
        files = sorted(path.glob("data/*")) if path.is_dir() else [path, writer.validation_path(path)]
        read = [row for file in files for row in rows.of_path(file, choice="last")]
        back = [row for row in read if isinstance(row, TrainingRow)]
        assert len(back) == len(read) > 0, format
        for row in back:
            original = originals.get(row.instruction)
            if format in formats.PREFERENCES or original is None:
                assert row.rejected
                continue
            assert row.response == original.response, format
            assert (row.system, row.history) == (original.system, original.history), format
            if made.shape in (formats.record, formats.flat):
                assert row == original, format


def test_ten_thousand_real_rows(shared_data: Path, tmp_path: Path) -> None:
    """Rows of all kinds, in one file, by way of each container, come back the same."""
    names = ("collect/oasst1_sft_zh.json", "train/oasst1_preference_zh.json", "collect/alpaca_cleaned_1000.json",
             "seeds/self_instruct_seed_tasks.jsonl", "train/dolly_6400_instructions.jsonl")  # fmt: skip
    all_rows = [row for name in names for row in rows.of_path(shared_data / name) if isinstance(row, TrainingRow)]
    for format in ("jsonl", "csv", "parquet"):
        target = tmp_path / f"all.{format}"
        assert writer.write(all_rows, format, target).rows == len(all_rows)
        back = list(rows.of_path(target))
        assert len(back) == len(all_rows)
        different = [(a, b) for a, b in zip(all_rows, back, strict=True) if a != b]
        assert different == []
    sizes = {name: (tmp_path / f"all.{name}").stat().st_size for name in ("parquet", "jsonl")}
    assert sizes["parquet"] < sizes["jsonl"] / 2
