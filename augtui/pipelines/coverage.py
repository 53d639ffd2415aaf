"""Coverage: more new instructions where an input has few, fewer where it has many (sparse regions first)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction

from augtui.metrics.similarity import tokens

NEIGHBOURS = 5
"""Nearest others whose likeness is a text's density."""
LANDMARKS = 2_000
"""Others that a text of a large input is compared with at most."""


def densities(texts: Sequence[str], seed: int = 0) -> list[float]:
    """Return how densely populated the neighbourhood of each text is: the mean likeness of its nearest others, 0 to 1.

    Likeness is ROUGE-L F1. Of more than `LANDMARKS` texts a random part stands for all: density is then an estimate.
    """
    # Imported late: `augtui --help` counts nothing.
    import numpy as np
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    numbers: dict[str, int] = {}
    coded = ["".join(_letter(numbers, token) for token in tokens(text)) for text in texts]
    draw = random.Random(seed)
    marks = range(len(coded)) if len(coded) <= LANDMARKS else sorted(draw.sample(range(len(coded)), LANDMARKS))
    others = [coded[mark] for mark in marks]
    place_of = {mark: place for place, mark in enumerate(marks)}
    found: list[float] = []
    for start in range(0, len(coded), 512):
        block = coded[start : start + 512]
        likeness = process.cdist(block, others, scorer=Indel.normalized_similarity, dtype=np.float32, workers=2)
        for row in range(len(block)):
            if start + row in place_of:
                likeness[row, place_of[start + row]] = -1.0  # itself
        count = min(NEIGHBOURS, len(others) - 1)
        nearest = np.sort(likeness, axis=1)[:, len(others) - count :] if count > 0 else np.zeros((len(block), 1))
        found += [float(value) for value in nearest.mean(axis=1)]
    return found


def shares(texts: Sequence[str], total: int, seed: int = 0) -> list[tuple[int, int]]:
    """Return (number of the text, samples) for texts that get any, the sparsest first; the samples add up to `total`.

    A text's share is in proportion to 1 - density; what remains of whole numbers goes to the largest remainders
    (Hamilton's method), so that the same input always gets the same.
    """
    if not texts:
        return []
    # Rounded: likeness in its last bits may depend on the processor.
    weights = [Fraction(max(1, round((1 - density) * 10_000)), 10_000) for density in densities(texts, seed)]
    sum_of_weights = sum(weights)
    exact = [total * weight / sum_of_weights for weight in weights]
    whole = [int(share) for share in exact]
    order = sorted(range(len(texts)), key=lambda number: (whole[number] - exact[number], number))
    for number in order[: total - sum(whole)]:
        whole[number] += 1
    by_sparsity = sorted(range(len(texts)), key=lambda number: (-weights[number], number))
    return [(number, whole[number]) for number in by_sparsity if whole[number]]


def _letter(numbers: dict[str, int], token: str) -> str:
    number = numbers.setdefault(token, len(numbers))
    number = number + 0x800 if number >= 0xD800 else number
    return chr(number % 0x110000)
