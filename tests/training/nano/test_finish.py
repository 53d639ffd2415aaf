"""The last stage is mostly short chats, and half of its refinements carry no loss on what is copied."""

from __future__ import annotations

import numpy as np

from training.data import TokenizedChats
from training.nano.finish import LONG_SHARE, SHORT, finishing


def chat(task: int, prompt: int, answer: int) -> tuple[np.ndarray, np.ndarray]:
    """A chat in the tokenizer's numbers: 1 begins a turn, 2 ends it; 9 is the role, 8 the line feed."""
    copied = list(range(100, 100 + prompt))
    ids = [1, 9, 8, *[task] * 22, 2, 8, 1, 9, 8, *copied, 2, 8, 1, 9, 8, *copied, *range(500, 500 + answer), 2, 8]
    mask = np.zeros(len(ids), dtype=np.bool_)
    mask[-answer - 2 - prompt : -1] = True
    return np.asarray(ids, dtype=np.int32), mask


def test_short_chats_stay_long_ones_are_thinned_and_copies_carry_no_loss_in_half() -> None:
    rows = [chat(*one) for _ in range(60) for one in ((40, 12, 9), (40, 12, 9), (41, 10, 6), (40, SHORT, 9))]
    chats = TokenizedChats(
        np.concatenate([ids for ids, _ in rows]), np.concatenate([mask for _, mask in rows]),
        np.cumsum([0, *(len(ids) for ids, _ in rows)]),
    )  # fmt: skip
    end = finishing(chats, 0.5, seed=1)
    lengths = np.diff(end.starts)
    assert (lengths <= SHORT).sum() == 90
    assert 0 < (lengths > SHORT).sum() <= 30 * LONG_SHARE * 4
    trained = [
        int(end.trained[end.starts[i] : end.starts[i + 1]].sum()) for i in range(len(end)) if lengths[i] <= SHORT
    ]
    assert set(trained) == {12 + 9 + 1, 9 + 2, 10 + 6 + 1}
    assert 15 < trained.count(9 + 2) < 45
    again = finishing(chats, 0.5, seed=1)
    assert (again.ids == end.ids).all()
    assert (again.trained == end.trained).all()
