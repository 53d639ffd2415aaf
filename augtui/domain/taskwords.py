"""The words by which the small task classifier knows a prompt, as numbers.

The classifier is trained by `training/classifier` and used by `augtui/models/classifier.py`; both see a text through
this.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from zlib import crc32

BUCKETS = 1 << 15
"""Words and pairs share so many weights, by their hash (Weinberger et al. 2009, https://arxiv.org/abs/0902.2206)."""
LONGEST = 120
"""Tokens of a prompt that are looked at: what is asked stands at its beginning, mostly, and material behind it."""
OPENING = 3
CUE_WEIGHT = 4
"""How often a class is counted for one of its cues, which say more than other words."""

_HAN = "\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_HAN}]|[^\W\d_{_HAN}]+(?:'[^\W\d_{_HAN}]+)?|\d+|[^\w\s]")
_WORD = re.compile(r"[^\W\d_]{6,}")


def tokens_of(text: str) -> list[str]:
    """Return lower-case words, single Chinese characters, marks, and numbers as the count of their digits."""
    found = []
    for match in _TOKEN.finditer(text.lower()):
        token = match.group()
        found.append(f"0{min(len(token), 4)}" if token[0].isdigit() else token)
        if len(found) >= LONGEST:
            break
    return found


class Cues:
    """Words and phrases that speak for a class."""

    def __init__(self, phrases: Mapping[str, Sequence[str]]) -> None:
        """Take the phrases of each class; a phrase may stand under several."""
        found: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        for label, texts in phrases.items():
            for text in texts:
                tokens = tuple(tokens_of(text))
                found[tokens].add(label)
                if len(tokens) == 1 and tokens[0].isascii() and len(tokens[0]) > 4:
                    found[(f"{tokens[0]}s",)].add(label)
        self._labels = {tokens: tuple(sorted(labels)) for tokens, labels in found.items()}
        self._longest = max(map(len, self._labels), default=0)

    def found(self, tokens: Sequence[str]) -> Iterator[tuple[str, float]]:
        """Yield the class of the longest phrase at each place, and what it counts: a part where several share it."""
        for start in range(len(tokens)):
            for size in range(min(self._longest, len(tokens) - start), 0, -1):
                labels = self._labels.get(tuple(tokens[start : start + size]))
                if labels:
                    yield from ((label, 1 / len(labels)) for label in labels)
                    break


def _features(tokens: Sequence[str]) -> Iterator[str]:
    for place, token in enumerate(tokens):
        yield token
        if place < OPENING:
            yield f"^{token}"
        if _WORD.fullmatch(token):  # solve, solving, solution; economy, economics
            yield f"{token[:5]}*"
        if place + 1 < len(tokens):
            yield f"{token} {tokens[place + 1]}"
        if place + 2 < len(tokens) and "\u3400" <= token[0] <= "\u9fff":
            yield f"{token} {tokens[place + 1]} {tokens[place + 2]}"


def buckets(text: str, cues: Cues) -> dict[int, float]:
    """Return the buckets of a prompt's words, pairs of words, openings and cues, with the count of each."""
    counts: dict[int, float] = {}
    tokens = tokens_of(text)
    for feature in _features(tokens):
        bucket = _bucket(feature)
        counts[bucket] = counts.get(bucket, 0) + 1
    for label, count in cues.found(tokens):
        bucket = _bucket(f"#{label}")
        counts[bucket] = counts.get(bucket, 0) + CUE_WEIGHT * count
    return counts


def _bucket(feature: str) -> int:
    return crc32(feature.encode("utf-8", "surrogatepass")) % BUCKETS


def value(count: float) -> float:
    """Return what a count is worth: the second occurrence says less than the first."""
    return 1 + math.log(count) if count >= 1 else count
