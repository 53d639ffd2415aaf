"""The teacher's laws: nothing that the user wrote is lost, and the same seed says the same."""

from __future__ import annotations

import re
from itertools import islice
from random import Random

import pytest

from augtui.domain.guard import Strictness, guard
from augtui.domain.kinds import classify
from augtui.domain.language import Language, language
from augtui.domain.tasks import TASKS, Unparsed
from training.nano.expand import Expander
from training.nano.heldout import Asked, HeldOut
from training.nano.kinds import fill, invent, pools, task_type, task_types
from training.nano.pairs import Pairs
from training.nano.refine import FILLERS, TYPOS, refine
from training.nano.sources import Prompt, Sources
from training.nano.teacher import Asker, common_first_words, stream
from training.nano.texts import synthetic_prompt, synthetic_prompt_zh

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
PROMPTS_ZH = [Prompt(text, group="oasst") for text in ("如何学习编程", "为什么天空是蓝色的？", "写一首关于雪的诗")]
SENTENCES = [f"Sentence {i} names Oslo." for i in range(19)]
SOURCES = Sources(
    PROMPTS, ["Marie Curie", "St. Petersburg", "AT&T"], SENTENCES, ["river", "Ankle"], PROMPTS_ZH, ["长江", "故宫"],
    [f"这是第{i}个句子，讲的是北京。" for i in range(19)], "这是第个句子讲的北京",
)  # fmt: skip


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


@pytest.mark.parametrize("seed", range(4))
def test_chinese_is_refined_in_chinese_and_carried_over(seed: int, known: frozenset[str]) -> None:
    random = Random(seed)
    for _ in range(60):
        text, kind = synthetic_prompt_zh(SOURCES, random)
        typed, refined = refine(text, kind, known, random, Language.ZH)
        assert text.rstrip("。？") in refined
        assert language(refined) is Language.ZH
        assert not guard(typed, refined, Strictness.STRICT), (typed, refined)


def test_what_is_roughened_is_filler_and_function_words_only(known: frozenset[str]) -> None:
    random = Random(1)
    mistyped = {wrong for typos in TYPOS.values() for wrong in typos}
    filler = {word.strip(" ,!") for phrase in FILLERS for word in phrase.lower().split()}
    for prompt in PROMPTS * 20:
        typed, refined = refine(prompt.text, task_type(prompt.text), known, random)
        kept = set(re.findall(r"[\w']+", refined.lower()))
        assert set(re.findall(r"[\w']+", typed.lower())) - kept <= mistyped | filler


def test_the_strict_guard_accepts_nearly_all_refinements(known: frozenset[str]) -> None:
    random, rejected = Random(2), []
    asker = Asker(SOURCES)
    for _ in range(400):
        text, kind, spoken = asker.draw(random)
        typed, refined = refine(text, kind, known, random, spoken)
        rejected += [(typed, refined, violations)] if (violations := guard(typed, refined, Strictness.STRICT)) else []
    assert len(rejected) <= 0.06 * 400, rejected[:5]


def test_expanded_instructions_are_new_of_their_kind_and_parse() -> None:
    random, expander = Random(3), Expander(SOURCES)
    pairs = [expander.pair(random) for _ in range(400)]
    assert not [pair for pair in pairs if isinstance(TASKS["expand"].parse(pair[1], "stop"), Unparsed)]
    assert not [target for _, target, _, _ in pairs if "{" in target]
    assert sum(source == target for source, target, _, _ in pairs) <= 4
    alike = [
        classify(source, spoken) == kind.name == classify(target, spoken) for source, target, kind, spoken in pairs
    ]
    assert sum(alike) >= 0.9 * len(alike)
    assert all((language(target) is Language.ZH) == (spoken is Language.ZH) for _, target, _, spoken in pairs)


def test_sums_conversions_and_sorted_words_are_right() -> None:
    random, pairs = Random(4), Pairs(SOURCES)
    for _ in range(200):
        question, answer = pairs.one(0, random)
        left, right = answer.split(" = ")
        assert eval(left) == int(right), question
        question, answer = pairs.one(6, random)
        if question.startswith("Sort"):
            assert answer.split(", ") == sorted(question.split(": ")[1].rstrip(".").split(", "))
        if question.startswith("How many"):
            assert str(len(question.split(": ")[1].split(","))) in answer


