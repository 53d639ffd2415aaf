"""Delexicalisation: what a small model must only carry over stands as one sign each, and is put back afterwards.

Names, rare words, numbers, links, code, quotations and attached texts become signs of one character, numbered in their
order: `plan a trip to Kyōto for 2,500 €` is `plan a trip to Ⓐ for Ⓑ`. A model with a small vocabulary carries such a
sign over where it would misspell the word, and does not have to write out a text that it only hands on.
The technique is that of language generation for dialogues (Wen et al. 2015, https://aclanthology.org/D15-1199).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import resources

from augtui.domain.language import Language, language
from augtui.domain.spelling import HAN, fillers

WORDS = "ⒶⒷⒸⒹⒺⒻⒼⒽⒾⒿⓀⓁⓂⓃⓄⓅⓆⓇⓈⓉⓊⓋⓌⓍⓎⓏ"
"""Signs of words, names and numbers, which a sentence may end in."""
TEXTS = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"
"""Signs of links, code, formulas, quotations: what a sentence may not end in without looking odd."""
REST = "⓪"
"""The sign of all that follows the part to be read."""
HEAD, HEAD_ZH = 240, 110
"""Characters of a prompt's first paragraph that are shown, to the end of a sentence where there is one."""
_SHORTEST_CUT = 60
"""Characters beyond `HEAD` that are not worth a sign."""
MOST = 18
"""Signs of one prompt, beside that of the rest: with more of them, what follows belongs to the rest."""
_QUOTED = 3
"""Words in quotation marks up to which they are read word by word."""

_SIGN = re.compile(f"[{WORDS}{TEXTS}{REST}]")
_PLACED = re.compile(rf"({_SIGN.pattern})([\"'”’」]?)([.。]?)")
_ENDS = ".?!。？！"
_CODE = (
    r"```.*?```",
    r"`[^`\n]+`",
    r"\$?\{\{[^{}\n]{1,120}\}\}",
    r"\$?\{[^{}\n]{1,60}\}",
    r"\[[A-Z][A-Z0-9_ -]{1,60}\]",
    r"<[A-Z][A-Z0-9_ -]{1,60}>",
)
_QUOTE = (
    r"\"[^\"\n]{2,}\"",
    r"“[^“”\n]{2,}”",
    r"「[^「」\n]{2,}」",
    r"《[^《》\n]+》",
    r"(?<![\w'])'[^'\n]{2,}'(?!\w)",
)
_TOKEN = re.compile(
    rf"(?P<space>\s+)|(?P<code>{'|'.join(_CODE)})|(?P<quote>{'|'.join(_QUOTE)})|(?P<han>[{HAN}]+)"
    rf"|(?P<mark>[，。！？：；、（）…—])|(?P<chunk>[^\s{HAN}，。！？：；、（）…—“”「」《》\"`]+)|(?P<other>.)",
    re.DOTALL,
)
_PLAIN_CHUNK = re.compile(r"[A-Za-z]+(?:'(?:s|t|re|ve|ll|d|m))?(?:-[a-z]+)*|\d")
_EDGES = re.compile(r"^([(\['\"]*)(.*?)([.,;:?!)\]'\"%]*)$", re.DOTALL)
_WORDLIKE = re.compile(r"[^\W_](?:[\w ,.'&%€$£:-]*[\w%€])?")
_SENTENCE_END = re.compile(r"[.?!:](?=\s)|[。！？：]")
_CONTRACTED = frozenset(
    ("don", "isn", "aren", "doesn", "didn", "won", "can", "couldn", "shouldn", "wouldn", "wasn", "hasn", "haven", "ain")
)


@cache
def plain_words() -> frozenset[str]:
    """Return the English words, in lower case, that are common enough to be read."""
    text = (resources.files(__package__) / "words" / "plain.txt").read_text(encoding="utf-8")
    return frozenset(text.split()) | fillers()


@cache
def _plain_characters() -> frozenset[str]:
    return frozenset((resources.files(__package__) / "words" / "plain_zh.txt").read_text(encoding="utf-8"))


def strange_sign(prompt: str, text: str) -> str | None:
    """Return a sign in a text that stands for nothing: it is not in the prompt either."""
    return next((sign for sign in _SIGN.findall(text) if sign not in prompt), None)


@dataclass(frozen=True, slots=True)
class Delexicalised:
    """A prompt with signs, and what each of them stands for."""

    text: str
    spans: dict[str, str] = field(default_factory=dict)

    def restore(self, answer: str) -> str:
        """Return an answer with everything put back; a sign that stands for nothing stays.

        Where a sentence ends in a sign, and what that stands for ends in a full stop itself, the answer's is left out.
        """

        def place(match: re.Match[str]) -> str:
            span = self.spans.get(match[1], match[1])
            is_ended = span[-1:] in _ENDS and match[0] not in self.text
            return span + match[2] + (match[3] if not is_ended else "")

        return _PLACED.sub(place, answer)

    def hide(self, text: str) -> str:
        """Return a text with this prompt's signs for what they stand for, where it holds it: longest first."""
        for sign, span in sorted(self.spans.items(), key=lambda item: -len(item[1])):
            start = text.find(span)
            while start >= 0:
                end = start + len(span)
                if not (_joins(text[start - 1 : start], span[0]) or _joins(span[-1], text[end : end + 1])):
                    text = text[:start] + sign + text[end:]
                    break
                start = text.find(span, start + 1)
        return text


def _joins(left: str, right: str) -> bool:
    return left.isalnum() and right.isalnum() and left.isascii() and right.isascii()


