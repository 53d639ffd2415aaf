"""The language of a text, told from its script and, for Latin letters, from its function words."""

from __future__ import annotations

import re
from enum import StrEnum

from augtui.domain.spelling import HAN, LATIN, normalise


class Language(StrEnum):
    """The languages that the data augmentation models are made for, and the rest."""

    EN = "en"
    ZH = "zh"
    OTHER = "other"
    NONE = "none"
    """No letters at all."""


_HAN = re.compile(f"[{HAN}]")
_LATIN_WORD = re.compile(f"[{LATIN}]+")
_KANA = re.compile("[\u3040-\u30ff]")
_HANGUL = re.compile("[\u1100-\u11ff\uac00-\ud7af]+")
_OTHER_LETTERS = re.compile(f"[^\\W\\d_{LATIN}{HAN}\u3040-\u30ff\u1100-\u11ff\uac00-\ud7af]+")
_CLAUSE = re.compile(r"[^\n。.!?;:？！：；]+")
_ATTACHED = re.compile(
    r'```.*?```|`[^`\n]*`|https?://\S+|\$?\{\{?[^{}\n]{0,80}\}?\}|"[^"]*"|“[^“”]*”|「[^「」]*」|『[^『』]*』', re.S
)

_WORDS_PER_HAN = 0.5
"""A Chinese word has about two characters."""
_ATTACHMENT = 0.15
"""A share of another script from which a text is an instruction with foreign material, not one with a few terms."""

_FUNCTION_WORDS = {
    "en": "the of and to a in is you that it for on are with as this be at have from or an by what how please "
    "your write can not which their if will each about many then them these some her would make like him "
    "into has two more who its",
    "es": "el la los las de del que y en un una por con para es se no como más su al lo le sus pero este esta "
    "ser qué cómo sobre también hasta hay donde quien desde todo escribe puede favor",
    "fr": "le la les des de du et un une en est que qui dans pour sur avec ce cette il elle au aux par pas plus "
    "ne se sont vous nous être ou mais leur comme écrivez écris quelle quel comment pourquoi votre",
    "de": "der die das und ist nicht ein eine einen einem mit zu den dem von für auf im sich des auch als an es "
    "wie werden aus bei oder ich sie wir schreibe bitte warum kann wird sind über nach",
    "it": "il lo la gli le di che e un una in per con non è sono del della dei delle al alla come più ma anche "
    "questo questa scrivi quale perché nel nella si da",
    "pt": "o a os as de do da dos das que e um uma em para com não é no na nos nas por mais como se ao pelo "
    "pela mas seu sua escreva você qual isso este esta são",
    "nl": "de het een en van in is dat op te zijn met voor niet aan er om ook als dan maar bij naar uit door je "
    "ik wat hoe schrijf waarom worden wordt deze dit",
}
_TONGUES = {name: frozenset(words.split()) for name, words in _FUNCTION_WORDS.items()}
_UNLIKE_ENGLISH = {name: words - _TONGUES["en"] for name, words in _TONGUES.items() if name != "en"}
_NON_ASCII_LETTER = re.compile(r"[^\W\d_\x00-\x7f]")


def language(text: str) -> Language:
    """Return the language that a text is written in; code, links and quotations count only when there is nothing else.

    Where two scripts have a substantial share, as in a Chinese prompt about an English text, the first clause decides.
    """
    if _is_plainly_english(text):
        return Language.EN
    script, tongue, _ = _profile(normalise(text))
    return _NAMED.get(script, Language.OTHER) if script != "latin" or tongue == "en" else Language.OTHER


_NAMED = {"": Language.NONE, "han": Language.ZH, "latin": Language.EN}


def language_changed(original: str, refined: str) -> bool:
    """Say whether the language of the original lost its place: half its share of the text is gone.

    Scripts are compared first; between languages of Latin letters the function words decide, and too few say nothing.
    """
    if _is_plainly_english(original) and _is_plainly_english(refined):
        return False
    original, refined = normalise(original), normalise(refined)
    if original.isascii() and refined.isascii():
        before, after = (
            _tongue(_LATIN_WORD.findall(_prose(original)), True),
            _tongue(_LATIN_WORD.findall(_prose(refined)), True),
        )
        return bool(before and after and before != after)
    script, tongue, share = _profile(original)
    new_script, new_tongue, _ = _profile(refined)
    if not script or not new_script:
        return False
    if script == new_script:
        return script == "latin" and tongue != new_tongue and _evident(original) != "" and _evident(refined) != ""
    weights = _weights(_prose(refined))
    return weights.get(script, 0.0) < 0.5 * share * sum(weights.values())


