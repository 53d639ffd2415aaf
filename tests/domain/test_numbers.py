"""Numbers in digits, in words and in Chinese numerals are one another's equals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.domain.numbers import canonical, invented_numbers, lost_numbers, numbers
from augtui.domain.spelling import normalise


def lost(original: str, refined: str) -> list[str]:
    return lost_numbers(numbers(original), numbers(refined))


@pytest.mark.parametrize(
    ("original", "refined"),
    [
        ("three tips", "3 tips"),
        ("3 tips", "three tips"),
        ("twenty-five people", "25 people"),
        ("six thousand dollars", "$6,000"),
        ("two hundred and fifty pages", "250 pages"),
        ("1,200 words", "1200 words"),
        ("2.5 million users", "2,500,000 users"),
        ("5k steps", "5,000 steps"),
        ("25% off", "25 percent off"),
        ("at 3 pm", "at 3:00 PM"),
        ("at 15:30", "at 3:30 pm"),
        ("January 5, 2022", "2022-01-05"),
        ("the 3rd chapter", "the third chapter"),
        ("1 sentence", "a single sentence"),
        ("two sentences", "both sentences"),
        ("a dozen eggs", "12 eggs"),
        ("300km away", "300 kilometres away"),
        ("a 5 minute talk", "a 5-minute talk"),
        ("写三篇文章", "写3篇文章"),
        ("二百五十个人", "250个人"),
        ("百分之二十", "20%"),
        ("5万元", "50000元"),
        ("１２ 个月", "12个月"),
        ("the values 100,200,300", "the values 100, 200, 300"),
    ],
)
def test_a_number_in_another_form_is_kept(original: str, refined: str) -> None:
    assert lost(normalise(original), normalise(refined)) == []


@pytest.mark.parametrize(
    ("original", "refined"),
    [
        ("3 tips", "some tips"),
        ("42 apples", "43 apples"),
        ("25% off", "25 off"),
        ("$25", "€25"),
        ("5 minutes", "5 hours"),
        ("3 pm", "3 am"),
        ("x = -5", "x = 5"),
        ("version 3.10", "version 3.1"),
        ("code 007", "code 7"),
        ("2 eggs", "Steps:\n1. Break the eggs.\n2. Whisk."),
        ("2 eggs", "Do this: 1. Break the eggs. 2. Whisk them."),
        ("写三篇文章", "写两篇文章"),
        ("3 wishes", "A3 paper"),
    ],
)
def test_a_changed_number_is_lost(original: str, refined: str) -> None:
    assert len(lost(original, refined)) == 1


def test_each_counts_how_often_a_number_comes() -> None:
    original, refined = numbers("3 apples and 3 pears"), numbers("3 apples and 5 pears")
    assert lost_numbers(original, refined) == []
    assert lost_numbers(original, refined, each=True) == ["3"]


def test_only_weighty_numbers_are_invented() -> None:
    def invented(original: str, refined: str) -> list[str]:
        return invented_numbers(original, numbers(original), numbers(refined), refined)

    assert invented("Write a story", "Write a story in 3-5 sentences:\n1. Begin.\n2. End.") == []
    assert invented("Write a story", "Write a story of 1987 with $20 and 7.5% of luck") == ["1987", "$20", "7.5%"]
    assert invented("Tell me of `1987`", "Tell me of 1987") == []


@given(st.integers(0, 10**15))
def test_thousands_separators_do_not_matter(value: int) -> None:
    assert lost(f"take {value} of it", f"take {value:,} of it") == []
    assert lost(f"take {value:,} of it", f"take {value} of it") == []


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_keeps_its_own_numbers(text: str) -> None:
    found = numbers(text)
    assert lost_numbers(found, found, each=True) == []


@given(st.from_regex(r"\A[0-9]{1,12}(\.[0-9]{1,6})?\Z"))
def test_the_canonical_form_is_stable(digits: str) -> None:
    assert canonical(canonical(digits)) == canonical(digits)
    assert float(canonical(digits)) == pytest.approx(float(digits))
