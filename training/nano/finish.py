"""The last stage's data: mostly short chats, and in half of the refinements no loss on what is copied.

Copying is learned first and from long texts. What is left then is to tell the kind of task, and a long copy drowns that
signal: of its tokens a tenth says anything about the kind.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from training.data import TokenizedChats

SHORT = 110
"""Tokens of a chat that counts as short."""
LONG_SHARE = 0.10
"""Longer chats that are kept, so that copying is not forgotten."""
BARE_SHARE = 0.5
"""Refinements whose copied part carries no loss."""
_START, _END = 1, 2
_SYSTEM = 24
"""Tokens at the beginning of a chat, by which the tasks are told apart: refinement is the commonest."""


def part(chats: TokenizedChats, begin: float, end: float) -> TokenizedChats:
    """Return the chats between two shares of the whole."""
    first, last = int(len(chats) * begin), int(len(chats) * end)
    starts = np.array(chats.starts[first : last + 1])
    low, high = int(starts[0]), int(starts[-1])
    return TokenizedChats(np.array(chats.ids[low:high]), np.array(chats.trained[low:high]), starts - low)


def finishing(chats: TokenizedChats, begin: float, seed: int = 0) -> TokenizedChats:
    """Return the last stage's chats, from the share `begin` of all on; the same arguments give the same ones."""
    random = np.random.default_rng(seed)
    lengths = np.diff(chats.starts)
    rows = np.arange(int(len(chats) * begin), len(chats))
    rows = rows[(lengths[rows] <= SHORT) | (random.random(len(rows)) < LONG_SHARE)]
    pieces = [np.array(chats.ids[chats.starts[row] : chats.starts[row + 1]]) for row in rows]
    masks = [np.array(chats.trained[chats.starts[row] : chats.starts[row + 1]]) for row in rows]
    commonest = Counter(piece[:_SYSTEM].tobytes() for piece in pieces).most_common(1)[0][0]
    bare = random.random(len(rows)) < BARE_SHARE
    for piece, mask, is_bare in zip(pieces, masks, bare, strict=True):
        if is_bare and piece[:_SYSTEM].tobytes() == commonest:
            _strip(piece, mask)
    starts = np.cumsum([0, *map(len, pieces)])
    return TokenizedChats(np.concatenate(pieces), np.concatenate(masks), starts)


def _strip(ids: np.ndarray, mask: np.ndarray) -> None:
    """Take the loss from the first tokens of the answer, as many as the prompt has."""
    begins, ends = np.flatnonzero(ids == _START), np.flatnonzero(ids == _END)
    prompt = int(ends[1] - begins[1]) - 3  # without <|im_start|>user and its line feed
    first = int(np.flatnonzero(mask)[0])
    if prompt > 2 and first + prompt < len(ids) - 4:
        mask[first : first + prompt - 1] = False
