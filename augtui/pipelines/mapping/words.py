"""What a text is counted by: its words, and pairs of characters where words are not parted by spaces."""

from __future__ import annotations

import re
from itertools import pairwise

from augtui.metrics.similarity import tokenized

LONGEST = 4_000
"""Characters of a text that are looked at: its beginning tells what it is about."""
MARKS = 200
"""Characters that stand for a text that has no word at all, such as emoji."""
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def terms(text: str) -> list[str]:
    """Return the terms of a text in their order; those of Chinese and Japanese are pairs of characters.

    A character without a neighbour stands for itself. Of a text without words the single characters are the terms.
    """
    tokens = tokenized(text[:LONGEST])
    if not tokens:
        return [char for char in text[:LONGEST] if not char.isspace()][:MARKS]
    if text.isascii():
        return tokens
    found: list[str] = []
    run: list[str] = []
    for token in tokens:
        if _UNSPACED.match(token):
            run.append(token)
        else:
            found += _pairs(run)
            run.clear()
            found.append(token)
    return found + _pairs(run)


def is_pair(term: str) -> bool:
    """Say whether a term is a pair of characters of a script without spaces."""
    return len(term) == 2 and all(_UNSPACED.match(char) for char in term)


def _pairs(run: list[str]) -> list[str]:
    return run[:] if len(run) < 2 else [first + second for first, second in pairwise(run)]
