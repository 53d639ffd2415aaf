"""Conversations, dialogues and trees of messages."""

from __future__ import annotations

import random

import pytest

from augtui.pipelines import turns
from augtui.pipelines.fields import Finder, NoRecord
from augtui.pipelines.shapes import named
from augtui.pipelines.turns import Pair

LONG = [
    ("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e"),
]  # fmt: skip


def test_pairs_have_what_went_before_them() -> None:
    assert turns.pairs(LONG) == [
        Pair("a", "b", "s"),
        Pair("c", "d", "s", (("a", "b"),)),
        Pair("e", None, "s", (("a", "b"), ("c", "d"))),
    ]
    assert turns.chosen(turns.pairs(LONG), "first") == [Pair("a", "b", "s")]
    assert turns.chosen(turns.pairs(LONG), "last") == [Pair("c", "d", "s", (("a", "b"),))]
    assert [pair.instruction for pair in turns.chosen(turns.pairs(LONG), "all")] == ["a", "c"]


def test_a_conversation_is_followed_up_to_what_a_pair_cannot_hold() -> None:
    with_tool = [("user", "a"), ("assistant", "b"), ("tool", "t"), ("assistant", "c"), ("user", "d")]
    assert turns.pairs(with_tool) == [Pair("a", "b")]
    assert turns.pairs([("user", "a"), ("user", "b"), ("assistant", "c")]) == [Pair("a", None)]
    assert turns.pairs([("assistant", "hello"), ("user", "a"), ("assistant", "b")]) == [Pair("a", "b")]
    assert turns.pairs([("assistant", "a")]) == []


def test_every_pair_of_an_openhermes_conversation_becomes_a_record() -> None:
    row = {
        "id": 7,
        "source": "airoboros",
        "system_prompt": None,
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "Hi"},
            {"from": "gpt", "value": "Hello"},
            {"from": "human", "value": "And now?"},
            {"from": "gpt", "value": "Bye"},
        ],
    }
    shape = named("openhermes")
    first = Finder(None, shape).find_all(row)
    assert [(one.instruction, one.response, one.source_id) for one in first] == [("Hi", "Hello", 7)]
    assert first[0].extra["system"] == "Be brief."
    assert first[0].extra["conversations"] == row["conversations"]
    last = Finder(None, shape, "last").find_all(row)
    assert [(one.instruction, one.response) for one in last] == [("And now?", "Bye")]
    assert last[0].extra == {
        "source": "airoboros", "system_prompt": None, "system": "Be brief.", "history": [["Hi", "Hello"]],
    }  # fmt: skip
    every = Finder(None, shape, "all").find_all(row)
    assert [(one.instruction, one.response, one.extra.get("history")) for one in every] == [
        ("Hi", "Hello", None),
        ("And now?", "Bye", [["Hi", "Hello"]]),
    ]
    assert all("conversations" not in one.extra for one in every)


def test_a_named_layout_takes_only_its_own_names() -> None:
    row = {"instruction": "i", "output": "o", "messages": [{"role": "user", "content": "u"}]}
    assert Finder(None, named("alpaca")).find(row).instruction == "i"
    assert Finder(None, named("messages")).find(row).instruction == "u"
    with pytest.raises(NoRecord):
        Finder(None, named("gsm8k")).find(row)
    with pytest.raises(NoRecord):
        Finder(None, named("lccc")).find("just text")
    with pytest.raises(NoRecord):
        Finder(None, named("alpaca")).find(["a", "dialogue"])


def test_the_tree_of_open_assistant_is_walked_by_rank() -> None:
    tree = {
        "message_tree_id": "m",
        "prompt": {
            "text": "q", "role": "prompter",
            "replies": [
                {"text": "worse", "role": "assistant", "rank": 1, "replies": []},
                {"text": "best", "role": "assistant", "rank": 0, "replies": [
                    {"text": "more", "role": "prompter", "replies": [{"text": "sure", "role": "assistant"}]}]},
                {"text": "gone", "role": "assistant", "deleted": True},
                None,
            ],
        },
    }  # fmt: skip
    one = Finder().find(tree)
    assert (one.instruction, one.response, one.source_id) == ("q", "best", "m")
    every = Finder(None, named("oasst"), "all").find_all(tree)
    assert [(found.instruction, found.response) for found in every] == [("q", "best"), ("more", "sure"), ("q", "worse")]
    assert every[1].extra["history"] == [["q", "best"]]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("你 好 ， 2 1 万", "你好，21万"),
        ("还 要 学 R a p", "还要学Rap"),
        (" 是 哈 ", "是哈"),
        ("我 用 hello world 来 测 试", "我用hello world来测试"),
        ("好", "好"),
    ],
)
def test_spaced_characters_are_joined(line: str, expected: str) -> None:
    assert turns.joined(line) == expected


def test_only_dialogues_whose_characters_all_stand_apart_are_joined() -> None:
    assert turns.from_dialogue(["你 好 吗", "好"]) == [("user", "你好吗"), ("assistant", "好")]
    assert turns.from_dialogue(["你 好 吗", "今天 不 错"])[1] == ("assistant", "今天 不 错")
    assert turns.from_dialogue(["a b c", "d e"]) == [("user", "a b c"), ("assistant", "d e")]


def test_deep_and_odd_trees_end_well() -> None:
    node: dict[str, object] = {"text": "x", "role": "assistant", "replies": 5}
    assert turns.from_tree(node) == [[("assistant", "x")]]
    assert turns.from_tree({"text": 1, "role": "x"}) == []
    rng = random.Random(1)
    values: list[object] = [
        None,
        1,
        "a",
        [],
        {},
        ["a", 1],
        {"role": 1},
        {"from": "human"},
        {"role": "user", "content": []},
    ]
    for _ in range(300):
        row = {"messages": [rng.choice(values) for _ in range(rng.randrange(4))], "chosen": rng.choice(values)}
        try:
            Finder(None, choice=rng.choice(["first", "last", "all"])).find_all(row)
        except NoRecord:
            continue
