"""The long prompts of the speculation benchmark, and its report."""

from dataclasses import replace

import pytest

from augtui.engines.base import Completion
from benchmarks.speculation import Round, _report, long_prompts, texts

DONE = Completion("0", "a text", "stop", 400, 0, 101, 0.0, 1.0, 3.0, drafted_tokens=50, confirmed_tokens=40)


def test_prompts_are_long_enough_and_the_same_each_time() -> None:
    _, found = texts()
    prompts = long_prompts(8, found)
    assert prompts == long_prompts(8, found)
    assert len(set(prompts)) == 8
    assert min(len(prompt.split()) for prompt in prompts) >= 300


def test_short_texts_are_joined_and_used_again() -> None:
    prompts = long_prompts(2, ["one two three", "four"], least_words=7)
    assert prompts[0] == "one two three\n\nfour\n\none two three"
    assert len(prompts[1].split()) >= 7


def test_ratio_acceptance_and_differing_texts() -> None:
    without = Round([DONE, replace(DONE, text="other")], 6.0)
    drafted = Round([replace(DONE, duration_s=2.0), replace(DONE, duration_s=2.0)], 4.0)
    report = _report({False: [without], True: [drafted]})
    assert report["decode_ratio"]["median"] == pytest.approx(2.0)
    assert report["overall_ratio"]["median"] == pytest.approx(1.5)
    assert report["acceptance"] == 0.8
    assert (report["identical"], report["compared"]) == (1, 2)
