"""The names under which data sets keep the instruction and the response."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.pipelines import fields
from augtui.pipelines.fields import Finder, NoRecord
from augtui.pipelines.layout import Found, is_blank

USER = {"role": "user", "content": "u"}
ASSISTANT = {"role": "assistant", "content": "a"}
OTHER = {"role": "assistant", "content": "b"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"instruction": "i", "input": "", "output": "o"}, Found("i", "o")),
        ({"instruction": "i", "input": "x\n", "output": ""}, Found("i\n\nx\n")),
        ({"prompt": "p", "input": "x"}, Found("p", extra={"input": "x"})),
        ({"Prompt": "p", "Completion": "c"}, Found("p", "c")),
        ({"text": "t", "question": "q", "answer": "a"}, Found("q", "a", extra={"text": "t"})),
        ({"instruction": None, "query": "q"}, Found("q", extra={"instruction": None})),
        ({"uuid": "u", "id": 3, "text": "t"}, Found("t", source_id=3, extra={"uuid": "u"})),
        ({"id": True, "text": "t"}, Found("t", extra={"id": True})),
        ({"instruction": "i", "instances": [{"input": "x", "output": "o"}]}, Found("i\n\nx", "o")),
        (
            {"instruction": "i", "instances": [{"input": "", "output": "o"}, {"input": "y"}]},
            Found("i", "o", extra={"instances": [{"input": "", "output": "o"}, {"input": "y"}]}),
        ),
        ({"instruction": "i", "output": "o", "chosen": "c"}, Found("i", "o", extra={"chosen": "c"})),
        ({"instruction": "i", "output": "", "chosen": "c"}, Found("i", "c")),
        ({"prompt": "p", "output": ["c", "r"]}, Found("p", "c", extra={"rejected": "r"})),
        ({"prompt": "p", "output": ["c"]}, Found("p", "c")),
        ({"prompt": "p", "output": ["c", "r", "x"]}, Found("p", "c", extra={"output": ["c", "r", "x"]})),
        ({"question": "q", "answer": ["a", "b"]}, Found("q", "a", extra={"answer": ["a", "b"]})),
        ({"question": "q", "answer": 42}, Found("q", "42")),
        ({"question": "q", "answer": 0.5, "id": 1}, Found("q", "0.5", 1)),
        ({"question": "q", "answer": False}, Found("q", "false")),
        ({"question": "q", "answer": 1, "rationale": "because"}, Found("q", "because", extra={"answer": 1})),
        ({"instruction": "Square it.", "input": 7, "output": 49}, Found("Square it.\n\n7", "49")),
        (
            {"instruction": "i", "output": "o", "chosen": "c", "rejected": "r"},
            Found("i", "c", extra={"output": "o", "rejected": "r"}),
        ),
        (
            {"instruction": "o", "refined": "n", "status": "accepted", "provenance": {}},
            Found("n", extra={"instruction": "o", "status": "accepted", "provenance": {}}),
        ),
        (
            {"instruction": "o", "refined": None, "status": "failed", "provenance": {}},
            Found("o", extra={"refined": None, "status": "failed", "provenance": {}}),
        ),
        ({"prompt": "p", "chosen": [ASSISTANT]}, Found("p", "a")),
        ({"prompt": "p", "chosen": {"from": "gpt", "value": "g"}}, Found("p", "g")),
        ({"prompt": [USER], "chosen": [USER, ASSISTANT]}, Found("u", "a")),
        ({"prompt": "p", "chosen": [USER, ASSISTANT]}, Found("p", "a", extra={"chosen": [USER, ASSISTANT]})),
        ({"prompt": "p", "chosen": "c", "rejected": "r"}, Found("p", "c", extra={"rejected": "r"})),
        ({"prompt": "p", "chosen": [ASSISTANT], "rejected": [OTHER]}, Found("p", "a", extra={"rejected": "b"})),
        ({"chosen": [USER, ASSISTANT], "rejected": [USER, OTHER]}, Found("u", "a", extra={"rejected": "b"})),
        (
            {"chosen": "\n\nHuman: h\n\nAssistant: g", "rejected": "\n\nHuman: h\n\nAssistant: b"},
            Found("h", "g", extra={"rejected": "b"}),
        ),
        (
            {"chosen": "\n\nHuman: h\n\nAssistant: g\n\nHuman: i\n\nAssistant: j", "rejected": ""},
            Found("i", "j", extra={"history": [["h", "g"]], "rejected": ""}),
        ),
        ({"instruction": "i", "context": "c", "response": "r"}, Found("i\n\nc", "r")),
        ({"question": "q", "context": "c", "answer": "a"}, Found("q", "a", extra={"context": "c"})),
        ({"instruction": "i", "output": "o", "system": "s", "history": []}, Found("i", "o", extra={"system": "s"})),
        ({"instruction": "i", "history": [["a", "b"]]}, Found("i", extra={"history": [["a", "b"]]})),
        ({"query": "i", "history": [USER, ASSISTANT]}, Found("i", extra={"history": [["u", "a"]]})),
        ({"system_prompt": "s", "conversations": [USER, ASSISTANT]}, Found("u", "a", extra={"system": "s"})),
        ({"Problem": "p", "Rationale": "r"}, Found("p", "r")),
        (
            {"prompt": [USER, ASSISTANT, {"role": "user", "content": "v"}], "completion": [OTHER]},
            Found("v", "b", extra={"history": [["u", "a"]]}),
        ),
        ({"messages": [USER, ASSISTANT]}, Found("u", "a")),
        ({"messages": [USER]}, Found("u")),
        (
            {"messages": [{"role": "system", "content": "s"}, USER, ASSISTANT]},
            Found("u", "a", extra={"system": "s"}),
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]}]},
            Found("xy"),
        ),
        ({"conversations": [{"from": "human", "value": "h"}, {"from": "gpt", "value": "g"}]}, Found("h", "g")),
        ("just text", Found("just text")),
        (["first", "second"], Found("first", "second")),
        (["1", "2", "3"], Found("1", "2", extra={"turns": ["1", "2", "3"]})),
    ],
)  # fmt: skip
def test_usual_names(row: Any, expected: Found) -> None:
    assert Finder().find(row) == expected


@pytest.mark.parametrize(
    ("name", "row", "instruction"),
    [
        ("task", {"task": "t", "instruction": "i"}, "t"),
        ("TASK", {"task": "t"}, "t"),
        ("a.b", {"a.b": "t", "a": {"b": "x"}}, "t"),
        ("a.b", {"a": {"b": "x"}}, "x"),
        ("turns.1.text", {"turns": [{}, {"text": "x"}]}, "x"),
    ],
)
def test_named_field(name: str, row: Any, instruction: str) -> None:
    assert Finder(name).find(row).instruction == instruction


def test_nothing_of_a_row_is_lost_when_the_field_lies_inside() -> None:
    assert Finder("a.b").find({"a": {"b": "x", "c": 1}}).extra == {"a": {"b": "x", "c": 1}}


@pytest.mark.parametrize("name", ["task", "a.b", "a.9", "a.-1"])
def test_named_field_that_is_not_there(name: str) -> None:
    with pytest.raises(NoRecord, match="no instruction field"):
        Finder(name).find({"instruction": "i", "a": ["x"]})


@pytest.mark.parametrize(("text", "expected"), [("", True), (" \n\u3000", True), ("\u200b\x1b", True), ("。", False)])
def test_blank_text_shows_nothing(text: str, expected: bool) -> None:
    assert is_blank(text) is expected


VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=4) | st.just("word") | st.just([])


@given(
    st.dictionaries(
        st.sampled_from(["instruction", "input", "output", "id", "prompt", "answer", "text", "k", "Context", "system"]),
        VALUES,
        max_size=5,
    )
)
def test_the_short_way_of_plain_rows_finds_what_the_long_way_finds(row: dict[str, Any]) -> None:
    finder = Finder()
    plain = finder._plain(row)
    if plain is not None:
        assert fields._whole(finder._in_object(row)) == [plain]


def test_most_rows_go_the_short_way() -> None:
    for row in ({"instruction": "i", "input": "", "output": "o"}, {"question": "q", "answer": "a", "k": [1]},
                {"id": 1, "prompt": "p"}, {"instruction": "i", "input": "x", "output": "o", "id": "a"}):  # fmt: skip
        assert Finder()._plain(row) is not None
