"""Words as the guard sees them: one normal form of a text, word families, and which words are common English."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib import resources

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Character class body of the Chinese characters."""
LATIN = "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
"""Character class body of the Latin letters."""

_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]")
_PLAIN = str.maketrans({
    "\u2018": "'", "\u2019": "'", "\u201b": "'", "\u02bc": "'", "\u2032": "'", "`": "`",
    "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2015": "-", "\u2212": "-",
    "\u2044": "/", "\u00a0": " ", "\u3000": " ", "\u2028": "\n", "\u2029": "\n",
})  # fmt: skip
_MARKS = str.maketrans(dict.fromkeys("\u2122\u00ae\u00a9", " "))

WORD = re.compile(f"[{LATIN}]+(?:'[A-Za-z]+)?")
"""A word of Latin letters, with at most one apostrophe inside."""
TOKEN = re.compile(f"[{HAN}\u3040-\u30ff]|(?:(?![{HAN}\u3040-\u30ff_])\\w)+")
"""A Chinese or Japanese character by itself, or a run of other letters and digits."""


def normalise(text: str) -> str:
    """Return the text in NFKC without invisible characters, with straight apostrophes and plain hyphens.

    The result of a normal text is that text itself. Curly double quotes and line breaks stay.
    """
    if text.isascii():
        return text
    text = _INVISIBLE.sub("", text).translate(_MARKS)
    return unicodedata.normalize("NFKC", text).translate(_PLAIN)


def tokens(text: str) -> list[str]:
    """Return the folded tokens of a text: single Chinese characters, and runs of other letters and digits."""
    folded = text.casefold()
    return (_ASCII_TOKEN if folded.isascii() else TOKEN).findall(folded)


_ASCII_TOKEN = re.compile(r"[a-z0-9]+")


def _lines(name: str) -> Iterator[list[str]]:
    text = (resources.files(__package__) / "words" / name).read_text(encoding="utf-8")
    return (line.split() for line in text.splitlines())


@cache
def fillers() -> frozenset[str]:
    """Return the words that carry no content of a request: function words and the verbs of asking."""
    return frozenset(word for line in _lines("fillers.txt") for word in line)


@cache
def common_words() -> frozenset[str]:
    """Return the common English words in lower case, without the names of the list."""
    listed = (word for name in ("english.txt", "prompting.txt") for line in _lines(name) for word in line)
    return frozenset(word for word in listed if word.islower()) | fillers() | frozenset(_families())


@cache
def common_names() -> frozenset[str]:
    """Return the common words that are mostly names (London, Friday), in lower case."""
    return frozenset(word.lower() for line in _lines("english.txt") for word in line if not word.islower())


@cache
def rarer_words() -> frozenset[str]:
    """Return English words in lower case that are words, but not common."""
    return frozenset(word for line in _lines("rarer.txt") for word in line)


@cache
def _families() -> dict[str, str]:
    # Families that share a word are one family, named by the first base form.
    base: dict[str, str] = {}
    for line in _lines("families.txt"):
        if line:
            known = next((base[word] for word in line if word in base), line[0])
            joined = {base[word] for word in line if word in base} - {known}
            if joined:
                base = {word: known if name in joined else name for word, name in base.items()}
            base.update(dict.fromkeys(line, known))
    return base


