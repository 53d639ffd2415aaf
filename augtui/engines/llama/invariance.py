"""Are a sequence's logits the same, bit by bit, whatever else is in the batch? Asked of a model, not assumed.

Which kernel multiplies depends on the number of tokens in a batch, for some weight types and processors; for Q8_0 on
x86 all of them add up in the same order.
"""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from augtui.engines.llama.context import Context

PROMPT_TOKENS = 20
ANSWER_TOKENS = 2
NEIGHBOURS = (1, 2, 3, 6, 7, 13, 30)
CHUNKS = (20, 7, 1)


def is_batch_invariant(context: Context, n_vocab: int, ballast: int) -> bool:
    """Return whether a probe gets the same logits alone, among neighbours, and computed in pieces.

    Uses and clears the whole cache of `context`, whose batch must take 63 tokens.
    """
    expected = _probe(context, n_vocab, ballast, 0, PROMPT_TOKENS)
    trials = [(0, chunk) for chunk in CHUNKS[1:]] + [(count, PROMPT_TOKENS) for count in NEIGHBOURS]
    return all(np.array_equal(expected, _probe(context, n_vocab, ballast, *trial)) for trial in trials)


def _probe(context: Context, n_vocab: int, ballast: int, neighbours: int, chunk: int) -> NDArray[np.float32]:
    """Return the probe's logits, shape (answer tokens + 1, n_vocab)."""
    draw = random.Random(7)
    tokens = [draw.randrange(n_vocab) for _ in range(PROMPT_TOKENS + ANSWER_TOKENS)]
    context.clear()
    rows: list[NDArray[np.float32]] = []
    prompt = tokens[:PROMPT_TOKENS]
    pieces = [prompt[begin : begin + chunk] for begin in range(0, PROMPT_TOKENS, chunk)]
    pieces += [[token] for token in tokens[PROMPT_TOKENS:]]
    position = 0
    for number, piece in enumerate(pieces):
        context.clear_batch()
        context.add(0, 0, ballast, output=True)  # as the batcher does
        # Kernels take rows in groups, and what is left over in another way: the probe is in front now and then.
        others = [(draw.randrange(n_vocab), number, other) for other in range(1, neighbours + 1)]
        before = others if neighbours % 3 else []
        for other in before:
            context.add(*other, output=True)
        for token in piece:
            place = context.add(token, position, 0, output=position >= PROMPT_TOKENS - 1)
            position += 1
        for other in others[len(before) :]:
            context.add(*other, output=True)
        context.decode()
        context.forget(ballast)
        if position >= PROMPT_TOKENS:
            rows.append(context.logits(place).copy())
    context.clear()
    return np.stack(rows)
