"""Chat JSON lines to token ids with a completion mask, stored flat, read back in buckets of similar length."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from training.losses import IGNORE

Message = dict[str, str]


def render_chat(messages: Sequence[Message]) -> list[tuple[str, bool]]:
    """Return the ChatML text of a chat as (text, trained) parts, trained for what an assistant says.

    The joined text is what Qwen2's chat template gives for a chat that starts with a system message.
    """
    parts = []
    for message in messages:
        trained = message["role"] == "assistant"
        parts.append((f"<|im_start|>{message['role']}\n", False))
        parts.append((f"{message['content']}<|im_end|>", trained))
        parts.append(("\n", False))
    return parts


def encode_chat(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
    """Return a chat's token ids and, for each, whether it is a completion token that carries loss."""
    ids: list[int] = []
    mask: list[bool] = []
    # Parts end at a special token or line feed, where the pre-tokenizer splits too unless a content begins with
    # white space; so the ids are those of the whole text, and the mask falls between tokens.
    for text, trained in render_chat(messages):
        piece = tokenizer.encode(text, add_special_tokens=False)
        ids += piece
        mask += [trained] * len(piece)
    return ids, mask


@dataclass(frozen=True)
class TokenizedChats:
    """Chats as flat arrays: chat i is `ids[starts[i]:starts[i + 1]]`, `trained` marks its completion tokens."""

    ids: np.ndarray[Any, Any]
    trained: np.ndarray[Any, Any]
    starts: np.ndarray[Any, Any]

    def __len__(self) -> int:
        """Return the number of chats."""
        return len(self.starts) - 1

    def save(self, folder: Path) -> None:
        """Write the three arrays to a folder, so that training can begin without the tokenizer."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("ids", "trained", "starts"):
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def load(cls, folder: Path) -> TokenizedChats:
        """Read the arrays that `save` wrote, memory-mapped; raises FileNotFoundError when one is absent."""
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("ids", "trained", "starts")))


def tokenize_chats(path: Path, tokenizer: PreTrainedTokenizerBase, max_length: int) -> tuple[TokenizedChats, int]:
    """Return the chats of a JSON-lines file ({"messages": [{"role", "content"}]}) and how many were too long.

    A chat over `max_length` tokens is left out, never cut: half a completion would teach to stop early.
    Raises ValueError, with the line number, for a line that is not such a chat.
    """
    ids: list[np.ndarray[Any, Any]] = []
    trained: list[np.ndarray[Any, Any]] = []
    lengths, skipped = [0], 0
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                tokens, mask = encode_chat(tokenizer, json.loads(line)["messages"])
            except (KeyError, TypeError, json.JSONDecodeError) as error:
                raise ValueError(f"{path}:{number}: not a chat with messages: {error}") from error
            if len(tokens) > max_length:
                skipped += 1
                continue
            ids.append(np.asarray(tokens, dtype=np.int32))
            trained.append(np.asarray(mask, dtype=np.bool_))
            lengths.append(len(tokens))
    if not ids:
        raise ValueError(f"{path}: no chat of at most {max_length} tokens")
    return TokenizedChats(np.concatenate(ids), np.concatenate(trained), np.cumsum(lengths)), skipped


@dataclass(frozen=True)
class Batch:
    """Inputs (B, T) and labels (B, T), shifted left by one; the label is `IGNORE` where there is no loss."""

    inputs: Tensor
    labels: Tensor


def collate(chats: TokenizedChats, rows: Sequence[int], multiple: int = 8) -> Batch:
    """Return the given chats as one right-padded batch whose length is a multiple of `multiple`.

    Attention is causal, so the padding behind a chat needs no mask.
    """
    longest = max(int(chats.starts[r + 1] - chats.starts[r]) for r in rows) - 1
    width = -(-longest // multiple) * multiple
    inputs = np.zeros((len(rows), width), dtype=np.int64)
    labels = np.full((len(rows), width), IGNORE, dtype=np.int64)
    for i, row in enumerate(rows):
        tokens = chats.ids[chats.starts[row] : chats.starts[row + 1]]
        trained = chats.trained[chats.starts[row] : chats.starts[row + 1]]
        inputs[i, : len(tokens) - 1] = tokens[:-1]
        labels[i, : len(tokens) - 1] = np.where(trained[1:], tokens[1:], IGNORE)
    return Batch(torch.from_numpy(inputs), torch.from_numpy(labels))


def batch_rows(
    chats: TokenizedChats, batch_tokens: int, seed: int, in_order: bool, window: int = 1024
) -> Iterator[list[int]]:
    """Yield one epoch's batches as row numbers: chats of similar length, at most `batch_tokens` padded tokens.

    Chats are shuffled, or kept in the file's order when `in_order` (a curriculum); within windows of `window`
    chats they are sorted by length and the batches of a window come in random order.
    """
    random = np.random.default_rng(seed)
    lengths = np.diff(chats.starts)
    order = np.arange(len(chats)) if in_order else random.permutation(len(chats))
    for begin in range(0, len(order), window):
        rows = order[begin : begin + window]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches: list[list[int]] = [[]]
        for row in rows:
            if batches[-1] and (len(batches[-1]) + 1) * int(lengths[row]) > batch_tokens:
                batches.append([])
            batches[-1].append(int(row))
        for index in random.permutation(len(batches)):
            yield batches[index]
