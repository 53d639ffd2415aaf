"""The task classifier that ships with augtui."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest

from augtui.domain.taxonomy import CLASSES, OTHERS
from augtui.models import classifier

PLAIN = {
    "Calculate the area of a triangle with base 12 cm and height 5 cm.": "Math",
    "Write a Python function that merges two sorted lists.": "Code Generation",
    "Fix the bug in this code: for i in range(3) print(i)": "Code Debug",
    "Translate the following sentence into German: I am hungry.": "Multilingual",
    "I want you to act as a pirate captain. My first request is": "Roleplay",
    "Correct the grammar of this sentence: She have two cat.": "Grammar",
    "What is the chemical formula of sulfuric acid?": "Chemistry",
    "计算一个半径为5厘米的圆的面积。": "Math",
    "用Python写一个函数，判断一个数是不是回文数。": "Code Generation",
    "把下面的句子翻译成英文：今天天气很好。": "Multilingual",
    "写一首关于秋天的诗。": "Writing",
}


@pytest.mark.parametrize(("text", "label"), PLAIN.items())
def test_plain_prompts_get_their_class(text: str, label: str) -> None:
    (found,) = classifier.load().label([text])
    assert found.label == label
    assert classifier.THRESHOLD <= found.confidence <= 1


def test_probabilities_add_up_for_any_text() -> None:
    model = classifier.load()
    assert model.classes == CLASSES
    for text in ("", "\0", "\ud800", "💥" * 500, "word " * 100_000, "如果" * 1000):
        likely = model.probabilities(text)
        assert likely.shape == (32,)
        assert np.isfinite(likely).all()
        assert likely.sum() == pytest.approx(1, abs=1e-5)


def test_what_is_not_sure_is_one_of_the_others() -> None:
    (sure,) = classifier.load().label(["hm"], threshold=1.0)
    assert sure.label == OTHERS
    (any_class,) = classifier.load().label(["Calculate 3 + 4"], threshold=0.0)
    assert any_class.label == "Math"


def test_the_file_is_small() -> None:
    assert len(files("augtui.models.bundled").joinpath(classifier.FILE).read_bytes()) < 1_500_000
