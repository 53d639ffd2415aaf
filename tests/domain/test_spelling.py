"""Normal forms, word families, the common words and corrections."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.domain.spelling import common_names, common_words, correction, is_common, normalise, stem, tokens


@pytest.mark.parametrize(
    "family",
    [
        "explain explained explanation",
        "colour color colours",
        "analyse analyze analysis",
        "child children",
        "travel travelling traveled",
        "implement implementation implementing",
        "story stories",
        "quick quickly quickest",
        "organise organize organization",
        "city cities city's",
    ],
)
def test_a_family_has_one_stem(family: str) -> None:
    assert len({stem(word) for word in family.split()}) == 1


@pytest.mark.parametrize(
    "pair",
    [
        "contract contrast",
        "policy police",
        "station state",
        "stress stages",
        "transform transport",
        "austria australia",
    ],
)
def test_different_words_have_different_stems(pair: str) -> None:
    left, right = pair.split()
    assert stem(left) != stem(right)


def test_the_word_list_tells_words_from_non_words() -> None:
    words = "recipe summarise summarized tutorials haiku analyses unhelpful colours walkthrough metaphors concise"
    assert [word for word in words.split() if not is_common(word)] == []
    nonsense = "stagement travelity flormation hangzhao conprehensive goverment recieve"
    assert [word for word in nonsense.split() if is_common(word)] == []
    assert "london" in common_names()
    assert "london" not in common_words()
    assert 15_000 < len(common_words()) < 40_000


@pytest.mark.parametrize(
    ("written", "corrected"),
    [
        ("recieve", "receive"),
        ("definately", "definitely"),
        ("photosinthesis", None),
        ("hangzhou", None),
        ("london", None),
    ],
)
def test_only_a_near_common_word_is_a_correction(written: str, corrected: str | None) -> None:
    assert correction(written, ["receive", "definitely", "hanging", "landon"]) == corrected


def test_the_normal_form() -> None:
    assert normalise("Ｉｔ’s\u200b ½ price – “now”") == "It's 1/2 price - “now”"
    assert tokens("Python读取 a_b") == ["python", "读", "取", "a", "b"]


@given(st.text(st.characters(exclude_categories=())))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.text(max_size=60))
def test_every_word_has_a_stem(word: str) -> None:
    assert isinstance(stem(word), str)
    assert isinstance(is_common(word), bool)
