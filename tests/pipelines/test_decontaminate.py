"""Decontaminate: what a test set asks is found in the records, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augtui.domain.records import Record
from augtui.errors import UsageError
from augtui.metrics.similarity import rouge_l
from augtui.pipelines import collect
from augtui.pipelines.decisions import Decision
from augtui.pipelines.decontaminate import Examination

LONG = "Natalia sold clips to 48 of her friends in April and then she sold half as many clips in May, how many in all?"
ZH = "小明有五个苹果，他给了小红两个，又从商店买了三个，请问小明现在一共有多少个苹果？"


def matches(decision: Decision) -> list[dict[str, Any]]:
    return [] if decision.kept else list(decision.detail["matches"])


def decide(records: Sequence[Record], tests: Sequence[Record], on: Any = "both", **options: Any) -> list[Decision]:
    return Examination(tests, **options).decide(records, on)


def test_a_run_of_thirteen_tokens_is_found_wherever_it_stands() -> None:
    tests = [Record("What is 2 + 2?", "4"), Record("unrelated", LONG)]
    run = " ".join(LONG.split()[2:15])
    shorter = " ".join(LONG.split()[2:14])
    records = [Record(f"Before. {run.upper()} after!"), Record(f"Before. {shorter} after!"), Record("x", f"So {run}")]
    found = decide(records, tests)
    assert [one.kept for one in found] == [False, True, False]
    assert matches(found[0]) == [
        {
            "test": 1, "field": "instruction", "test_field": "response", "method": "n-gram",
            "ngram": "clips to 48 of her friends in april and then she sold half",
        }
    ]  # fmt: skip
    assert matches(found[2])[0]["field"] == "response"
    assert [one.kept for one in decide(records, tests, "instruction")] == [False, True, True]
    assert [one.kept for one in decide(records, tests, size=12)] == [False, False, False]


def test_chinese_runs_are_of_characters() -> None:
    records = [Record(f"请解题：{ZH[3:20]}"), Record(f"请解题：{ZH[3:12]}")]
    found = decide(records, [Record(ZH)], near="off")
    assert [one.kept for one in found] == [False, True]
    assert len(matches(found[0])[0]["ngram"].split()) == 13


def test_short_tests_count_as_a_whole_and_very_short_ones_only_as_an_instruction() -> None:
    tests = [
        Record("Name the capital city of the old kingdom", "It is the town of Old Bridge in Kent"),
        Record("Why?", "no"),
    ]
    within = Record(
        "First: name the capital city of the old kingdom, please; then tell me more about it and its people"
    )
    found = decide([within, Record("why"), Record("Tell me why", "No."), Record("a", "no")], tests, near="off")
    assert [one.kept for one in found] == [False, False, True, True]
    assert matches(found[1]) == [
        {"test": 1, "field": "instruction", "test_field": "instruction", "method": "equal", "similarity": 1.0}
    ]


def test_what_many_tests_share_is_their_template() -> None:
    preface = "Answer the following multiple choice question by giving the best response, and nothing else at all."
    tests = [Record(f"{preface} Topic {number}: {'xyz'[number % 3] * (number + 1)}") for number in range(12)]
    harmless = Record(
        f"{preface} Here is mine about cats and dogs and their long walks in the green park near my house"
    )
    exam = Examination(tests, near="off")
    assert exam.templates > 0
    assert exam.decide([harmless])[0].kept
    assert not Examination(tests, near="off", common=12).decide([harmless])[0].kept
    assert not Examination([*tests[:3]] * 12, near="off").decide([harmless])[0].kept  # repeats are no further tests


@pytest.mark.parametrize("near", ["rouge-l", "minhash"])
def test_near_matches_are_found_with_their_similarity(near: Any) -> None:
    words = LONG.split()
    changed = " ".join(word if at % 11 else "another" for at, word in enumerate(words, start=1))
    threshold = 0.8 if near == "rouge-l" else 0.5
    found = decide([Record(changed), Record("Write a poem")], [Record(LONG)], near=near, threshold=threshold, size=40)
    assert [one.kept for one in found] == [False, True]
    (match,) = matches(found[0])
    assert match["method"] == near
    if near == "rouge-l":
        assert match["similarity"] == pytest.approx(rouge_l(changed, LONG), abs=1e-6)


TEXTS = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=9).map(" ".join)


@given(st.lists(TEXTS, max_size=20), st.lists(TEXTS, max_size=20), st.sampled_from([0.4, 0.7, 0.9, 1.0]))
@settings(deadline=None, max_examples=100)
def test_near_matches_by_rouge_l_are_those_of_a_loop(texts: list[str], tests: list[str], threshold: float) -> None:
    found = decide([Record(text) for text in texts], [Record(text) for text in tests], "instruction",
                   size=50, threshold=threshold)  # fmt: skip
    assert [one.kept for one in found] == [
        not any(rouge_l(text, test) >= threshold for test in tests) for text in texts
    ]


def test_planted_rows_are_found_and_others_are_not(shared_data: Path) -> None:
    tests = [row for row in collect.read(shared_data / "train/gsm8k_test.jsonl") if isinstance(row, Record)]
    others = [row for row in collect.read(shared_data / "collect/alpaca_cleaned_1000.json") if isinstance(row, Record)]
    chosen = random.Random(7).sample(tests, 60)
    planted = [Record(f"Solve: {row.instruction} Think step by step.") for row in chosen[:40]]
    planted += [Record("Repeat after me.", row.response) for row in chosen[40:]]
    found = Examination(tests).decide([*others, *planted])
    assert sum(not one.kept for one in found[: len(others)]) == 0
    for row, decision in zip(chosen, found[len(others) :], strict=True):
        assert any(tests[match["test"]] == row for match in matches(decision))


def test_no_tests_no_records_and_settings_that_make_no_sense() -> None:
    assert decide([], [Record("a")]) == []
    assert all(one.kept for one in decide([Record("a"), Record("", "b")], []))
    for options in ({"near": "soundex"}, {"size": 0}, {"threshold": 0.0}):
        with pytest.raises(UsageError):
            Examination([], **options)  # type: ignore[arg-type]
