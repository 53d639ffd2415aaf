"""Names of clusters: the terms that set each apart from its siblings, by c-TF-IDF (Grootendorst 2022, 2203.05794)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from augtui.pipelines.mapping.words import is_pair, terms

TERMS = 4
"""Terms of a name."""
CANDIDATES = 40
SAMPLE = 600
"""Texts of a cluster that its terms are counted in."""
JOINED = 6
"""Characters of a word that pairs are joined to."""
LONGEST = 24
"""Characters of a term in a name."""
NAMELESS = "(no words)"

_STOP_WORDS = """
a an the of and or to in is are was were be been being it its this that these those for on with as at by from into
about which who whom whose what when where how why your you my me we us our they them their he she his her i if then
than so not no do does did can could will would should may might must have has had there here each any all some more
most other such only own same too very just also please following given s t re ll ve d m up out using use one two let
make sure between both but
"""
_STOP = frozenset(_STOP_WORDS.split())
_STOP_CHARS = frozenset("的了是在和与及或不我你他她它们这那将把被就也都而并之其些么吗呢吧给请个")
_STOP_PAIRS_WORDS = """
以下 一下 一个 一种 一些 一段 一首 如何 什么 为什 根据 以及 下列 下面 有关 关于
"""
_STOP_PAIRS = frozenset(_STOP_PAIRS_WORDS.split())


def names(groups: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the terms that set each group of texts apart from the others, the most telling first.

    A term counts once in each text; one in a hundred texts of the group at least must have it. Neighbouring pairs of
    Chinese characters that stand together become one term.
    """
    counts = [Counter(term for text in texts for term in set(terms(text)) if _tells(term)) for texts in groups]
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    average = sum(total.values()) / max(1, len(groups))
    found = []
    for count, texts in zip(counts, groups, strict=True):
        least = max(2 if len(texts) > 5 else 1, len(texts) // 100)
        scores = {
            term: times * math.log(1 + average / total[term])
            for term, times in count.most_common(500)
            if times >= least
        }
        best = sorted(scores, key=lambda term: (-scores[term], term))[:CANDIDATES]
        found.append(_joined(best, texts)[:TERMS])
    return found


def title(words: Sequence[str]) -> str:
    """Return a cluster's name from its terms."""
    return " · ".join(words) or NAMELESS


def _tells(term: str) -> bool:
    if is_pair(term):
        return term not in _STOP_PAIRS and not any(char in _STOP_CHARS for char in term)
    if len(term) > LONGEST or term in _STOP or term in _STOP_CHARS or term.replace("_", "").isdecimal():
        return False
    return len(term) > 1 or not term.isascii()


def _joined(best: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return terms in which overlapping pairs are one word where the texts have it so, and no two say the same."""
    words: list[str] = []
    for term in best:
        if len(words) >= TERMS and not is_pair(term):
            break
        if any(term in word or _same(term, word) for word in words):
            continue
        for place, word in enumerate(words):
            if is_pair(term) and (longer := _overlapping(word, term, texts)):
                words[place] = longer
                _close(words, place, texts)
                break
        else:
            if len(words) >= TERMS:
                break
            words.append(term)
    return words


def _overlapping(word: str, other: str, texts: Sequence[str]) -> str:
    """Return two words of Chinese as one where half of the texts with the commoner one have it; else nothing."""
    for first, second in ((word, other), (other, word)):
        longer = first + second[1:]
        if first[-1] == second[0] and len(longer) <= JOINED:
            times = max(sum(one in text for text in texts) for one in (first, second))
            if 0 < times <= 2 * sum(longer in text for text in texts):
                return longer
    return ""


def _close(words: list[str], place: int, texts: Sequence[str]) -> None:
    """Join a word that has grown with one that it now overlaps."""
    for other in range(len(words)):
        if other != place and (longer := _overlapping(words[place], words[other], texts)):
            words[min(place, other)] = longer
            del words[max(place, other)]
            return


def _same(term: str, word: str) -> bool:
    """Say whether two words are forms of one: equal but for an ending."""
    short, long = sorted((term, word), key=len)
    return len(short) > 3 and long.startswith(short[: max(4, len(short) - 1)]) and len(long) - len(short) <= 3
