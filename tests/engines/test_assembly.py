"""Answers under way: room, text, stop strings, ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.engines.assembly import Answer, Overflow, answer_room
from augtui.engines.base import AUTO_MAX_TOKENS, LEAST_ANSWER_TOKENS


def whole(answer: Answer, pieces: list[bytes]) -> str:
    for number, piece in enumerate(pieces):
        reason = answer.add(number, piece)
        if reason is not None:
            return answer.finish(reason)
    return answer.finish("length")


@given(st.text(), st.integers(1, 5))
def test_text_is_the_same_however_its_bytes_are_cut(text: str, size: int) -> None:
    data = text.encode()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert whole(Answer(len(pieces) + 1), pieces) == text


@given(st.text(alphabet="abé🧪", max_size=30), st.text(alphabet="abé🧪", min_size=1, max_size=4), st.integers(1, 5))
def test_a_stop_string_ends_the_text_wherever_its_bytes_are_cut(text: str, stop: str, size: int) -> None:
    data = (text + stop).encode()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    found = whole(Answer(len(pieces) + 1, (stop,)), pieces)
    assert found == (text + stop)[: (text + stop).find(stop)]


def test_the_earliest_of_several_stop_strings_counts_and_empty_ones_do_not() -> None:
    answer = Answer(10, ("", "fox", "brown"))
    assert answer.add(1, b"the quick ") is None
    assert answer.add(2, b"brown fox") == "stop"
    assert answer.finish("stop") == "the quick "


def test_a_character_that_was_cut_off_shows_as_such_unless_the_model_ended_the_answer() -> None:
    half = "é".encode()[:1]
    for reason, text in (("length", "a\ufffd"), ("loop", "a\ufffd"), ("stop", "a")):
        answer = Answer(3)
        answer.add(1, b"a" + half)
        assert answer.finish(reason) == text  # type: ignore[arg-type]


def test_an_answer_ends_at_its_longest_and_in_a_loop() -> None:
    answer = Answer(3)
    assert [answer.add(token, b"x") for token in range(3)] == [None, None, "length"]
    answer = Answer(1000)
    reasons = [answer.add(token % 2, b"x") for token in range(64)]
    assert reasons[:-1] == [None] * 63
    assert reasons[-1] == "loop"


@given(st.integers(1, 4096), st.integers(1, 4096), st.integers(512, 4096))
def test_prompt_and_answer_always_fit_together(prompt: int, wanted: int, limit: int) -> None:
    for asked in (wanted, None):
        try:
            room = answer_room(prompt, asked, limit)
        except Overflow:
            assert prompt + (asked or LEAST_ANSWER_TOKENS + prompt // 2) > limit
        else:
            assert prompt + room <= limit
            assert room == asked or (asked is None and room <= AUTO_MAX_TOKENS)


def test_no_answer_is_no_request() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        answer_room(10, 0, 100)
