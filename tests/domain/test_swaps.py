"""Swapped words are seen; rewordings, inflections and corrections are not taken for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.domain.guard import Strictness, guard
from augtui.domain.swaps import swapped_words

ORIGINAL = "Your help is needed in automating code generation to speed up the development process."


@pytest.mark.parametrize(
    ("original", "refined", "swaps"),
    [
        (ORIGINAL, ORIGINAL.replace("needed", "column") + " Be brief.", ["needed to column"]),
        ("Give examples of popular shows", "Give four of popular shows. Be brief.", ["examples to four"]),
        ("give me a recipe for soup", "Translate me a recipe for soup.", ["give to translate"]),
        ("do u know a good book", "Do you know a good book?", []),
        ("Write three lines about trees", "Write 3 lines about trees.", []),
        ("List the cat breeds of Italy", "List the cats breeds of Italy.", []),
        ("Explain the photosyntesis of plants", "Explain the photosynthesis of plants.", []),
        ("tell me about whales", "Explain whales in detail.", []),
        ("", "anything", []),
    ],
)
def test_a_swap_is_one_word_for_one_amid_words_that_stay(original: str, refined: str, swaps: list[str]) -> None:
    assert swapped_words(original, refined) == swaps


@given(st.text(max_size=300), st.text(max_size=60))
def test_a_copy_with_something_added_has_no_swap(text: str, added: str) -> None:
    assert swapped_words(text, f"{text}\n\n{added}") == []


def test_the_strict_guard_refuses_swaps_and_the_others_do_not() -> None:
    refined = ORIGINAL.replace("needed", "column") + " Be brief."
    kinds = {level: {found.kind for found in guard(ORIGINAL, refined, level)} for level in Strictness}
    assert [level for level in Strictness if "word swapped" in kinds[level]] == [Strictness.STRICT]
