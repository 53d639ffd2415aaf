from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from augtui.domain.diff import diff, words
from augtui.domain.visible import restored, visible

TEXTS = st.text(st.sampled_from("ab 中文。\n\x1b\u202e\t.,1") | st.characters(), max_size=60)


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_both_texts_are_in_the_parts(old: str, new: str) -> None:
    parts = diff(old, new)
    assert "".join(part.text for part in parts if part.kind != "added") == old
    assert "".join(part.text for part in parts if part.kind != "removed") == new
    assert all(part.text for part in parts)


@settings(deadline=None)
@given(TEXTS)
def test_equal_texts_have_no_difference(text: str) -> None:
    assert {part.kind for part in diff(text, text)} <= {"same"}
    assert "".join(words(text)) == text


def test_words_stand_together_and_chinese_goes_by_characters() -> None:
    parts = diff("Write code to retry a request.", "Write a Python function to retry a request.")
    assert [(part.kind, part.text) for part in parts] == [
        ("same", "Write "),
        ("removed", "code"),
        ("added", "a Python function"),
        ("same", " to retry a request."),
    ]
    parts = diff("写一首诗", "写一首短诗")
    assert [(part.kind, part.text) for part in parts] == [("same", "写一首"), ("added", "短"), ("same", "诗")]


def test_long_texts_are_compared_in_time() -> None:
    old, new = "word " * 20_000, "other " * 20_000
    parts = diff(old, new)
    assert "".join(part.text for part in parts if part.kind != "added") == old


@settings(deadline=None)
@given(TEXTS)
def test_a_text_that_was_shown_comes_back_as_it_was(text: str) -> None:
    symbols = set(visible(text, newline="\n")) - set(text)
    again = restored(visible(text, newline="\n"), text)
    assert again == text or not symbols or any(visible(char) in text for char in text if visible(char) != char)
