"""How alike two instructions are: ROUGE-L over tokens."""

from __future__ import annotations

import re
from functools import lru_cache

from rapidfuzz.distance import Indel

_TOKEN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\u3040-\u30ff\uac00-\ud7af]|[^\W_]+(?:'[^\W_]+)*", re.UNICODE)
"""Words, and single characters of the scripts that are written without spaces: with words alone, two equal Chinese
sentences would have nothing to compare."""


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[str, ...]:
    """Return the lower-case tokens of a text, punctuation left out."""
    return tuple(_TOKEN.findall(text.lower()))


def rouge_l(first: str, second: str) -> float:
    """Return the ROUGE-L F1 of two texts, 0 to 1.

    With LCS the length of the longest common subsequence of their tokens, that is 2 LCS / (m + n) (Lin 2004,
    https://aclanthology.org/W04-1013): the normalised indel similarity, computed bit-parallel. Two texts without any
    token are equal if they are the same string.
    """
    a, b = tokens(first), tokens(second)
    if not a and not b:
        return float(first.strip() == second.strip())
    return float(Indel.normalized_similarity(a, b))
