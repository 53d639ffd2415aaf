"""How different a set of texts is: distinct n-grams, and how alike each text is to the others."""

from __future__ import annotations

import random
from collections.abc import Sequence

from augtui.metrics.similarity import rouge_l, tokens

MOST_PAIRS = 5000


def distinct(texts: Sequence[str], n: int) -> float | None:
    """Return the share of different n-grams among all of them (Li et al. 2016, https://arxiv.org/abs/1510.03055).

    0 to 1; None where no text has n tokens. Longer and more numerous texts repeat more: compare like with like.
    """
    grams = [each[start : start + n] for each in map(tokens, texts) for start in range(len(each) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


def self_rouge(texts: Sequence[str]) -> float | None:
    """Return the mean ROUGE-L F1 of the texts' pairs; None for fewer than two texts.

    Of many texts, `MOST_PAIRS` pairs drawn with a fixed seed stand for all.
    """
    count = len(texts)
    if count < 2:
        return None
    if count * (count - 1) // 2 <= MOST_PAIRS:
        pairs = [(first, second) for first in range(count) for second in range(first)]
    else:
        draw = random.Random(0)
        pairs = [tuple(draw.sample(range(count), 2)) for _ in range(MOST_PAIRS)]  # type: ignore[misc]
    return sum(rouge_l(texts[first], texts[second]) for first, second in pairs) / len(pairs)