_ENGLISH_ONLY = _TONGUES["en"] - frozenset().union(
    *_UNLIKE_ENGLISH.values(), *(_TONGUES[name] for name in _UNLIKE_ENGLISH)
)


def _is_plainly_english(text: str) -> bool:
    """Say whether at least 4 words, and one word in 8, belong to no language of the list but English."""
    if not text.isascii():
        return False
    words = text.lower().split()
    return max(4, len(set(words)) / 8) <= len(_ENGLISH_ONLY.intersection(words))


def evident_english(text: str) -> bool:
    """Say whether two words at least belong to no language of the list but English, and to any other one fewer.

    Unlike `language`, it does not take Latin letters for English where nothing speaks for another language.
    """
    told = _TELLING.intersection(text.lower().split())
    english = len(_ENGLISH_EVIDENCE & told)
    return english >= 2 and english > len(told) - english


_NOT_ENGLISH = frozenset().union(*_UNLIKE_ENGLISH.values())
_OF_INSTRUCTIONS = (
    "give given find name make create explain identify classify rewrite summarize analyze suggest provide convert "
    "calculate compare following using word words sentence sentences example examples story between difference list "
    "following: sentence. sentence: words. text: story. come up think tell help need should could two three five ten "
    "generate describe new why about construct compose creative does develop brainstorm define way use when used "
    "someone different few write recommend predict build outline propose customer learning between people world most "
    "good work city country"
)
"""English words that instructions are full of, and that are hardly ever words of another language of the list."""
_ENGLISH_EVIDENCE = (_ENGLISH_ONLY | frozenset(_OF_INSTRUCTIONS.split())) - _NOT_ENGLISH
_TELLING = _ENGLISH_EVIDENCE | _NOT_ENGLISH


def _evident(text: str) -> str:
    return _tongue(_LATIN_WORD.findall(_prose(text)), text.isascii())


def _prose(text: str) -> str:
    if not any(mark in text for mark in '`{"“「『:'):
        return text
    rest = _ATTACHED.sub(" ", text)
    return rest if len(rest.split()) > 1 or _HAN.search(rest) else text


def _weights(text: str) -> dict[str, float]:
    if text.isascii():
        count = len(_LATIN_WORD.findall(text))
        return {"latin": float(count)} if count else {}
    han, kana = len(_HAN.findall(text)), len(_KANA.findall(text))
    weights = {
        "han": han * _WORDS_PER_HAN,
        "latin": float(len(_LATIN_WORD.findall(text))),
        "hangul": float(len(_HANGUL.findall(text))),
        "other": float(len(_OTHER_LETTERS.findall(text))),
    }
    if kana * 8 > han:  # Japanese is written with Chinese characters too, but never long without kana.
        weights["kana"] = weights.pop("han") + kana * _WORDS_PER_HAN
    return {script: weight for script, weight in weights.items() if weight}


def _profile(text: str) -> tuple[str, str, float]:
    """Return the script of the instruction, its Latin tongue ("en" unless another is evident), and its share."""
    prose = _prose(text)
    weights = _weights(prose)
    if not weights:
        return "", "", 0.0
    total = sum(weights.values())
    script = max(weights, key=lambda name: weights[name])
    if weights[script] < (1 - _ATTACHMENT) * total:
        script = _leading_script(prose, weights)
    tongue = ""
    if script == "latin":
        words = _LATIN_WORD.findall(prose)
        tongue = _tongue(words, prose.isascii()) or "en"
    return script, tongue, weights[script] / total


def _leading_script(prose: str, weights: dict[str, float]) -> str:
    for match in _CLAUSE.finditer(prose):
        clause = _weights(match.group())
        if clause:
            # Foreign terms inside Chinese are usual, Chinese terms inside a foreign clause are not.
            if clause.get("han", 0.0) >= 0.3 * sum(clause.values()) and "han" in weights:
                return "han"
            return max(
                (name for name in clause if name in weights),
                key=lambda name: clause[name],
                default=next(iter(weights)),
            )
    return next(iter(weights))


def _tongue(words: list[str], ascii_only: bool) -> str:
    """Return the language whose function words are evident among Latin words, or "" when none is."""
    seen = {word.lower() for word in words[:400]}
    english = len(_TONGUES["en"] & seen)
    hits = {name: len(own & seen) for name, own in _UNLIKE_ENGLISH.items()}
    best = max(hits, key=lambda name: hits[name])
    if hits[best] >= 2 and hits[best] > 1.5 * english and hits[best] * 8 >= len(seen):
        return best
    if english >= 2 and english >= hits[best]:
        return "en"
    if not ascii_only and english == 0 and 3 * sum(bool(_NON_ASCII_LETTER.search(word)) for word in seen) >= len(seen):
        return "accented"
    return ""
