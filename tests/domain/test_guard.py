"""What the guard accepts and refuses: each kind of fact, the laws, and real prompts with real refinements."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augtui.domain import guard as module
from augtui.domain.facts import facts
from augtui.domain.guard import LONGEST, Strictness, Violation, guard
from augtui.domain.spelling import common_words, fillers

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)
_PIECES = (
    "${{topic}} {{x}} {city} <NAME> %s https://a.org/b?c=1 me@b.org `x = 1` snake_case camelCase os.path main.py "
    "--flag \"two words\" “curly one” 「引用」 《红楼梦》 'single one' Paris NASA 42 3.5 1,000 25% $7 3 pm three "
    "photosynthesis 请写一篇关于海洋的文章 三个 however, ``` \n ( ) [ ] { } ' \" : . ! -5 C++ GPT-4 a/b"
)
PROMPT_TEXT = st.lists(st.sampled_from(_PIECES.split(" ")), max_size=25).map(" ".join)
LENIENT, NORMAL, STRICT = Strictness.LENIENT, Strictness.NORMAL, Strictness.STRICT


def kinds(original: str, refined: str, strictness: Strictness = LENIENT) -> set[str]:
    return {violation.kind for violation in guard(original, refined, strictness)}


@pytest.mark.parametrize(
    ("fact", "changed", "kind"),
    [
        ("${{topic}}", "${{topics}}", "variable lost"),
        ("{{ name }}", "{name}", "variable lost"),
        ("{city}", "the city", "variable lost"),
        ("<PRODUCT>", "the product", "variable lost"),
        ("[COMPANY NAME]", "the company", "variable lost"),
        ("%s", "%d", "variable lost"),
        ("%(name)s", "name", "variable lost"),
        ("https://example.org/a/b?id=7", "https://example.org/a/b?id=8", "link lost"),
        ("https://example.org/a", "https://example.org/ab", "link lost"),
        ("www.example.com/x", "the site", "link lost"),
        ("jo.doe+x@example.co.uk", "jo.doe@example.co.uk", "link lost"),
        ("example.com", "example.org", "link lost"),
        ("get_user_name", "get_username", "code lost"),
        ("parseJSON", "parse JSON", "code lost"),
        ("os.path.join", "os.path", "code lost"),
        ("config.yaml", "config.yml", "code lost"),
        ("--dry-run", "--dry", "code lost"),
        ("/etc/hosts", "/etc/host", "code lost"),
        ("`x = y[0]`", "`x = y[1]`", "code lost"),
        ("C++", "C", "code lost"),
        ("GPT-4", "GPT-3", "code lost"),
        ("print(x)", "show x", "code lost"),
        ("a != b", "a = b", "code lost"),
        ('"the quick fox"', '"the slow fox"', "quote lost"),
        ("“never give up”", "“always give up”", "quote lost"),
        ("'carpe diem'", "seize the day", "quote lost"),
        ("「床前明月光」", "「床前明月」", "quote lost"),
        ("《红楼梦》", "《西游记》", "quote lost"),
        ("42", "24", "number lost"),
        ("1,250.75", "1,250.57", "number lost"),
    ],
)
def test_a_changed_fact_is_lost(fact: str, changed: str, kind: str) -> None:
    original, refined = (
        "Please explain {} in plain terms",
        "Explain, for a beginner and in plain terms: {} (with an example)",
    )
    assert kind in kinds(original.format(fact), refined.format(changed))
    assert kinds(original.format(fact), refined.format(fact), STRICT) == set()


@pytest.mark.parametrize(
    ("original", "refined"),
    [
        ("explain ${{ topic }}", "Explain ${{topic}} step by step."),
        ("what does `np.zeros` do", "Explain what np.zeros does."),
        ('rhyme with "point"', "Write words that rhyme with “point”."),
        ("use gpt4 to write", "Use GPT-4 to write."),
        ("tell me about YouTube", "Describe Youtube in detail."),
        ("see https://a.org/x.", "Read (https://a.org/x) and see."),
        ("请翻译“你好，世界”", "请将「你好世界」翻译成英文"),
        ("it's 5 o’clock", "It’s 5 o'clock now, is it not?"),
        ("Use chapters(3) and models(LLM)", "Use 3 chapters and several models, such as an LLM."),
        ("This is the end.Next sentence", "This is the end. Next sentence."),
        ("e.g. the U.S. at 3 p.m.", "For example, the US at 3 pm"),
    ],
)
def test_another_way_of_writing_is_no_loss(original: str, refined: str) -> None:
    assert kinds(original, refined) == set()


def test_code_blocks_survive_whole_and_may_be_shifted() -> None:
    block = "def f(x):\n    if x:\n        return 1\n"
    original = f"Find the bug:\n```python\n{block}```\n"
    assert kinds(original, f"Find and explain the bug in this function.\n\n```\n{block}```\nBe brief.") == set()
    indented = "".join(f"    {line}\n" for line in block.splitlines())
    assert kinds(original, f"- Find the bug:\n\n{indented}") == set()
    assert kinds(original, f"Find the bug:\n```python\n{block.replace('        return', '    return')}```\n") == {
        "code lost"
    }
    assert kinds(original, original.replace("return 1", "return 2")) == {"code lost"}


def test_names_count_from_normal_on() -> None:
    original, refined = "write an email to Priya about the trip to Kyoto", "Write an email about the trip to Kyoto."
    assert kinds(original, refined, LENIENT) == set()
    assert guard(original, refined, NORMAL) == [Violation("name lost", "Priya")]
    assert kinds("What is the Spider-Man film about", "Summarise the film Spider Man.", NORMAL) == set()
    assert kinds("用Python写爬虫", "请编写一个网络爬虫", NORMAL) == {"name lost"}


def test_strict_keeps_every_content_word() -> None:
    original = "how do i deal with stress at work"
    assert guard(original, "Explain how to deal with stages at work.") == [Violation("word lost", "stress")]
    assert guard(original, "Explain how one can deal with stress at the workplace, step by step.") == [
        Violation("word lost", "work")
    ]
    assert guard(original, "Explain ways of dealing with stressful work.") == []
    assert guard("tell me abuot photosinthesis plz", "Explain photosynthesis.") != []
    assert guard("can you recomend a good book", "Recommend a book, and say why.") == []
    assert guard("make a web site for my bakery", "Create a website for a bakery.") == []
    assert guard("summarise the colour theory article", "Provide a summary of the article on color theory.") == []


def test_strict_keeps_a_prompt_that_has_no_content_word() -> None:
    assert guard("first", "ho. The text should include a clear answer.") == [Violation("word lost", "first")]
    assert guard("go on", "Go on. Give details.") == []


def test_strict_refuses_words_that_are_none() -> None:
    assert guard("what is hard water", "Explain what hard water is, with stagement.") == [
        Violation("unknown word", "stagement")
    ]
    assert guard("what is hard water", "Explain what hard water is, with a concise walkthrough.") == []
    assert guard("explain pytorch autograd", "Explain PyTorch autograd.") == []


def test_strict_keeps_chinese_phrases() -> None:
    original = "帮我写一篇关于人工智能发展历史的文章"
    assert guard(original, "请撰写一篇文章，系统介绍人工智能的发展历史。") == []
    assert guard(original, "请撰写一篇文章，系统介绍电子商务的发展历史。") == [Violation("word lost", "人工智能发")]


def test_language_template_repetition_and_length() -> None:
    assert kinds("Write a poem about the sea for my friend", "请为我的朋友写一首关于大海的诗") == {"language changed"}
    assert kinds("a poem", "##Refined Prompt##: a poem", Strictness.OFF) == {"template leaked"}
    assert kinds("a poem", "Sure! Here is the refined prompt: a poem", Strictness.OFF) == {"template leaked"}
    assert kinds("a poem", "a poem<|im_end|>", Strictness.OFF) == {"template leaked"}
    echo = "You are a helpful assistant to refine this instruction and modify it. A poem"
    assert kinds("a poem", echo, Strictness.OFF) == {"echo of system prompt"}
    assert kinds("fix </s> in the text <|im_end|>", "Repair </s> in the text <|im_end|>", Strictness.OFF) == set()
    assert kinds("a poem", " \n", Strictness.OFF) == {"empty"}
    assert kinds("a poem", "a poem " + "and then the sea " * 30) == {"repetition"}
    assert kinds("写诗", "写诗" + "哈" * 100) == {"repetition"}
    assert kinds("write a poem", "write a  poem", NORMAL) == {"unchanged"}
    assert kinds("a poem", "a poem " + " ".join(f"w{number}" for number in range(300)), NORMAL) == {"too long"}
    assert guard("a poem", "a poem " + " ".join(["about", "sea"] * 3), NORMAL, max_growth=1) == []


def test_the_examples_of_the_paper_are_accepted() -> None:
    original = "You are an expert in Transformer models. How to implement a Transformer model using PyTorch?"
    refined = (
        "As an expert in Transformer models, please provide a detailed guide explaining how to implement a "
        "Transformer model using the PyTorch framework. Please include the following key sections: Model Architecture "
        "Overview: Describe the basic structure and components of the Transformer. Parameter Settings: "
        "Provide recommended settings for key "
        "parameters such as learning rate, batch size, etc."
    )
    assert guard(original, refined) == []
    refined = "Create a comprehensive Hangzhou travel guide. It should include: 1. An itinerary. 2. Local foods."
    assert guard("Create a travel guide for Hangzhou.", refined) == []


def test_a_violation_reads_as_one_phrase() -> None:
    assert [str(violation) for violation in guard("take 42", "take it", LENIENT)] == ["number lost: 42"]
    assert str(Violation("empty")) == "empty"


@given(ANY_TEXT | PROMPT_TEXT, ANY_TEXT | PROMPT_TEXT, st.sampled_from(Strictness))
def test_it_never_raises_and_always_explains(original: str, refined: str, strictness: Strictness) -> None:
    found = guard(original, refined, strictness)
    assert all(violation.kind and len(violation.detail) <= 120 for violation in found)
    assert found == guard(original, refined, strictness)


@given(ANY_TEXT | PROMPT_TEXT, st.sampled_from(["\n", " "]), ANY_TEXT | PROMPT_TEXT)
def test_a_suffix_loses_nothing(original: str, blank: str, suffix: str) -> None:
    assert not [kind for kind in kinds(original, original + blank + suffix, STRICT) if kind.endswith("lost")]


@given(PROMPT_TEXT)
def test_the_extraction_finds_each_fact_of_a_text_in_that_text(text: str) -> None:
    unaided = pytest.MonkeyPatch()
    with unaided.context() as patch:
        patch.setattr(module, "_contains", lambda refined, original: False)
        assert not [kind for kind in kinds(text, text, STRICT) if kind.endswith("lost")]


@given(
    st.integers(10, 10**9),
    st.sampled_from(["It has {} parts.", "use {} words", "写{}个字", "({})", "from {} to the end"]),
)
def test_removing_a_number_is_always_caught(number: int, sentence: str) -> None:
    assert "number lost" in kinds(sentence.format(number), "1. " + sentence.format("many") + "\n2. Be brief.")


@given(st.sampled_from([LENIENT, NORMAL, STRICT]), PROMPT_TEXT, PROMPT_TEXT)
@settings(max_examples=60)
def test_a_stricter_level_finds_no_less(strictness: Strictness, original: str, refined: str) -> None:
    assert kinds(original, refined, Strictness.OFF) <= kinds(original, refined, strictness)
    assert kinds(original, refined, LENIENT) <= kinds(original, refined, NORMAL) <= kinds(original, refined, STRICT)


@pytest.mark.parametrize(
    "piece",
    ["```a\n", '"a ', "'a", "“", "{{a", "1,111", "a@", "/a", "中a", "<A", "[AB", "-", "a.", "f(", "\ud800", "1. "],
)
def test_long_hostile_texts_get_an_answer(piece: str) -> None:
    text = piece * (20_000 // len(piece))
    assert isinstance(guard(text, "x"), list)
    assert isinstance(guard(text + "\nz 5", text[1:] + " q"), list)
    beyond = "x" + piece * (LONGEST // len(piece) + 1)
    assert "too long" in kinds("x y z", beyond)


Prompts = dict[str, list[str]]


@pytest.fixture(scope="module")
def prompts() -> Prompts:
    data = Path(__file__).parents[2] / "../shared/data"
    if not data.is_dir():
        pytest.skip("the folder ../shared/data with the real prompts is absent")

    def lines(name: str, key: str) -> list[str]:
        return [json.loads(line)[key] for line in (data / name).read_text(encoding="utf-8").splitlines()]

    with (data / "seeds/awesome_prompts_classic.csv").open(encoding="utf-8", newline="") as file:
        awesome = [row["prompt"] for row in csv.DictReader(file)]
    found = {
        "user": lines("seeds/self_instruct_user_oriented.jsonl", "instruction"),
        "seeds": lines("seeds/self_instruct_seed_tasks.jsonl", "instruction"),
        "awesome": awesome,
        "chinese": [
            row["prompt"] for row in json.loads((data / "seeds/awesome_prompts_zh.json").read_text(encoding="utf-8"))
        ],
        "dolly": lines("train/dolly_6400_instructions.jsonl", "instruction"),
        "gsm8k": lines("train/gsm8k_train.jsonl", "question"),
    }
    chooser = random.Random(0)
    return {name: chooser.sample(texts, min(150, len(texts))) for name, texts in found.items()}


@pytest.mark.parametrize("strictness", Strictness)
def test_real_prompts_wrapped_in_an_instruction_are_accepted(prompts: Prompts, strictness: Strictness) -> None:
    for text in (text for texts in prompts.values() for text in texts if text.strip()):
        assert guard(text, "Please do the following carefully: " + text, strictness) == []


def test_real_prompts_keep_their_facts_under_extraction(prompts: Prompts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_contains", lambda refined, original: False)
    texts = [text for texts in prompts.values() for text in texts if len(text) > 60]
    wrong = [text for text in texts if guard(text, "Carry out this assignment:\n" + text + "\n\n1. Be clear.")]
    assert wrong == []


def test_real_refinements_are_mostly_accepted() -> None:
    path = Path(__file__).parents[2] / "../shared/data/refine/bpo_val.json"
    if not path.exists():
        pytest.skip("../shared/data/refine/bpo_val.json is absent")
    rows = json.loads(path.read_text(encoding="utf-8"))
    pairs = [(row.get("instruction") or row["prompt"], row["optimized_prompt"]) for row in rows]
    accepted = {
        level: sum(not guard(*pair, level) for pair in pairs) / len(pairs) for level in (LENIENT, NORMAL, STRICT)
    }
    assert accepted[LENIENT] >= 0.92
    assert accepted[NORMAL] >= 0.85
    assert accepted[STRICT] >= 0.40


def _wrapped(text: str) -> str:
    return f"Carry out this assignment:\n{text}\n\nHints:\n1. Be coherent throughout.\n2. Use a friendlier voice."


@pytest.mark.parametrize(
    ("kind", "facts_to_insert"),
    [
        ("variable lost", ["${{topic}}", "{{ name }}", "{city}", "<PRODUCT>", "%s", "[COMPANY]"]),
        ("link lost", ["https://example.org/a/b?id=7", "www.example.com/path", "mail.me+x@example.co.uk"]),
        (
            "code lost",
            ["get_user_name", "config.yaml", "--dry-run", "parseJSON", "`x = y[0]`", "src/main.rs", "C++", "np.array"],
        ),
        ("quote lost", ['"the quick brown fox"', "“never give up”", "'carpe diem'", "「床前明月光」"]),
    ],
)
def test_dropped_facts_of_real_prompts_are_caught(prompts: Prompts, kind: str, facts_to_insert: list[str]) -> None:
    chooser = random.Random(1)
    tried = caught = 0
    for text in (text for texts in prompts.values() for text in texts if not set("`\"'“{[").intersection(text)):
        fact, words = chooser.choice(facts_to_insert), text.split(" ")
        place = chooser.randrange(len(words) + 1)
        original = " ".join([*words[:place], fact, *words[place:]])
        tried += 1
        caught += kind in kinds(original, _wrapped(original.replace(fact, "it")))
        assert kinds(original, _wrapped(original)) == set()
    assert tried > 200
    assert caught / tried >= 0.995


def _numbers_of(text: str) -> list[re.Match[str]]:
    found = re.finditer(r"(?<![\w.,:/$€^-])\d{2,}(?:,\d{3})*(?![\w.,:/-]*\d)(?![\w:/)^.-])", text)
    return [m for m in found if len(re.findall(rf"(?<!\d){m.group()}(?!\d)", text)) == 1]


def _names_of(text: str) -> list[re.Match[str]]:
    found = re.finditer(r"(?<=[a-z,] )(?!The|And|But|For|This|What|When)[A-Z][a-z]{2,}\b", text)
    once = [m for m in found if len(re.findall(m.group()[:5].lower(), text.lower())) == 1]
    return [m for m in once if m.group().lower() not in common_words()]


def _rare_words_of(text: str) -> list[re.Match[str]]:
    found = re.finditer(r"(?<!['-])\b[a-z]{8,}\b(?!['-])", text)
    return [m for m in found if len(re.findall(m.group()[:5], text.lower())) == 1 and m.group() not in fillers()]


@pytest.mark.parametrize(
    ("find", "swaps", "strictness", "kind", "rate"),
    [
        (_numbers_of, ["some", "7777"], LENIENT, "number lost", 0.98),
        (_numbers_of, ["some", "7777"], STRICT, "number lost", 0.995),
        (_names_of, ["it", "Berlin"], NORMAL, "name lost", 0.97),
        (_rare_words_of, ["it", "stages", "gardens"], STRICT, "word lost", 0.97),
    ],
)
def test_swaps_in_real_prompts_are_caught(
    prompts: Prompts,
    find: Callable[[str], list[re.Match[str]]],
    swaps: list[str],
    strictness: Strictness,
    kind: str,
    rate: float,
) -> None:
    chooser = random.Random(2)
    tried = caught = 0
    for text in (text for name, texts in prompts.items() if name != "chinese" for text in texts):
        places = find(text)
        if places:
            place = chooser.choice(places)
            changed = text[: place.start()] + chooser.choice(swaps) + text[place.end() :]
            tried += 1
            caught += kind in kinds(text, _wrapped(changed), strictness) or "quote lost" in kinds(
                text, _wrapped(changed)
            )
    assert tried > 30
    assert caught / tried >= rate


def test_facts_leave_the_running_text() -> None:
    found = facts('Use `a b` in main.py, see https://a.org/x (or me@b.org) for ${{topic}} and "this".')
    assert found.variables == ["${{topic}}"]
    assert found.links == ["https://a.org/x", "me@b.org"]
    assert found.code == ["a b", "main.py"]
    assert found.quotes == ["this"]
    assert "main" not in found.prose


@pytest.mark.parametrize(
    ("refined", "kind"),
    [
        ("C how photosynthesis works. In your explanation, be clear.", "unknown word"),
        ("Explain how photosynthesis works.\n1. The most important facts.\n2. The most important facts.", "repetition"),
        ("Explain how photosynthesis works. Keep it very simple. Use an example. Keep it very simple.", "repetition"),
    ],
)
def test_a_strict_guard_refuses_stray_letters_and_entries_that_stand_twice(refined: str, kind: str) -> None:
    original = "explain how photosynthesis works"
    assert kind in {violation.kind for violation in guard(original, refined, Strictness.STRICT)}
    assert kind not in {violation.kind for violation in guard(original, refined, Strictness.LENIENT)}


def test_letters_and_entries_of_the_original_may_stay() -> None:
    original = "Solve for x: 2x + y = 7. Do it twice as asked. Do it twice as asked."
    assert guard(original, f"{original} Show each step.", Strictness.STRICT) == []