_DERIVED = (
    ("ization", 4), ("isation", 4), ("ational", 4), ("ations", 4), ("ation", 4), ("ition", 5), ("ical", 4),
    ("ment", 4), ("ness", 3), ("ance", 4), ("ence", 4), ("able", 4), ("ible", 4), ("ator", 4), ("ism", 4),
    ("ist", 4), ("ity", 4), ("ive", 4), ("ion", 5), ("ial", 5), ("ize", 3), ("ise", 4), ("yse", 4), ("yze",
    4), ("ate", 4), ("ful", 3), ("ous", 4), ("ant", 5), ("ent", 5), ("al", 4), ("ic", 4), ("er", 4), ("or",
    5), ("ly", 3),
)  # fmt: skip
"""Endings of derived words, each with the letters that must be left."""
_VOWEL = frozenset("aeiouyáéíóúàèìòùäöüâêîôû")


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Return a key that the inflected and most derived forms of a folded word share, in either English spelling."""
    if word.endswith("'s"):
        word = word[:-2]
    families = _families()
    if word in families:
        return families[word]
    if len(word) < 4 or len(word) > 40:
        return word
    word = _uninflected(word)
    if word in families:
        return families[word]
    for _ in range(2):
        for ending, kept in _DERIVED:
            if word.endswith(ending) and len(word) - len(ending) >= kept:
                word = word[: -len(ending)]
                break
        else:
            break
    if len(word) > 5:
        word = word.replace("our", "or").removesuffix("ue")
        if word.endswith("tre"):
            word = word[:-2] + "er"
    word = word[:-1] + "i" if word.endswith("y") else word.removesuffix("e")
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def _uninflected(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zes", "oes")) and len(word) > 4:
        return word[:-2]
    if word.endswith("s") and word[-2] not in "su" and not word.endswith("is"):
        word = word[:-1]
    if word.endswith("ied") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("ily") and len(word) > 5:
        return word[:-3] + "y"
    for ending in ("ing", "ed", "est"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not _VOWEL.isdisjoint(word[: -len(ending)]):
            word = word[: -len(ending)]
            return word[:-1] if word[-1] == word[-2] and word[-1] not in "se" else word
    return word


_ENDINGS = (
    ("'s", ("",)), ("ies", ("y",)), ("es", ("", "e")), ("s", ("",)), ("ied", ("y",)), ("ed", ("", "e")),
    ("ing", ("", "e")), ("ily", ("y",)), ("ly", ("", "le", "l")), ("ier", ("y",)), ("er", ("", "e")), ("iest", ("y",)),
    ("est", ("", "e")), ("ness", ("",)), ("or", ("our",)), ("n't", ("",)), ("able", ("", "e")), ("less", ("",)),
)  # fmt: skip
_PREFIXES = (
    "un",
    "re",
    "non",
    "pre",
    "sub",
    "multi",
    "co",
    "over",
    "under",
    "mis",
    "self",
    "micro",
    "super",
    "inter",
    "anti",
)
_AMERICAN = (
    ("isation", "ization"), ("ising", "izing"), ("ised", "ized"), ("ise", "ize"), ("our", "or"), ("lled", "led"),
    ("lling", "ling"), ("yse", "yze"),
)  # fmt: skip


@lru_cache(maxsize=65536)
def is_common(word: str) -> bool:
    """Say whether a folded word is a common English word or name, or a regular inflection of one."""
    if _listed(word):
        return True
    if any(word.startswith(p) and len(word) - len(p) >= 4 and _listed_or_inflected(word[len(p) :]) for p in _PREFIXES):
        return True
    american = (word.replace(british, other) for british, other in _AMERICAN if british in word)
    return _listed_or_inflected(word) or any(map(_listed_or_inflected, american))


def _listed(word: str) -> bool:
    return word in common_words() or word in common_names()


def _listed_or_inflected(word: str) -> bool:
    if _listed(word):
        return True
    for ending, replacements in _ENDINGS:
        base = word.removesuffix(ending)
        if base == word or len(base) < 3:
            continue
        if any(base + replacement in common_words() for replacement in replacements):
            return True
        if ending == "'s" and base in common_names():
            return True
        if len(base) > 3 and base[-1] == base[-2] and base[:-1] in common_words():
            return True
    return False


def correction(written: str, candidates: Iterable[str]) -> str | None:
    """Return the common word among the candidates that a rare word of 6 letters or more may have been a misspelling of.

    The distance counts a swap of neighbours as one edit (optimal string alignment); 1 edit is allowed up to
    7 letters, 2 edits above. A common word is no misspelling, and a name corrects none.
    """
    if len(written) < 6 or _listed_or_inflected(written):
        return None
    allowed = 1 if len(written) < 8 else 2
    for candidate in candidates:
        if candidate[0] != written[0] or abs(len(written) - len(candidate)) > allowed or candidate in common_names():
            continue
        if _distance(written, candidate, allowed) <= allowed and is_common(candidate):
            return candidate
    return None


def _distance(left: str, right: str, allowed: int) -> int:
    before: list[int] = []
    previous = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        current = [i]
        for j, b in enumerate(right, 1):
            cost = min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (a != b))
            if before and i > 1 and j > 1 and a == right[j - 2] and b == left[i - 2]:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        if min(current) > allowed:
            return allowed + 1
        before, previous = previous, current
    return previous[-1]
