"""The labelled prompts, and the training of the task classifier."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from augtui.domain.taskwords import BUCKETS, Cues, buckets, tokens_of
from augtui.domain.taxonomy import CLASSES
from augtui.models.classifier import TaskClassifier
from augtui.pipelines import collect
from training.classifier import __main__ as train
from training.classifier import corpus
from training.classifier.corpus import Labelled


def test_every_class_has_words_and_written_prompts_in_both_languages() -> None:
    written = list(corpus.written())
    for name in CLASSES:
        texts = [one.text for one in written if one.label == name]
        assert len(texts) >= 15
        assert 5 <= sum(any("\u4e00" <= char <= "\u9fff" for char in text) for text in texts) < len(texts)
        assert len(corpus.cues()[name]) >= 15


def test_no_held_out_record_is_trained_on(shared_data: Path) -> None:
    assert not set(corpus.TRAINED.values()) & set(corpus.HELD_OUT.values())
    assert not set(corpus.WHOLE) & set(corpus.HELD_OUT.values())
    trained = {one.text for one in corpus.training(shared_data)}
    held_out = corpus.held_out(shared_data)
    assert len(held_out) > 500
    assert sum(one.text in trained for one in held_out) <= 3  # "What is an API?" is asked everywhere
    permitted = {"seeds", "train", "collect/oasst1_sft_zh.json", "evaluate/mathqa_dev.json"}
    for file in (*corpus.TRAINED.values(), *corpus.WHOLE):
        assert file in permitted or file.split("/")[0] in permitted


@pytest.mark.parametrize("file", [*corpus.TRAINED.values(), *corpus.HELD_OUT.values()])
def test_prompts_are_read_as_augtui_reads_them(shared_data: Path, file: str) -> None:
    records = [record.instruction for record in collect.read(shared_data / file)]  # type: ignore[union-attr]
    mine = corpus.prompts(shared_data / file)
    assert len(mine) == len(records)
    assert sum(a.strip() != b.strip() for a, b in zip(mine, records, strict=True)) == 0


def test_a_small_training_learns_and_is_the_same_every_time(tmp_path: Path) -> None:
    examples = [one for one in corpus.written() if one.label in ("Math", "Music", "Chemistry")]
    first, second = (train.packed(*train.train(examples)) for _ in range(2))
    for number, model in enumerate((first, second)):
        train.save(model, tmp_path / f"{number}.npz")
    assert (tmp_path / "0.npz").read_bytes() == (tmp_path / "1.npz").read_bytes()
    with np.load(tmp_path / "0.npz", allow_pickle=False) as data:
        model = TaskClassifier(dict(data))
    found = [one.label for one in model.label([example.text for example in examples], threshold=0)]
    right = sum(label == example.label for label, example in zip(found, examples, strict=True))
    assert right > 0.9 * len(examples)
    texts = ["Who composed this song?", "求面积"]
    there = train.probabilities(first, texts)
    for row, text in zip(there, texts, strict=True):
        np.testing.assert_allclose(model.probabilities(text), row, atol=1e-5)


def test_the_report_counts_right() -> None:
    examples = [one for one in corpus.written() if one.label in ("Math", "Music")]
    model = train.packed(*train.train(examples))
    tests = [Labelled("Calculate 3 + 4 * 5", "Math", "a"), Labelled("Who sang this song?", "Math", "b")]
    report = train.evaluated(model, tests, examples)
    assert report["seen"]["accuracy"] == 0.5
    assert report["blind"] == {"prompts": 0, "accuracy": None, "among_first_three": None, "at_threshold": []}
    assert report["by_source"] == {"a": {"prompts": 1, "accuracy": 1.0}, "b": {"prompts": 1, "accuracy": 0.0}}
    assert report["confused_most"] == [{"is": "Math", "called": "Music", "prompts": 1}]
    json.dumps(report)


def test_words_of_a_text() -> None:
    assert tokens_of("Write 2 poems, about 1234567 海边!") == [
        "write", "01", "poems", ",", "about", "04", "海", "边", "!",
    ]  # fmt: skip
    cues = Cues({"Math": ["sum of"], "Music": ["album", "sum of"]})
    assert list(cues.found(tokens_of("the sum of albums"))) == [("Math", 0.5), ("Music", 0.5), ("Music", 1.0)]
    counts = buckets("sum sum", cues)
    assert all(0 <= bucket < BUCKETS for bucket in counts)
    assert 2 in counts.values()
