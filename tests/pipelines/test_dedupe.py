"""Dedupe against plain first-come loops, on real data and on any."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Indel

from augtui.domain.records import Record
from augtui.errors import UsageError
from augtui.metrics.similarity import rouge_l, tokens
from augtui.pipelines import collect, dedupe
from augtui.pipelines.decisions import Decision

TEXTS = st.lists(st.sampled_from(["a", "b", "c", "d", "A", "诗", "海", "!"]), max_size=9).map(" ".join)
Found = list[tuple[int, float] | None]


def records(texts: Sequence[str]) -> list[Record]:
    return [Record(text) for text in texts]


def found(decisions: Sequence[Decision]) -> Found:
    return [None if one.kept else (one.detail["of"], one.detail["similarity"]) for one in decisions]


def first_come(count: int, likeness: Callable[[int, int], float], threshold: float) -> Found:
    """What a plain loop says of each row: the earliest kept row that is so like it."""
    kept: list[int] = []
    outcome: Found = []
    for row in range(count):
        match = next(((of, how) for of in kept if (how := likeness(row, of)) >= threshold), None)
        outcome.append(match and (match[0], round(match[1], 6)))
        if match is None:
            kept.append(row)
    return outcome


@given(st.lists(TEXTS, max_size=40), st.sampled_from([0.2, 0.5, 0.7, 0.9, 1.0]))
@settings(deadline=None, max_examples=150)
def test_rouge_l_is_the_plain_first_come_loop(texts: list[str], threshold: float) -> None:
    plain = first_come(len(texts), lambda a, b: rouge_l(texts[a], texts[b]), threshold)
    assert found(dedupe.decide(records(texts), "rouge-l", threshold)) == plain


@pytest.mark.parametrize(("start", "threshold"), [(0, 0.7), (25_000, 0.5)])
def test_three_thousand_real_rows_give_the_naive_keep_list(shared_data: Path, start: int, threshold: float) -> None:
    rows = list(collect.read(shared_data / "evaluate/alpaca_52k.json.xz", limit=start + 3000))[start:]
    real = [row for row in rows if isinstance(row, Record)]
    # A third of them has near duplicates, as an expansion makes them: a word left out, two words swapped.
    texts = [row.instruction for row in real[:2000]]
    for number, text in enumerate(texts[:1000]):
        words = text.split()
        at = number % len(words)
        texts.append(" ".join(words[:at] + words[at + 1 + number % 2 :] + words[at : at + number % 2]) or text)
    # Texts without letters and digits are compared as they stand, for the loop as for augtui.
    sequences = [tokens(text) or (text.strip(),) for text in texts]
    plain = first_come(len(texts), lambda a, b: Indel.normalized_similarity(sequences[a], sequences[b]), threshold)
    mine = found(dedupe.decide(records(texts), "rouge-l", threshold))
    assert [one is None for one in mine] == [one is None for one in plain]
    assert mine == plain
    assert 500 < sum(one is not None for one in mine) < 2500


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = tokens(text) or ("\0" + text.strip(),)
    return frozenset(words[at : at + 3] for at in range(max(1, len(words) - 2)))


def jaccard(first: str, second: str) -> float:
    a, b = shingles(first), shingles(second)
    return len(a & b) / len(a | b)


def test_minhash_misses_hardly_anything_and_finds_nothing_that_is_not_there(shared_data: Path) -> None:
    rows = list(collect.read(shared_data / "collect/alpaca_cleaned_1000.json", limit=400))
    texts = [row.instruction for row in rows if isinstance(row, Record)]
    texts += [f"{text} Answer briefly, please." for text in texts]
    mine = found(dedupe.decide(records(texts), "minhash", 0.6))
    plain = first_come(len(texts), lambda a, b: jaccard(texts[a], texts[b]), 0.6)
    assert sum(one is not None for one in plain) > 100
    differing = sum(a != b for a, b in zip(mine, plain, strict=True))
    assert differing <= 2
    for row, match in enumerate(mine):
        if match is not None:
            assert match[1] == pytest.approx(jaccard(texts[row], texts[match[0]]), abs=1e-6)


@given(st.lists(TEXTS, max_size=30))
def test_exact_is_equality_after_normalising(texts: list[str]) -> None:
    def plainly(text: str) -> list[str]:
        return unicodedata.normalize("NFKC", text).casefold().split()

    plain = first_come(len(texts), lambda a, b: float(plainly(texts[a]) == plainly(texts[b])), 1.0)
    assert found(dedupe.decide(records(texts), "exact")) == plain


@given(st.integers(0, 1200), st.integers(2, 12), st.floats(0.3, 0.99), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_embedding_is_the_plain_first_come_loop_over_cosines(
    count: int, dimensions: int, threshold: float, seed: int
) -> None:
    vectors = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if count else vectors
    cosines = (unit @ unit.T).astype(np.float64)
    decisions = dedupe.decide(records(["x"] * count), "embedding", threshold, embed=lambda texts: vectors)
    kept: list[int] = []
    for row in range(count):
        likely = [of for of in kept if cosines[row, of] >= threshold + 1e-5]
        unlikely = [of for of in kept if cosines[row, of] >= threshold - 1e-5]
        if decisions[row].kept:
            assert not likely
            kept.append(row)
        else:
            of = decisions[row].detail["of"]
            assert of in unlikely
            assert not likely or of <= likely[0]
            assert decisions[row].detail["similarity"] == pytest.approx(cosines[row, of], abs=1e-4)


def test_the_response_is_looked_at_if_asked_for_and_records_without_one_are_kept() -> None:
    given_records = [
        Record("one", "the same"),
        Record("two"),
        Record("three", "the same"),
        Record("four"),
        Record("one", "other"),
    ]
    assert found(dedupe.decide(given_records, "rouge-l", on="response")) == [None, None, (0, 1.0), None, None]
    assert found(dedupe.decide(given_records, "rouge-l", on="instruction")) == [None, None, None, None, (0, 1.0)]
    assert all(one.kept for one in dedupe.decide(given_records, "exact", on="both"))


def test_chinese_is_compared_by_characters_also_after_latin_letters() -> None:
    texts = ["请用Python写一首关于大海的诗", "请用Python写一首关于大海的词", "解方程组"]
    assert [one.kept for one in dedupe.decide(records(texts))] == [True, False, True]


def test_unknown_methods_and_thresholds_are_refused() -> None:
    for wrong in ("soundex", ""):
        with pytest.raises(UsageError, match="no method"):
            dedupe.decide([], wrong)  # type: ignore[arg-type]
    for threshold in (0.0, 1.1, -1.0, float("nan")):
        with pytest.raises(UsageError, match="threshold"):
            dedupe.decide([], "rouge-l", threshold)
    with pytest.raises(UsageError, match="model"):
        dedupe.decide([Record("a")], "embedding")


def test_many_equal_and_nearly_equal_rows_take_no_quadratic_time() -> None:
    same = dedupe.decide(records(["write a poem"] * 20_000))
    assert sum(one.kept for one in same) == 1
    alike = dedupe.decide(records([f"write a poem about topic {number} in ten lines" for number in range(10_000)]))
    assert sum(one.kept for one in alike) == 1
