"""Reading what a server sent: anything at all may come, and nothing but three kinds of exceptions comes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.engines.http import answers
from augtui.engines.http.answers import ChatAnswer, ListedModel, Nonsense, ServerTrouble, Usage
from augtui.engines.http.credentials import Key
from augtui.engines.http.spending import Prices

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
names = st.sampled_from(
    ["choices", "message", "content", "finish_reason", "usage", "prompt_tokens", "completion_tokens", "cost", "error",
     "code", "data", "embedding", "id", "pricing", "prompt", "completion", "meta", "param", "detail", "loc", "refusal"]
)  # fmt: skip
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5), max_leaves=25
)
bodies = values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60)


@given(bodies)
def test_any_body_is_read_or_refused(body: bytes) -> None:
    for read in (answers.read_chat, answers.read_embedding, answers.read_models):
        try:
            found: Any = read(body)
        except (Nonsense, ServerTrouble):
            continue
        if isinstance(found, ChatAnswer):
            assert isinstance(found.text, str)
            found.text.encode()
            assert found.usage is None or min(found.usage.prompt_tokens, found.usage.completion_tokens) >= 0
        elif isinstance(found, tuple):
            assert sum(value * value for value in found[0]) == pytest.approx(1.0)


@given(bodies)
def test_any_error_is_shown_short_and_harmless(body: bytes) -> None:
    shown = answers.said(body, Key("sk-0123456789abcdef", "test"))
    assert len(shown) <= answers.LONGEST_MESSAGE
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown)
    assert all(isinstance(name, str) for name in answers.faulted_fields(body))
    assert isinstance(answers.error_code(body), str)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"error": {"message": "no such thing", "type": "x"}}', "no such thing"),
        (b'{"error": "plain"}', "plain"),
        (b'{"message": "mistral"}', "mistral"),
        (b'{"detail": [{"loc": ["body"], "msg": "field required"}, {"msg": "and more"}]}', "field required; and more"),
        (b"<html><head><style>p {}</style></head><body>Bad <b>gateway</b></body></html>", "Bad gateway"),
        (b"  two\n lines\t", "two lines"),
        (b"\x1b[2J\x9b31m\xe2\x80\xaegone", "␛[2J�31m\\u202egone"),
        (b"", ""),
        (b"[" * 100_000, "[" * 299 + "…"),
        (b'{"error": {"message": "the key is sk-0123456789abcdef"}}', "the key is ***"),
        (b"x" * 290 + b" sk-0123456789abcdef", "x" * 290 + " ***"),
    ],
)
def test_an_error_is_found_and_cleaned(body: bytes, shown: str) -> None:
    assert answers.said(body, Key("sk-0123456789abcdef", "test")) == shown


def test_a_bill_is_read_even_if_the_answer_is_none() -> None:
    with pytest.raises(Nonsense) as caught:
        answers.read_chat(b'{"usage": {"prompt_tokens": 5, "completion_tokens": 7, "cost": 0.5}, "choices": []}')
    assert caught.value.usage == Usage(5, 7, 0.5)


def test_the_list_of_models_is_read() -> None:
    listed = {
        "data": [
            {"id": "plain"},
            {"id": "bad\x1bname"},
            {"id": 5},
            {"id": "vllm", "max_model_len": 32768},
            {"id": "llama.cpp", "meta": {"n_ctx_train": 4096}},
            {"id": "router", "context_length": 8, "pricing": {"prompt": "0.0000025", "completion": "0.00001"}},
            {"id": "auto", "pricing": {"prompt": "-1", "completion": "-1"}},
        ]
    }
    found = answers.read_models(json.dumps(listed).encode())
    assert [model.name for model in found] == ["plain", "vllm", "llama.cpp", "router", "auto"]
    assert [model.context for model in found] == [None, 32768, 4096, 8, None]
    assert found[3].prices is not None
    assert (found[3].prices.prompt, found[3].prices.completion) == (pytest.approx(2.5), pytest.approx(10.0))
    assert found[4] == ListedModel("auto")
    assert isinstance(found[3].prices, Prices)
