"""The rules: what each finds, what it leaves alone, and that real data pass."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.domain.records import Record
from augtui.errors import UsageError
from augtui.pipelines import collect, rules
from augtui.pipelines.rules import GROUPS, RULES, Limits

LONG = "The committee met on Monday and it talked about the new budget for the coming year in great detail. "

BROKEN = [
    ("empty", Record("??? !!!", "x")),
    ("length", Record("Why?", "Because it is so.")),
    ("length", Record("Tell me all", "word " * 4001)),
    ("template", Record("Write #Given Instruction# again", "x")),
    ("template", Record("Write a poem", "### Response: The sea")),
    ("template", Record("Write a poem", "The sea<|im_end|>")),
    ("template", Record("Write a poem", "Assistant: the sea is blue")),
    ("template", Record("Write a poem", "[/INST] the sea")),
    ("refusal", Record("Tell a secret", "I'm sorry, but I can't help with that.")),
    ("refusal", Record("Tell a secret", "I’m sorry, I cannot do that.")),
    ("refusal", Record("Who are you?", "As an AI language model, I do not have feelings.")),
    ("refusal", Record("Open the link", "I am unable to browse the web.")),
    ("refusal", Record("查一下天气", "抱歉，我无法提供实时天气。")),
    ("refusal", Record("你喜欢什么", "作为一个人工智能，我没有喜好。")),
    ("truncation", Record("Tell me more", LONG + "After that the members went on to")),
    ("truncation", Record("Tell me more", LONG + "Then they ate bread, cheese,")),
    ("truncation", Record("Write code", "Here it is:\n```python\nprint(1)")),
    ("truncation", Record("Tell me more", "short", extra={"finish_reason": "length"})),
    ("truncation", Record("Report", LONG * 3 + "At the end of it all the chairman thanked all and then he walked")),
    ("repetition", Record("Write a poem", "the sea is blue and " * 20)),
    ("repetition", Record("Write a poem", LONG + "again " * 30)),
    ("repetition", Record("写一首诗", "大海啊大海。" * 20)),
    ("language", Record("写一首关于大海的诗，要押韵", "The sea is wide and blue, and the waves roll in from far.")),
    ("language", Record("Write a poem about the sea for me", "大海很蓝，浪花从远方涌来，拍打着岸边的礁石。")),
    ("language", Record("Explain how the tides work", "Les marées sont causées par la lune et par le soleil.")),
    ("copy", Record("Write a poem about the sea", "Write a poem about the sea.")),
    ("self-instruct-length", Record("Be nice, please")),
    ("self-instruct-length", Record("word " * 151)),
    ("self-instruct-length", Record("写诗吧")),
    ("self-instruct-keywords", Record("Describe the picture that you see")),
    ("self-instruct-keywords", Record("Go to the shop and buy bread")),
    ("self-instruct-keywords", Record("请描述这张图片里的内容是什么")),
    ("self-instruct-program", Record("Write a program that adds two numbers")),
    ("self-instruct-first", Record("- write a poem about the sea")),
    ("self-instruct-first", Record("“写”一首关于大海的诗")),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "record"), BROKEN)
def test_a_broken_rule_is_named_with_what_is_wrong(rule: str, record: Record) -> None:
    decision = rules.decide(record, GROUPS["all"])
    assert rule in decision.detail["faults"], decision
    assert decision.reason in decision.detail["faults"]
    alone = rules.decide(record, [rule])
    assert alone.reason == rule
    assert 0 < len(alone.detail["faults"][rule]) < 200


FINE = [
    Record("Write a letter to a friend", "Dear Ann,\n\nI'm sorry that I missed your party. I can come.\n\nYours,\nBob"),
    Record("Give an apology", "Sorry for the delay! We will send it today."),
    Record("What is AI?", "An AI language model is a program that predicts text. It can answer questions."),
    Record("Translate to Chinese: the sea is wide and blue today", "今天大海又宽又蓝，天气也很好。"),
    Record("把这句话翻译成英文：大海很蓝", "The sea is very blue today and it is wide."),
    Record("用英语介绍一下大海", "The sea is wide and blue, and many fish live in the deep water."),
    Record("List fruits", "1. Apples\n2. Pears\n3. Plums and other stone fruits that one eats in autumn"),
    Record("Write a tweet", LONG * 2 + "Join us! #budget #committee #monday"),
    Record("Write a dialogue between a user and a bot", "User: Hi!\nBot: Hello, how can I help you?\nUser: I am lost."),
    Record("Wrap the answer in <answer></answer> tags, please", "42"),
    Record("Write a refrain", "La la la, la la la"),
    Record("Which operator adds?", "+"),
    Record("写一首关于大海的诗", "大海蓝蓝，浪花朵朵。"),
    Record("Correct this: he go home every day after school", "He goes home every day after school."),
    Record("Write HTML", "<ul>\n<li>One</li>\n<li>Two</li>\n</ul>"),
    Record("Python 和 Java 哪个更好学？", "Python 更好学，因为它的语法比较简单。"),
]  # fmt: skip


@pytest.mark.parametrize("record", FINE)
def test_good_records_break_no_usual_rule(record: Record) -> None:
    assert rules.decide(record).kept, rules.decide(record)


def test_self_instruct_looks_at_the_instruction_without_its_input() -> None:
    record = Record("Summarize the text below in one sentence.\n\n" + "The map and the image. " * 100)
    assert rules.decide(record, GROUPS["self-instruct"]).kept
    assert rules.decide(Record("写一首关于大海的诗歌"), GROUPS["self-instruct"]).kept
    assert rules.decide(Record("Écrivez un poème sur la mer"), GROUPS["self-instruct"]).kept


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("seeds/self_instruct_seed_tasks.jsonl", 0),
        ("train/instruction_data_1100.json", 0),
        ("train/gsm8k_test.jsonl", 0),
        ("collect/alpaca_cleaned_1000.json", 15),
        ("collect/alpaca_zh_demo.json", 50),
    ],
)
def test_published_data_pass_but_for_a_few(shared_data: Path, name: str, most: int) -> None:
    records = [row for row in collect.read(shared_data / name) if isinstance(row, Record)]
    dropped = [one for one in rules.decisions(records) if not one.kept]
    assert len(dropped) <= most


def test_a_response_may_be_required() -> None:
    assert rules.decide(Record("Write a poem")).kept
    assert rules.decide(Record("Write a poem"), limits=Limits(require_response=True)).reason == "empty"


def test_names_and_groups() -> None:
    assert rules.named(["usual"]) == GROUPS["usual"]
    assert set(rules.named(["all"])) == set(RULES)
    assert rules.named(["copy, empty", "copy"]) == ("empty", "copy")
    assert len(rules.named(["self-instruct"])) == 4
    with pytest.raises(UsageError, match="no rule 'beauty'"):
        rules.named(["copy,beauty"])


def test_limits_are_changed_by_name() -> None:
    assert rules.limits({"copy": 1, "response_max": 7}) == Limits(copy=1.0, response_max=7)
    for wrong in ({"beauty": 1}, {"copy": "x"}, {"response_max": 1.5}, {"require_response": 1}, {"copy": -1},
                  {"copy": float("nan")}, {"response_max": True}):  # fmt: skip
        with pytest.raises(UsageError):
            rules.limits(wrong)


@given(st.text(), st.none() | st.text())
def test_any_text_is_judged(instruction: str, response: str | None) -> None:
    decision = rules.decide(Record(instruction, response), GROUPS["all"])
    assert decision.kept == (not decision.detail.get("faults"))


def test_hostile_texts_take_no_time() -> None:
    for unit in (
        "I'm sorry ",
        "as an ai ",
        "# ",
        "#",
        "a",
        "<",
        "我",
        "\n",
        "\n#",
        " ",
        "Human: ",
        "{{ ",
        "- , ",
        "``` ",
    ):
        text = unit * (100_000 // len(unit))
        rules.decide(Record(text, text), GROUPS["all"])
