"""The content words of a prompt: which of them a refined text lacks, and which of its own are no words at all."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

from augtui.domain.facts import Carrier
from augtui.domain.language import Language, language
from augtui.domain.numbers import CHINESE_NUMERAL, MONTHS, NUMBER_WORDS, has_date
from augtui.domain.spelling import HAN, WORD, correction, fillers, is_common, normalise, rarer_words, stem, tokens

_COMPARED = 400
"""New words of a refined text that are compared with a missing one as its correction."""
_CORRECTED = 40
"""Missing words for which a correction is looked for."""


def lost_words(prose: str, carrier: Carrier, language: Language) -> list[str]:
    """Return the content words of running text that `carrier` has in no inflected, joined or corrected form."""
    if language is Language.OTHER:
        return _lost_foreign(prose, carrier)
    words = WORD.findall(prose.casefold())
    # Where every word is one that usually carries nothing ("go on", "hello"), these are all that is asked.
    idle, stems = fillers(), carrier.stems
    if idle.issuperset(words):
        idle = frozenset()
    missing = [
        word
        for word in dict.fromkeys(words)
        if word not in idle and len(word) > 1 and stem(word) not in stems and word not in NUMBER_WORDS
    ]
    if not missing:
        return []
    missing = _not_rejoined(missing, words, carrier)
    if missing and has_date(carrier.normal):
        missing = [word for word in missing if word not in MONTHS]
    if not missing:
        return []
    corrections = _new_words(words, carrier)
    return [
        word for number, word in enumerate(missing) if number >= _CORRECTED or correction(word, corrections) is None
    ]


def is_corrected(word: str, prose: str, carrier: Carrier) -> bool:
    """Say whether a missing word is a misspelling that the refined text corrected."""
    return correction(word, _new_words(WORD.findall(prose.casefold()), carrier)) is not None


def _new_words(words: list[str], carrier: Carrier) -> list[str]:
    own = frozenset(words)
    return sorted(carrier.latin - own)[:_COMPARED]


def _not_rejoined(missing: list[str], words: list[str], carrier: Carrier) -> list[str]:
    """Return the missing words without those written apart or together in the refined text (web site, e-mail)."""
    present = frozenset(tokens(carrier.normal))
    lacking = frozenset(missing)
    joined = {
        part
        for left, right in pairwise(words)
        if left in lacking or right in lacking
        if left + right in present or left + right + "s" in present
        for part in (left, right)
    }
    return [word for word in missing if word not in joined and not _is_split(word, present, carrier)]


def _is_split(word: str, present: frozenset[str], carrier: Carrier) -> bool:
    if not 5 < len(word) < 40:
        return False
    splits = ((word[:cut], word[cut:]) for cut in range(2, len(word) - 1))
    return any(left in present and right in present and f" {left} {right} " in carrier.words for left, right in splits)


def _lost_foreign(prose: str, carrier: Carrier) -> list[str]:
    """Return the longer words of a language without a word list whose beginning the refined text lacks."""
    starts: set[str] = set()
    for token in set(tokens(carrier.normal)):
        starts.update(token[:size] for size in range(4, min(len(token), 40) + 1))
    wanted = (token for token in dict.fromkeys(tokens(prose)) if len(token) > 4 and not token.isdigit())
    return [token for token in wanted if token[: min(max(4, len(token) - 3), 40)] not in starts]


_IDLE = re.compile(
    "(?:我希望你|我想要?|我需要|希望你?|请问|请你|请|帮我|帮忙|你能|能不能|能否|是否|可以|什么样?|怎么样?|怎样|如何|为什么|哪些|哪个|"
    "一个|一下|一些|一种|这个|那个|这些|那些|以下|下面|下列|如下|进行|给出|给我|提供|告诉|写一?[篇首段个份]?|生成|需要|应该|因为|所以|但是|"
    "如果|以及|或者|并且|而且|然后|我们|你们|他们|不要|就是|对于|关于|根据|作为|[的了是在我你他她它们吗呢吧啊把将这那并且和与及或给让])"
)
_HAN_RUN = re.compile(f"[{HAN}]+")


def lost_characters(prose: str, refined: str) -> list[str]:
    """Return the stretches of Chinese running text that the refined text lacks.

    A stretch is lost where 3 character pairs in a row are, as when a word of 2 characters is swapped; 2 at the edge of
    a phrase, or all of a short one. Particles and the phrases of asking divide the text and are no content themselves.
    """
    if prose.isascii():
        return []
    pairs = {left + right for left, right in pairwise(refined)}
    lost: dict[str, None] = {}
    for run in _HAN_RUN.findall(CHINESE_NUMERAL.sub(" ", prose)):
        for phrase in _IDLE.split(run):
            last = len(phrase) - 1
            missing = 0
            for at in range(last + 1):
                if at < last and phrase[at : at + 2] not in pairs:
                    missing += 1
                    continue
                if missing >= 3 or (missing == 2 and at in (last, missing)) or missing == last > 0:
                    lost.setdefault(phrase[at - missing : at + 1])
                missing = 0
    return list(lost)


def unknown_words(original: str, carrier: Carrier, language: Language) -> list[str]:
    """Return the Latin words in the refined running text that are neither the original's nor English, common or rarer.

    Only of English and Chinese prompts: other languages have no word list here.
    """
    if language is Language.OTHER:
        return []
    strange = [word for word in carrier.latin if not _is_word(word)]
    if not strange:
        return []
    known = frozenset(WORD.findall(original.casefold()))
    stems = frozenset(map(stem, known))
    strange = [word for word in strange if word not in known and stem(word) not in stems]
    if not strange:
        return []
    whole = "".join(tokens(original))
    new = frozenset(word for word in strange if len(word) < 6 or word not in whole)
    found = dict.fromkeys(word for word in WORD.findall(carrier.facts.prose) if word.casefold() in new)
    return [word for word in found if not (word.isupper() and len(word) < 5)]


def coined_words(original: str, text: str, *, names: bool = False) -> list[str]:
    """Return the words of a new text that are no English and not the original's: what a small model makes up.

    Those with a capital only if `names` are wanted: no list has all the names that there are.
    """
    found = unknown_words(normalise(original), Carrier(text), language(original))
    return found if names else [word for word in found if word.islower()]


@lru_cache(maxsize=65536)
def _is_word(word: str) -> bool:
    if len(word) < 3:
        return True
    if not word.isascii():
        word = "".join(char for char in unicodedata.normalize("NFKD", word) if char.isascii())
    return is_common(word) or word in rarer_words()
