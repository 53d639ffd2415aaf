"""No text of a data set reaches a terminal as anything but text."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.domain.visible import excerpt, visible

DRAWN_FORMAT_CHARACTERS = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
"""Number signs and the like: format characters by category, yet drawn."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text, größer, 你好, 🙂, שלום", "plain text, größer, 你好, 🙂, שלום"),
        ("\x1b]52;c;aGk=\x07", "␛]52;c;aGk=␇"),
        ("\x1b[2J\x7f", "␛[2J␡"),
        ("\x9b31m", "\\x9b31m"),
        ("a\tb\r\nc\0", "a␉b␍⏎c␀"),
        ("ab\u202ecd\u2066", "ab\\u202ecd\\u2066"),
        ("a\u200bb\ufeff\u2028", "a\\u200bb\\ufeff\\u2028"),
        ("\ud800\udc9b", "\\ud800\\udc9b"),
        ("\U000e0041", "\\U000e0041"),
        ("[red]markup[/red]", "[red]markup[/red]"),
        ("", ""),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert visible(text) == expected


def test_line_feeds_become_what_is_asked_for() -> None:
    assert visible("a\n\nb\x1b", newline="\n") == "a\n\nb␛"
    assert visible("a\nb", newline=" ") == "a b"


def test_every_control_format_and_surrogate_character_is_replaced() -> None:
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        category = unicodedata.category(char)
        if category in ("Cc", "Cs", "Zl", "Zp") or (category == "Cf" and code not in DRAWN_FORMAT_CHARACTERS):
            assert visible(f"ä{char}") != f"ä{char}", hex(code)
            assert visible(f"a{char}") != f"a{char}", hex(code)
        elif category[0] in "LNPS" and code not in (0x115F, 0x1160, 0x3164, 0xFFA0):
            assert visible(char) == char, hex(code)


@given(st.text(st.characters()))
def test_what_is_visible_stays_as_it_is(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    shown.encode()


@given(st.text(st.characters()), st.integers(0, 30))
def test_excerpt_fits_its_width(text: str, width: int) -> None:
    short = excerpt(text, width)
    assert "\n" not in short
    cells = sum(
        0 if unicodedata.category(char) in ("Mn", "Me") else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in short
    )
    assert cells <= width
    if short and not short.endswith("…"):
        assert short == visible(text)


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("你好吗", 6, "你好吗"),
        ("你好吗", 5, "你好…"),
        ("你好吗", 4, "你…"),
        ("a\nb", 5, "a⏎b"),
        ("x" * 1_000_000, 3, "xx…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
    ],
)
def test_excerpts(text: str, width: int, expected: str) -> None:
    assert excerpt(text, width) == expected