@pytest.mark.parametrize("spoken", [Language.EN, Language.ZH])
def test_every_form_and_pool_can_be_filled(spoken: Language) -> None:
    random = Random(5)
    for kind in task_types(spoken):
        assert len(kind.aspects) >= 3
        assert len(kind.rules) >= 4
        for form in kind.forms:
            for _ in range(5):
                text = invent(kind, spoken, random, form)
                assert not re.search(r"\{\w+\}", text), (kind.name, text)
    for values in pools(spoken).values():
        assert all(not re.search(r"\{\w+\}", fill(value, spoken, random)) for value in values)


def test_there_are_forty_task_types_and_the_fifteen_commonest_in_chinese() -> None:
    assert len({kind.name for kind in task_types()}) >= 40
    assert len({kind.name for kind in task_types(Language.ZH)}) >= 15


def test_the_stream_is_deterministic_and_has_all_tasks() -> None:
    first, again, other = (list(islice(stream(SOURCES, seed, 400), 400)) for seed in (3, 3, 4))
    assert first == again
    assert first != other
    openings = {chat["messages"][0]["content"][28:36] for chat in first}
    assert len(openings) == 3
    assert all(chat["messages"][-1]["content"].strip() for chat in first)


class Asking(HeldOut):
    """Remembers the texts that it is asked about."""

    def __init__(self, asked: list[Asked]) -> None:
        super().__init__(asked)
        self.texts: list[str] = []

    def shares(self, text: str) -> bool:
        self.texts.append(text)
        return super().shares(text)


def test_what_the_evaluation_asks_is_never_taught() -> None:
    asking = Asking([Asked("own", "What is the capital of Utopia?"), Asked("own", "如何学习编程")])
    for held_out, is_taught in ((HeldOut(()), True), (asking, False)):
        sources = Sources(**{**vars(SOURCES), "held_out": held_out})
        taught = {chat["messages"][1]["content"].partition(": ")[2] for chat in stream(sources, 6, 1500)}
        assert ("如何学习编程" in taught) == is_taught
    # It is asked about prompts as they are written, not about what the model reads of them.
    assert "What is the capital of Utopia?" in asking.texts


def test_a_stretch_of_eight_words_or_twelve_characters_is_held_out() -> None:
    held_out = HeldOut([Asked("own", "Give me seven good reasons to keep bees on a city roof, please."),
                        Asked("own", "请给我一个在城市屋顶上养蜜蜂的好理由")])  # fmt: skip
    assert held_out.shares("She said: seven good reasons to keep bees on a balcony")
    assert not held_out.shares("Give me seven good reasons to plant trees.")
    assert held_out.shares("他说，一个在城市屋顶上养蜜蜂的人")
    assert not held_out.shares("请给我一个好理由")


@pytest.mark.parametrize(("prompt", "name"), [
    ("What is the difference between TCP and UDP?", "compare"), ("Write a poem about rain", "poem"),
    ("Write a Python function that reverses a string", "code"), ("How do I change a tire?", "howto"),
    ("Translate this to German: hello", "translate"), ("Plan a trip to Rome", "itinerary"),
    ("fix the grammar: he go", "rewrite"), ("zzz", "general"), ("You are a pirate.", "roleplay"),
    ("The sentence may be unclear. Rewrite it so that it is shorter.", "rewrite"),
    ("can you please summarize the article on Python below?", "summarize"),
    ("Is it true that bats are blind?", "factcheck"), ("Tell me a joke about a baker", "humor"),
    ("写一首关于春天的诗", "poem"), ("把这句话翻译成英语：你好", "translate"), ("如何学习英语？", "howto"),
    ("用Python写一个排序函数", "code"), ("什么是黑洞？", "explain"), ("嗯", "general"),
])  # fmt: skip
def test_task_types(prompt: str, name: str) -> None:
    assert classify(prompt) == name
