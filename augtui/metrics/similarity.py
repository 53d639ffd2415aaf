"""How alike two instructions are: ROUGE-L over tokens."""

from __future__ import annotations

import re
from functools import lru_cache

from rapidfuzz.distance import LCSseq

_UNSPACED = "\u3400-\u9fff\uf900-\ufaff\u3040-\u30ff\uac00-\ud7af\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:'[^\W_{_UNSPACED}]+)*")
"""Words, and single characters of the scripts that are written without spaces: with words alone, two equal Chinese
sentences would have nothing to compare."""


def tokenized(text: str) -> list[str]:
    """Return the lower-case tokens of a text, punctuation left out."""
    return _TOKEN.findall(text.lower())


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[str, ...]:
    """Return `tokenized(text)`, remembered for texts that are compared again and again."""
    return tuple(tokenized(text))


def rouge_l(first: str, second: str) -> float:
    """Return the ROUGE-L F1 of two texts, 0 to 1.

    With LCS the length of the longest common subsequence of their tokens, that is 2 LCS / (m + n) (Lin 2004,
    https://aclanthology.org/W04-1013): the normalised indel similarity, computed bit-parallel. Two texts without any
    token are equal if they are the same string.
    """
    a, b = tokens(first), tokens(second)
    if not a and not b:
        return float(first.strip() == second.strip())
    return 2 * LCSseq.similarity(a, b) / (len(a) + len(b))