def delexicalise(prompt: str) -> Delexicalised:
    """Return a prompt with signs for all that need not be read.

    `restore` of its own text gives the prompt again, but for white space: none at the ends, and single blanks in the
    part that is read. Linear in the text.
    """
    text = prompt.strip()
    head, rest = _split(text)
    return _Hider(_opens_plainly(head)).hidden(head, rest)


def _split(text: str) -> tuple[str, str]:
    """Return the part to be read, a first paragraph or some sentences of it, and the rest."""
    end = text.find("\n")
    first = text if end < 0 else text[:end].rstrip()
    most = HEAD_ZH if language(first) is Language.ZH else HEAD
    if len(first) > most + _SHORTEST_CUT:
        ends = [match.end() for match in _SENTENCE_END.finditer(first, 0, most + _SHORTEST_CUT)]
        cut = next((place for place in reversed(ends) if place >= most // 3), 0)
        if not cut:
            space = first.rfind(" ", 0, most)
            cut = space if space > 0 else most
        first = first[:cut]
    rest = text[len(first) :]
    return first, rest


def _opens_plainly(head: str) -> bool:
    """Say whether a text is written in sentences: in a headline every word has a capital, and none is a name for it."""
    words: list[str] = re.findall(r"\b[A-Za-z]\w+", head)
    return sum(word[0].isupper() for word in words) * 2 <= len(words) + 1


class _Hider:
    """Gives out the signs of one prompt."""

    def __init__(self, is_prose: bool) -> None:
        self._is_prose = is_prose
        self._spans: dict[str, str] = {}
        self._words, self._texts = iter(WORDS), iter(TEXTS)
        self._parts: list[str] = []
        self._open = ""
        """What is hidden and may still grow: neighbouring names are one."""
        self._gap = ""

    def hidden(self, head: str, rest: str) -> Delexicalised:
        starts = True
        place = 0
        for match in _TOKEN.finditer(head):
            kind, token = str(match.lastgroup), match[0]
            if kind == "space":
                if self._open:
                    self._gap = " "
                else:
                    self._show(" ")
                place = match.end()
                continue
            before = (len(self._parts), dict(self._spans), self._open, self._gap)
            if not self._take(kind, token, starts):
                # No sign is left: from this token on all is one text, also what of it was shown already.
                shown, self._spans, self._open, self._gap = before
                del self._parts[shown:]
                rest = head[place:] + rest
                break
            starts = token[-1] in '.?!:\n。！？："“' or (starts and token[-1] in "(['\"-*•")
            place = match.end()
        self._show("")
        if rest:
            body = rest.lstrip()
            self._parts += (rest[: len(rest) - len(body)], REST)
            self._spans[REST] = body
        return Delexicalised("".join(self._parts), self._spans)

    def _take(self, kind: str, token: str, starts: bool) -> bool:
        """Show or hide one token; False if there is no sign for it."""
        if kind == "mark":
            return self._show(token)
        if kind == "han":
            return all(
                self._show(part) if part[0] in _plain_characters() else self._hide(part) for part in _runs(token)
            )
        if kind == "quote":
            inner = token[1:-1]
            if len(inner.split()) <= _QUOTED and not re.search(f"[{HAN}]", inner):
                return self._show(token[0]) and self._quoted(inner) and self._show(token[-1])
            return self._show(token[0]) and self._hide(inner) and self._show(token[-1])
        if kind in ("code", "other"):
            return self._hide(token) if kind == "code" or token not in "\"'“”" else self._show(token)
        before, core, after = _EDGES.match(token).groups()  # type: ignore[union-attr]
        if before:
            self._show(before)
        if core and not (self._show(core) if self._is_plain(core, starts) else self._hide(core)):
            return False
        return self._show(after) if after else True

    def _quoted(self, inner: str) -> bool:
        return self._show(inner) if all(self._is_plain(word, False) for word in inner.split(" ")) else self._hide(inner)

    def _is_plain(self, word: str, starts: bool) -> bool:
        return is_plain(word) and (
            word.islower()
            or word.isdigit()
            or word == "I"
            or word.startswith("I'")
            or (starts and word[0].isupper() and word[1:].islower())
            or (not self._is_prose and word.istitle())
        )

    def _show(self, text: str) -> bool:
        if self._open:
            self._close()
        self._parts.append(text)
        return True

    def _hide(self, text: str) -> bool:
        if self._open:
            joined = self._open + self._gap + text
            if self._gap and _WORDLIKE.fullmatch(joined):
                self._open, self._gap = joined, ""
                return True
            self._close()
        # The sign is taken when what it stands for is whole; there must be one of either kind.
        if len(self._spans) >= MOST:
            return False
        self._open = text
        return True

    def _close(self) -> None:
        signs = self._words if _WORDLIKE.fullmatch(self._open) else self._texts
        sign = next(signs)
        self._spans[sign] = self._open
        self._parts += (sign, self._gap)
        self._open = self._gap = ""


def _runs(text: str) -> list[str]:
    """Return a run of Chinese characters in parts that are all plain or all rare."""
    plain = _plain_characters()
    parts: list[str] = []
    for char in text:
        if parts and (parts[-1][-1] in plain) == (char in plain):
            parts[-1] += char
        else:
            parts.append(char)
    return parts


@lru_cache(maxsize=32768)
def is_plain(word: str) -> bool:
    """Say whether a word is one of the commonest English ones, or of several such, or a single digit."""
    if not _PLAIN_CHUNK.fullmatch(word):
        return False
    base, _, ending = word.lower().partition("'")
    if ending == "t":
        return base in _CONTRACTED
    return word.isdigit() or all(part in plain_words() for part in base.split("-"))
