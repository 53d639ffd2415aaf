"""The teacher's laws: nothing that the user wrote is lost, and the same seed says the same."""

from __future__ import annotations

import re
from itertools import islice
from random import Random

import pytest

from augtui.domain.guard import Strictness, guard
from training.nano.sources import Prompt, Sources
from training.nano.teacher import FILLERS, TYPOS, classify, common_first_words, refine, stream, synthetic_prompt

PROMPTS = [
    Prompt("Explain how the tides work in 3 steps.", answer="By the moon.", group="dolly"),
    Prompt("Classify these words: ${{words}} and see https://example.org/a?b=1", group="seed"),
    Prompt("Rewrite the sentence.", "He go to the `park()` on 12,500 days.", "He goes.", "book"),
    Prompt("I want you to act as a linux terminal called Zyx9.", group="role"),
    Prompt("Natalia sold 48 clips in April and half as many in May. How many clips did she sell?", group="gsm8k"),
    Prompt("add this album to my playlist", group="snips AddToPlaylist"),
    *(
        Prompt(f"What is the capital of {name}?", answer=f"{name}town", group="dolly")
        for name in ("Utopia", "Ruritania", "Freedonia", "Sylvania", "Genovia", "Latveria", "Wakanda")
    ),
]
SENTENCES = [f"Sentence {i} names Oslo." for i in range(9)]
SOURCES = Sources(PROMPTS, ["Marie Curie", "St. Petersburg", "AT&T"], SENTENCES, ["river", "Ankle"])


@pytest.fixture(scope="module")
def known() -> frozenset[str]:
    return common_first_words(SOURCES)


@pytest.mark.parametrize("seed", range(6))
def test_every_token_of_a_prompt_is_in_its_refinement_in_order(seed: int, known: frozenset[str]) -> None:
    random = Random(seed)
    for _ in range(60):
        text, kind = synthetic_prompt(SOURCES, random)
        typed, refined = refine(text, kind, known, random)
        assert text.lower().rstrip(".?") in refined.lower()
        assert not set(re.findall(r"\d+|\$\{\{.*?\}\}|https?://\S+|`.*?`", typed)) - set(
            re.findall(r"\d+|\$\{\{.*?\}\}|https?://\S+|`.*?`", refined)
        )


def test_what_is_roughened_is_filler_and_function_words_only(known: frozenset[str]) -> None:
    random = Random(1)
    mistyped = {wrong for typos in TYPOS.values() for wrong in typos}
    filler = {word.strip(" ,!") for phrase in FILLERS for word in phrase.lower().split()}
    for prompt in PROMPTS * 20:
        typed, refined = refine(prompt.text, classify(prompt.text), known, random)
        kept = set(re.findall(r"[\w']+", refined.lower()))
        assert set(re.findall(r"[\w']+", typed.lower())) - kept <= mistyped | filler


def test_the_strict_guard_accepts_nearly_all_refinements(known: frozenset[str]) -> None:
    random, rejected = Random(2), []
    for prompt in PROMPTS * 10:
        typed, refined = refine(prompt.text, classify(prompt.text), known, random)
        rejected += [(typed, refined, violations)] if (violations := guard(typed, refined, Strictness.STRICT)) else []
    assert len(rejected) <= 0.05 * 10 * len(PROMPTS), rejected[:5]


def test_the_stream_is_deterministic_and_has_all_tasks() -> None:
    first, again, other = (list(islice(stream(SOURCES, seed, 400), 400)) for seed in (3, 3, 4))
    assert first == again
    assert first != other
    openings = {chat["messages"][0]["content"][28:36] for chat in first}
    assert len(openings) == 3
    assert all(chat["messages"][-1]["content"].strip() for chat in first)


@pytest.mark.parametrize(("prompt", "name"), [
    ("What is the difference between TCP and UDP?", "compare"), ("Write a poem about rain", "poem"),
    ("Write a Python function that reverses a string", "code"), ("How do I change a tire?", "howto"),
    ("Translate this to German: hello", "translate"), ("Plan a trip to Rome", "itinerary"),
    ("fix the grammar: he go", "rewrite"), ("zzz", "general"), ("You are a pirate.", "roleplay"),
])  # fmt: skip
def test_task_types(prompt: str, name: str) -> None:
    assert classify(prompt).name == name
