"""ROUGE-L against its definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.metrics.similarity import rouge_l, tokens

SENTENCES = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=1, max_size=12).map(" ".join)


def plain_rouge_l(first: str, second: str) -> float:
    """F1 of the longest common subsequence by the textbook's table."""
    a, b = first.split(), second.split()
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    longest = table[-1][-1]
    return 2 * longest / (len(a) + len(b))


@given(SENTENCES, SENTENCES)
def test_it_is_the_f1_of_the_longest_common_subsequence(first: str, second: str) -> None:
    assert rouge_l(first, second) == pytest.approx(plain_rouge_l(first, second))
    assert rouge_l(first, second) == rouge_l(second, first)


@given(st.text())
def test_a_text_is_like_itself(text: str) -> None:
    assert rouge_l(text, text) == 1.0


def test_chinese_is_compared_by_characters() -> None:
    assert tokens("写一首诗, about 3 cats") == ("写", "一", "首", "诗", "about", "3", "cats")
    assert rouge_l("写一首关于大海的诗", "写一首关于大海的诗") == 1.0
    assert 0.5 < rouge_l("写一首关于大海的诗", "写一首关于高山的诗") < 0.9
    assert rouge_l("写一首诗", "解方程组") == 0.0
