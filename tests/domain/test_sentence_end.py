"""The end of the request in a refined prompt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.domain.sentence_end import with_its_own_end


@pytest.mark.parametrize(
    ("original", "refined", "expected"),
    [
        (
            "translate this into German",
            "Translate this into German?\n\nContent:",
            "Translate this into German.\n\nContent:",
        ),
        ("Follow these steps:", "Follow these steps:? Be brief.", "Follow these steps: Be brief."),
        ("Write a note.\n\nTo Ann", "Write a note?\n\nTo Ann", "Write a note.\n\nTo Ann"),
        ("what is fine tuning", "What is fine tuning?", "What is fine tuning?"),
        ("what's new", "What's new? Tell.", "What's new? Tell."),
        ("Is it? Tell me", "Is it? Tell me?", "Is it? Tell me?"),
        ("hi, how are you", "Hi, how are you?", "Hi, how are you?"),
        ("write of trees", "Write of bees?", "Write of bees?"),
        ("", "?", "?"),
    ],
)
def test_an_order_ends_as_one(original: str, refined: str, expected: str) -> None:
    assert with_its_own_end(original, refined) == expected


@given(st.text(max_size=40), st.text(max_size=60))
def test_nothing_but_that_mark_changes(original: str, refined: str) -> None:
    ended = with_its_own_end(original, refined)
    assert ended.replace(".", "").replace("?", "") == refined.replace(".", "").replace("?", "")
