"""Runs of tokens against sets of tuples."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from augtui.metrics import ngrams
from augtui.metrics.ngrams import RunIndex
from augtui.metrics.token_table import Numbering

TEXTS = st.lists(st.sampled_from("abc"), min_size=1, max_size=12).map(" ".join)


def runs(text: str, size: int) -> list[tuple[str, ...]]:
    words = text.split()
    return [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]


def plain(reference: list[str], texts: list[str], size: int, least: int, common: int) -> set[tuple[int, int]]:
    """The rows that have a run of each reference row, by the first of the equal reference rows."""
    found = set()
    for length in range(min(least, size), size + 1):
        users: dict[tuple[str, ...], list[int]] = {}
        for number, text in enumerate(reference):
            whole = len(text.split()) == length < size or (length == size and len(text.split()) >= size)
            if whole and text not in reference[:number]:
                for run in dict.fromkeys(runs(text, length)):
                    users.setdefault(run, []).append(number)
        for run, rows in users.items():
            if len(rows) <= common:
                found |= {(row, rows[0]) for row, text in enumerate(texts) if run in runs(text, length)}
    return found


@given(
    st.lists(TEXTS, max_size=12),
    st.lists(TEXTS, max_size=12),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(1, 9),
)
@settings(deadline=None, max_examples=150)
def test_hits_are_those_of_a_loop(
    reference: list[str], texts: list[str], size: int, least: int, common: int, windows: int
) -> None:
    numbering = Numbering()
    with patch.object(ngrams, "_WINDOWS", windows), patch.object(ngrams, "_FILTER_BITS", 8):
        index = RunIndex(numbering.table(reference), size, least, common)
        hits = index.hits(numbering.table(texts))
    assert {(hit.row, hit.reference) for hit in hits} == plain(reference, texts, size, least, common)
    assert len({(hit.row, hit.reference) for hit in hits}) == len(hits)
    for hit in hits:
        run = texts[hit.row].split()[hit.start : hit.start + hit.size]
        assert tuple(run) in runs(reference[hit.reference], hit.size)


def test_tokens_that_the_reference_does_not_have_match_nothing() -> None:
    numbering = Numbering()
    index = RunIndex(numbering.table(["a b c d"]), 3, 3, 10)
    assert index.hits(numbering.table(["a b x c d", "x a b c y", "", "a"]))[0].row == 1
    assert len(index.hits(numbering.table(["a b x c d", "x a b c y", "", "a"]))) == 1
