"""Kinds of prompts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.domain.kinds import classify, kinds
from augtui.domain.language import Language


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("Write a SQL query to find all customers without orders.", "sql"),
        ("You will be given a text. Summarize it in one sentence.", "summarize"),
        ("could you write a haiku about rain", "poem"),
        ("写一首关于雪的诗", "poem"),
        ("hm", "general"),
        ("", "general"),
    ],
)
def test_the_kind_is_told_by_the_first_sentence_that_says_something(prompt: str, kind: str) -> None:
    assert classify(prompt) == kind


@given(st.text())
def test_every_text_is_of_a_kind(text: str) -> None:
    assert classify(text) in kinds(Language.EN) + kinds(Language.ZH)


def test_both_languages_end_in_the_general_kind() -> None:
    assert kinds(Language.EN)[-1] == kinds(Language.ZH)[-1] == "general"
