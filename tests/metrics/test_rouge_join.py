"""The join against a loop over all pairs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augtui.metrics import rouge_join
from augtui.metrics.rouge_join import RougeJoin, needed
from augtui.metrics.similarity import rouge_l, tokenized
from augtui.metrics.token_table import Numbering, distinct

THRESHOLDS = st.sampled_from([0.05, 0.3, 0.5, 0.7, 0.75, 0.9, 0.95, 1.0])
TEXTS = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "诗", "海"]), min_size=1, max_size=14).map(" ".join)


def pairs(texts: Sequence[str], threshold: float, reference: int | None = None) -> dict[tuple[int, int], float]:
    table = Numbering().table(texts)
    join = RougeJoin(table, threshold, reference)
    sizes = table.sizes
    return {
        (first, second): 2 * lcs / int(sizes[first] + sizes[second])
        for block in join.blocks()
        for first, second, lcs in zip(block.first.tolist(), block.second.tolist(), block.lcs.tolist(), strict=True)
    }


def plain(texts: Sequence[str], threshold: float, reference: int | None = None) -> dict[tuple[int, int], float]:
    found = {}
    for first in range(reference or 0, len(texts)):
        for second in range(first if reference is None else reference):
            likeness = rouge_l(texts[first], texts[second])
            if likeness >= threshold:
                found[first, second] = likeness
    return found


@given(st.lists(TEXTS, max_size=40), THRESHOLDS)
@settings(deadline=None, max_examples=150)
def test_it_finds_the_pairs_that_a_loop_finds(texts: list[str], threshold: float) -> None:
    assert pairs(texts, threshold) == plain(texts, threshold)


@given(st.lists(TEXTS, max_size=15), st.lists(TEXTS, max_size=15), THRESHOLDS)
@settings(deadline=None, max_examples=75)
def test_with_a_reference_it_compares_the_others_with_that_alone(
    reference: list[str], others: list[str], threshold: float
) -> None:
    texts = reference + others
    assert pairs(texts, threshold, len(reference)) == plain(texts, threshold, len(reference))


@given(st.lists(TEXTS, max_size=40), THRESHOLDS, st.integers(1, 7), st.integers(1, 30))
@settings(deadline=None, max_examples=75)
def test_the_size_of_the_blocks_changes_nothing(texts: list[str], threshold: float, rows: int, entries: int) -> None:
    with (
        patch.object(rouge_join, "BLOCK_ROWS", rows),
        patch.object(rouge_join, "BLOCK_ENTRIES", entries),
        patch.object(rouge_join, "MEASURED_AT_ONCE", 3),
    ):
        assert pairs(texts, threshold) == plain(texts, threshold)


@pytest.mark.parametrize("threshold", [0.1, 1 / 3, 0.5, 0.55, 0.7, 0.85, 0.9, 0.95, 1.0])
def test_needed_is_where_the_similarity_reaches_the_threshold(threshold: float) -> None:
    need = needed(threshold, 500)
    for total in range(2, 500):
        shortest = next(lcs for lcs in range(1, total + 1) if 2 * lcs / total >= threshold)
        assert need[total] == shortest, total


def test_long_texts_of_few_words_and_texts_of_very_different_lengths() -> None:
    random_words = random.Random(1)
    words = [f"w{number}" for number in range(30)]
    texts = [" ".join(random_words.choices(words, k=size)) for size in (1, 2, 3, 60, 64, 65, 90, 200, 300, 300, 511)]
    texts += [text.replace("w1 ", "w2 ") for text in texts]
    assert pairs(texts, 0.6) == plain(texts, 0.6)


def test_more_tokens_than_there_are_characters() -> None:
    with patch.object(rouge_join, "_CODE_POINTS", 4):
        texts = ["one two three four", "one two three five six", "six five three two one", "one two six four"]
        assert pairs(texts, 0.5) == plain(texts, 0.5)


def test_rows_that_were_dropped_are_left_out_once_the_index_is_compacted() -> None:
    texts = [f"write a poem about topic {number}" for number in range(400)]
    with patch.object(rouge_join, "BLOCK_ROWS", 16):
        join = RougeJoin(Numbering().table(texts), 0.7)
        compared = 0
        for block in join.blocks():
            compared += len(block.first)
            join.alive[max(1, block.start) : block.stop] = False
    assert compared < 400 * 20
    assert len(join._posted_row) < 100


def test_no_rows_and_a_threshold_that_is_none() -> None:
    assert pairs([], 0.7) == {}
    with pytest.raises(ValueError, match="threshold"):
        RougeJoin(Numbering().table(["a"]), 0.0)


@given(st.lists(st.text(max_size=30), max_size=20))
def test_distinct_rows_are_the_first_of_their_kind(texts: list[str]) -> None:
    table = Numbering().table(texts)
    firsts, places = distinct(table)
    kinds = [tuple(tokenized(text)) or ("", text.strip()) for text in texts]
    seen = list(dict.fromkeys(kinds))
    assert [kinds[row] for row in firsts] == seen
    assert [seen[place] for place in places] == kinds
    chosen = table.chosen(firsts)
    for place, row in enumerate(firsts.tolist()):
        assert np.array_equal(chosen.row(place), table.row(row))
    assert all(len(table.row(row)) for row in range(len(table)))


def test_pairs_are_in_ascending_order() -> None:
    texts = ["a b c d", "a b c e", "a b c f", "a b c g"]
    block = next(iter(RougeJoin(Numbering().table(texts), 0.5).blocks()))
    found = list(zip(block.first.tolist(), block.second.tolist(), strict=True))
    assert found == sorted(found) == [(b, a) for b, a in itertools.product(range(4), repeat=2) if a < b]
