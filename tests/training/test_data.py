"""Chats become Qwen2's ids; loss falls on completions only; every chat is in exactly one batch of an epoch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from training.data import TokenizedChats, batch_rows, collate, encode_chat, tokenize_chats
from training.losses import IGNORE

CHAT = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Explain tides.\n\nKeep `x = 1`."},
    {"role": "assistant", "content": "Explain tides, é 漢.\n- step by step"},
]


def test_ids_are_those_of_the_chat_template(tokenizer: PreTrainedTokenizerBase) -> None:
    ids, _ = encode_chat(tokenizer, CHAT)
    text = tokenizer.apply_chat_template(CHAT, tokenize=False)
    assert ids == tokenizer.encode(str(text), add_special_tokens=False)


def test_only_the_answer_and_its_end_carry_loss(tokenizer: PreTrainedTokenizerBase) -> None:
    ids, mask = encode_chat(tokenizer, CHAT)
    trained = [token for token, wanted in zip(ids, mask, strict=True) if wanted]
    assert tokenizer.decode(trained) == CHAT[-1]["content"] + "<|im_end|>"


def test_labels_are_the_inputs_shifted_by_one(tokenizer: PreTrainedTokenizerBase) -> None:
    ids, mask = encode_chat(tokenizer, CHAT)
    chats = TokenizedChats(np.array(ids), np.array(mask), np.array([0, len(ids)]))
    batch = collate(chats, [0], multiple=8)
    assert batch.inputs.shape == batch.labels.shape
    assert batch.inputs.shape[1] % 8 == 0
    assert batch.inputs[0, : len(ids) - 1].tolist() == ids[:-1]
    expected = [token if wanted else IGNORE for token, wanted in zip(ids[1:], mask[1:], strict=True)]
    assert batch.labels[0, : len(ids) - 1].tolist() == expected
    assert (batch.labels[0, len(ids) - 1 :] == IGNORE).all()


def test_long_chats_are_left_out_and_arrays_survive_the_disk(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    long = [*CHAT[:2], {"role": "assistant", "content": "sea " * 500}]
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in (CHAT, long, CHAT)))
    chats, skipped = tokenize_chats(path, tokenizer, max_length=200)
    assert (len(chats), skipped) == (2, 1)
    chats.save(tmp_path / "tokens")
    again = TokenizedChats.load(tmp_path / "tokens")
    assert all(np.array_equal(getattr(chats, name), getattr(again, name)) for name in ("ids", "trained", "starts"))


def test_a_bad_line_is_named(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text(json.dumps({"messages": CHAT}) + '\n{"text": "no chat"}\n')
    with pytest.raises(ValueError, match=r"chats\.jsonl:2"):
        tokenize_chats(path, tokenizer, max_length=200)


@given(st.lists(st.integers(2, 60), min_size=1, max_size=80), st.integers(0, 3), st.booleans())
def test_an_epoch_holds_every_chat_once_within_the_token_budget(lengths: list[int], seed: int, in_order: bool) -> None:
    total = sum(lengths)
    chats = TokenizedChats(np.zeros(total), np.ones(total, dtype=bool), np.cumsum([0, *lengths]))
    batches = list(batch_rows(chats, 100, seed, in_order, window=16))
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    assert all(len(rows) == 1 or len(rows) * max(lengths[r] for r in rows) <= 100 for rows in batches)
    assert batches == list(batch_rows(chats, 100, seed, in_order, window=16))
