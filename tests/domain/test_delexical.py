"""Signs for names and texts: what is hidden comes back, and only what is common is shown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augtui.domain.delexical import MOST, REST, TEXTS, WORDS, delexicalise, is_plain, strange_sign

SIGNS = WORDS + TEXTS + REST
PIECES = st.sampled_from(
    ("Write", "a", "poem", "Kyōto", "2,500", "€", "`x = 1`", "{name}", "http://a.b/c?d=1", '"to be or not to be"',
     "。", "写一首诗", "鹜", "\n", "\n\n", "  ", ".", "?", "Ⓐ", "⓪", "①", "don't", "(see", "below)", "\u202e", "it's")
)  # fmt: skip


def folded(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("prompt", "shown", "hidden"),
    [
        ("plan a trip to Kyōto for 2,500 yen", "plan a trip to Ⓐ for Ⓑ", {"Ⓐ": "Kyōto", "Ⓑ": "2,500 yen"}),
        ("Summarize the text in 3 words:\n\nOnce upon a time", f"Summarize the text in 3 words:\n\n{REST}",
         {REST: "Once upon a time"}),
        ("Explain `a[0]`, please.", "Explain ①, please.", {"①": "`a[0]`"}),
        ('What does "cry me a river" mean?', 'What does "Ⓐ" mean?', {"Ⓐ": "cry me a river"}),
        ("用 Python 写一个函数", "用 Ⓐ 写一个函数", {"Ⓐ": "Python"}),
        ("Write a poem about the sea", "Write a poem about the sea", {}),
        ("reply {yes_text} to x@y.org", "reply ① to ②", {"①": "{yes_text}", "②": "x@y.org"}),
    ],
)  # fmt: skip
def test_names_numbers_code_and_texts_become_signs(prompt: str, shown: str, hidden: dict[str, str]) -> None:
    short = delexicalise(prompt)
    assert (short.text, short.spans) == (shown, hidden)
    assert short.restore(shown) == prompt


@given(st.lists(PIECES, max_size=60).map(" ".join) | st.text(max_size=400))
@settings(max_examples=400)
def test_its_own_text_restores_the_prompt_but_for_white_space(prompt: str) -> None:
    short = delexicalise(prompt)
    assert folded(short.restore(short.text)) == folded(prompt)
    assert len(short.spans) <= MOST + 1


@given(st.lists(PIECES, max_size=60).map(" ".join))
def test_signs_in_the_user_s_own_text_stand_for_themselves(prompt: str) -> None:
    short = delexicalise(prompt)
    assert all(sign in short.spans for sign in short.text if sign in SIGNS)
    # In what is put back, nothing is put back a second time.
    assert short.restore(REST) == short.spans.get(REST, REST)


def test_a_long_prompt_is_read_to_the_end_of_a_sentence() -> None:
    sentence = "The house is on a hill. "
    short = delexicalise(sentence * 100)
    assert 100 < len(short.text) < 320
    assert short.text.endswith(f"hill. {REST}")
    assert folded(short.restore(short.text)) == folded(sentence * 100)


def test_a_prompt_of_many_names_is_read_as_far_as_there_are_signs() -> None:
    prompt = " and ".join(f"Zork{n}" for n in range(60))
    short = delexicalise(prompt)
    assert len(short.spans) <= MOST + 1
    assert short.restore(short.text) == prompt


@pytest.mark.parametrize(
    "prompt",
    [
        "的鹜" * 40,
        " and ".join(f"(Zork{n})" for n in range(40)),
        " or ".join(f'"Zork{n} is blue"' for n in range(40)),
        " and ".join(f"Zork{n} (of Bork{n})" for n in range(40)),
        "的 Zork " * 17 + "鹜的鹜的鹜 end",
    ],
)
def test_where_signs_run_out_inside_of_a_token_nothing_is_said_twice(prompt: str) -> None:
    short = delexicalise(prompt)
    assert short.restore(short.text) == prompt
    assert len(short.spans) <= MOST + 1


@given(st.lists(st.sampled_from(("的鹜", "鹜", "(Zork)", '"a b c d"', "Zork", "Bork's", " ", "the", "!")), max_size=90))
def test_however_many_are_hidden_the_prompt_comes_back(pieces: list[str]) -> None:
    prompt = "".join(pieces)
    short = delexicalise(prompt)
    assert folded(short.restore(short.text)) == folded(prompt)


def test_a_sign_of_nothing_is_told() -> None:
    assert strange_sign("Write of Ⓐ", "Write of Ⓐ.") is None
    assert strange_sign("Write of it", "Write of Ⓑ.") == "Ⓑ"
    assert delexicalise("Write of Zork").restore("Ⓐ and Ⓑ") == "Zork and Ⓑ"


def test_a_sentence_that_ends_in_a_whole_sentence_has_one_full_stop() -> None:
    short = delexicalise('Say what is meant by "It is not over."')
    assert short.text == 'Say what is meant by "①"'
    assert short.restore('Explain "①".') == 'Explain "It is not over."'
    assert short.restore('Explain "①", please.') == 'Explain "It is not over.", please.'
    assert delexicalise('Say "It is not over.".').restore('Say "①".') == 'Say "It is not over.".'
    assert delexicalise('Say "It is new x_1"').restore('Say "Ⓐ". And ①.') == 'Say "It is new x_1". And ①.'


def test_hide_finds_the_spans_in_another_text() -> None:
    short = delexicalise("write to Zorkan about Zork")
    assert short.hide("Please write to Zorkan about Zork, in time.") == "Please write to Ⓐ about Ⓑ, in time."
    assert short.hide("Zorkanian") == "Zorkanian"


def test_common_words_are_plain() -> None:
    assert all(map(is_plain, ("house", "don't", "it's", "step-by-step", "7")))
    assert not any(map(is_plain, ("zork", "77", "x_y", "C++", "house.", "é", "")))
