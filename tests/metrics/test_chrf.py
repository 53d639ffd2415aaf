"""chrF against values worked out by hand, and its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.metrics.chrf import chrf


def test_by_hand() -> None:
    # Unigrams: 3 of 4 both ways; bigrams ab bc of ab bc cd and ab bc cx: 2 of 3. Precision and recall are equal.
    assert chrf("abcd", "abcx", order=2) == pytest.approx((3 / 4 + 2 / 3) / 2)
    # Precision 2/2, recall 2/4; F2 = 5 P R / (4 P + R).
    assert chrf("abcd", "ab", order=1) == pytest.approx(5 * 1 * 0.5 / (4 + 0.5))


def test_spaces_do_not_count_and_chinese_does() -> None:
    assert chrf("a b c", "abc") == 1.0
    assert 0.3 < chrf("写一首关于大海的诗", "写一首关于大山的诗") < 0.9
    assert chrf("写一首诗", "hello") == 0.0
    assert chrf("", "") == 1.0
    assert chrf("a", "") == 0.0


@given(st.text(max_size=40), st.text(max_size=40))
def test_it_is_a_share_and_one_for_equal_texts(first: str, second: str) -> None:
    assert 0.0 <= chrf(first, second) <= 1.0 + 1e-12
    assert chrf(first, first) == pytest.approx(1.0)
