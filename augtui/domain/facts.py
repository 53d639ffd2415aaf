"""The hard facts of a prompt that a refinement must carry over: variables, links, code, quotations and names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from augtui.domain.spelling import HAN, LATIN, WORD, common_words, fillers, normalise, stem, tokens

_VARIABLE = re.compile(
    r"\$\{\{[^{}\n]{1,120}\}\}|\{\{[^{}\n]{1,120}\}\}|\$\{[A-Za-z_][\w.]{0,80}\}|\{[A-Za-z_][\w .-]{0,60}\}|\{\d{0,2}\}"
    r"|<[A-Z][A-Z0-9_ -]{0,60}>|\[[A-Z][A-Z0-9_ -]{1,60}\]|(?<!\w)\$[A-Za-z_]\w{0,80}"
    r"|(?<![\w%])%(?:\(\w{1,60}\))?[-+#0]?\d{0,3}(?:\.\d{1,3})?[sdifgrxX](?!\w)"
)
_LINK = re.compile(
    r"(?:(?:https?|ftps?|file|git|ssh|wss?)://|(?<![A-Za-z0-9@./-])www\.)[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]++"
    r"|(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]++@[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)+"
)
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})([^`\n]*)$")
_INLINE_CODE = re.compile(r"(?<!`)(`{1,3})(?!`)([^`\n]++)\1(?!`)")

_EXTENSION_NAMES = (
    "py js ts jsx tsx c h cc cpp hpp cs java kt go rs rb php pl lua r swift scala sh bash zsh bat ps1 sql "
    "html htm css scss xml json jsonl yaml yml toml ini cfg conf env md rst txt log csv tsv xls xlsx doc "
    "docx ppt pptx pdf tex bib png jpg jpeg gif svg webp mp3 mp4 wav avi mov mkv zip tar gz xz bz2 7z exe "
    "dll so lib bin gguf pt onnx safetensors ipynb db sqlite lock vue net "
)
_EXTENSIONS = frozenset(_EXTENSION_NAMES.split())
_DOMAIN_NAMES = "com org net io dev ai edu gov co uk de fr cn jp info me app ru eu"
_DOMAINS = frozenset(_DOMAIN_NAMES.split())
_SLUG = r"[A-Za-z0-9_]"
_IDENTIFIER = re.compile(
    r"(?P<path>(?<![A-Za-z0-9_.~/<])(?:~|\.{1,2})?/[\w.-]++(?:/[\w.-]++)++/?|(?<![\w/.-])(?:[A-Za-z0-9_.-]++/)++[A-Za-z0-9_-]++\.[A-Za-z0-9]++"
    r"|\b[A-Za-z]:\\[^\s\"<>|,;]++)"
    r"|(?P<flag>(?<![\w-])--[A-Za-z][\w-]*+(?:=[^\s,;]++)?|(?<![^\s`(])-[A-Za-z](?![\w-]))"
    rf"|(?P<dotted>(?<![A-Za-z0-9_.-])\.?[A-Za-z_]{_SLUG}*+(?:-{_SLUG}++)*(?:\.[A-Za-z_]{_SLUG}*+)+)"
    rf"|(?P<snake>(?<!{_SLUG})_*[A-Za-z0-9]++(?:_+[A-Za-z0-9]++)++_*|(?<!{_SLUG})__?[A-Za-z]{_SLUG}++)"
    rf"|(?P<kebab>(?<![A-Za-z0-9_-])(?=[A-Za-z-]{{0,40}}\d)[A-Za-z][A-Za-z0-9]*+(?:[-.][A-Za-z0-9]++)*)"
    rf"|(?P<camel>(?<!{_SLUG})(?:[a-z]++[A-Z]|[A-Z]++[a-z]++[a-z]*[A-Z]){_SLUG}*+)"
    rf"|(?P<call>(?<!{_SLUG})[A-Za-z_]{_SLUG}*+(?=\((?!e?s\))))"
    rf"|(?P<tongue>(?<!{_SLUG})(?:[A-Za-z]\+\+|[A-Z]#)(?![A-Za-z0-9+#]))"
    r"|(?P<command>\\[A-Za-z]{2,40})"
    r"|(?P<mention>(?<![\w@#&/])[@#][A-Za-z]\w++)"
    r"|(?P<operator>(?<![=<>!+:&|-])(?:==|!=|<=|>=|&&|\|\||:=|\+=|-=|::)(?![=<>&|:-]))"
)

_PAIRS = (
    re.compile(r'(?<![A-Za-z0-9"])"(?=[^\s"])([^"]*+)(?<!\s)"(?![A-Za-z0-9])'),
    re.compile(r"“([^“”]*)”"),
    re.compile(r"「([^「」]*)」"),
    re.compile(r"『([^『』]*)』"),
    re.compile(r"《([^《》]*)》"),
    re.compile(r"«([^«»]*)»"),
)
_SINGLE = re.compile(r"(?<![A-Za-z0-9'])'(?=[^\s'])((?:[^'\n]|(?<=[A-Za-z])'(?=[A-Za-z]))*+)(?<!\s)'(?![A-Za-z0-9])")
_CAPITAL = re.compile(rf"[A-Z\u00c0-\u00de][{LATIN}0-9]*+(?:[-'&][{LATIN}][{LATIN}0-9]*+)*+")
_STARTS = frozenset(".!?:;\"“”‘'([{*#•|>-\n。！？：；，、「」『』《》/…")
_ROMAN = {
    "II": "2",
    "III": "3",
    "IV": "4",
    "VI": "6",
    "VII": "7",
    "VIII": "8",
    "IX": "9",
    "XI": "11",
    "XII": "12",
    "XX": "20",
}
_LATIN_IN_HAN = re.compile(
    f"(?<=[{HAN}])[ ]?([A-Za-z][A-Za-z+#]++)|(?<![A-Za-z+#])([A-Za-z][A-Za-z+#]++)[ ]?(?=[{HAN}])"
)

_LOOKUPS = 64
_SCANNED = 30_000_000
"""Facts are looked up one by one until this many characters, or the least number of lookups, are spent; the rest then
count as lost. It bounds the time on hostile input and is far beyond any prompt."""


@dataclass(slots=True)
class Facts:
    """What a prompt states verbatim, each kind in order of appearance, and the running text around it."""

    variables: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    """Fenced code, without its fences."""
    code: list[str] = field(default_factory=list)
    """Inline code, and identifiers, file names, flags, operators and the like."""
    quotes: list[str] = field(default_factory=list)
    prose: str = ""
    """The normalised text with variables, links and code blanked."""


def facts(text: str) -> Facts:
    """Return the facts of a prompt (not yet normalised: code must stay as it is). Linear in the text."""
    found = Facts()
    if "```" in text or "~~~" in text:
        text = _fenced(text, found.blocks)
    quoted = normalise(text)
    found.quotes = quotations(quoted)
    if "`" in text:
        text = _taken(_INLINE_CODE, text, found.code, group=2)
        quoted = normalise(text)
    text = quoted
    if "://" in text or "@" in text or "www." in text:
        text = _links(text, found)
    if "{" in text or "<" in text or "[" in text or "%" in text or "$" in text:
        text = _taken(_VARIABLE, text, found.variables)
        found.variables = [_tight(variable) for variable in found.variables]
    found.prose = _identifiers(text, found)
    return found


_ARGUMENTS = re.compile(r"\((?:[\"')]|[a-z]\w?[),\]])")

_BLANKED = "\u2022"
"""Stands in the running text for what was taken out."""


def _fenced(text: str, into: list[str]) -> str:
    """Move the closed code fences of a text `into` the list; an unclosed fence is running text."""
    kept: list[str] = []
    opened, mark = -1, ""
    lines = text.split("\n")
    for line in lines:
        fence = _FENCE.match(line) if "```" in line or "~~~" in line else None
        kept.append(line)
        if fence and not mark:
            opened, mark = len(kept) - 1, fence[1]
        elif fence and fence[1].startswith(mark) and not fence[2].strip():
            into.append("\n".join(kept[opened + 1 : -1]))
            kept[opened:] = [_BLANKED]
            mark = ""
    return "\n".join(kept)


def _taken(pattern: re.Pattern[str], text: str, into: list[str], group: int = 0) -> str:
    def take(match: re.Match[str]) -> str:
        into.append(match[group])
        return f" {_BLANKED} "

    return pattern.sub(take, text)


def _links(text: str, found: Facts) -> str:
    def take(match: re.Match[str]) -> str:
        link = match.group()
        kept = link.rstrip(".,;:!?'*_")
        for closing, opening in (")(", "]["):
            if kept.endswith(closing):
                surplus = kept.count(closing) - kept.count(opening)
                bare = kept.rstrip(closing)
                kept = kept[: max(len(bare), len(kept) - max(surplus, 0))].rstrip(".,;:!?'*_")
        found.links.append(kept)
        return " " + link[len(kept) :] + " "

    return _LINK.sub(take, text)


def _tight(variable: str) -> str:
    """Return a variable without the blanks inside its braces."""
    return re.sub(r"(?<=[{<\[])\s+|\s+(?=[}>\]])", "", variable)


def _identifiers(text: str, found: Facts) -> str:
    # No identifier holds a blank, and few chunks between blanks hold an identifier.
    odd = [chunk for chunk in text.split() if len(chunk) >= _LONG or _is_odd(chunk)]
    if not odd:
        return text

    def take(match: re.Match[str]) -> str:
        token, kind = match.group(), match.lastgroup
        if kind == "dotted":
            token = token.rstrip(".")
            if not _is_dotted_name(token):
                return match.group()
            last = token.rpartition(".")[2].lower()
            (found.links if last in _DOMAINS and last not in _EXTENSIONS else found.code).append(token)
        elif kind == "call" and token.lower() in common_words() and not _ARGUMENTS.match(match.string, match.end()):
            return token  # "several large models(LLM)" calls nothing
        elif kind == "camel":
            found.code.append(token)
            return token  # PyTorch and iPhone are words too
        else:
            found.code.append(token)
        return f" {_BLANKED} "

    parts: list[str] = []
    done = 0
    for chunk in odd:
        start = text.index(chunk, done)
        parts += (text[done:start], _IDENTIFIER.sub(take, chunk))
        done = start + len(chunk)
    return "".join(parts) + text[done:]


_LONG = 48


@lru_cache(maxsize=32768)
def _is_odd(chunk: str) -> bool:
    return _IDENTIFIER.search(chunk) is not None


def _is_dotted_name(token: str) -> bool:
    """Tell `os.path.join` and `notes.txt` from `e.g`, `U.S` and a missing blank after a sentence."""
    parts = token.strip(".").split(".")
    last = parts[-1].lower()
    if all(len(part) < 2 for part in parts):
        return False
    if last in _EXTENSIONS or last in _DOMAINS:
        return True
    if all(len(part) <= 2 for part in parts):
        return False
    if "_" in token or any(char.isdigit() for char in token) or len(parts) > 2:
        return True
    return parts[-1].islower() and not (parts[0].lower() in common_words() and last in common_words())


def quotations(text: str) -> list[str]:
    """Return the contents of the paired quotation marks of a normalised text (title marks 《》 too)."""
    found: list[str] = []
    for pattern, mark in zip(_PAIRS, '"“「『《«', strict=True):
        if mark in text:
            found += pattern.findall(text)
    if "'" in text:
        found += _SINGLE.findall(text)
    return [part for quote in found for part in quote.split(_BLANKED) if part.strip()]


def names(prose: str) -> list[str]:
    """Return the names in running text: words with a capital inside a sentence, and Latin terms within Chinese.

    A capital at the start of a sentence counts when the word is not a common one; in a headline, where most words
    have a capital, that rule holds for all words.
    """
    found: dict[str, None] = {}
    if not prose.isascii():
        for before, after in _LATIN_IN_HAN.findall(prose):
            found.setdefault(before or after)
    words = len(prose.split())
    candidates = [
        (match.group(), start)
        for match in _CAPITAL.finditer(prose)
        if not (start := match.start()) or not (prose[start - 1].isalnum() or prose[start - 1] in "_'&-")
    ]
    inside = [word for word, start in candidates if not _initial(prose, start) and word.casefold() not in fillers()]
    headline = words >= 6 and len(inside) * 2 > words
    common = common_words()
    for word, start in candidates:
        folded = word.casefold().removesuffix("'s")
        if folded in fillers() or len(folded) < 2:
            continue
        usual = folded in common or "-" in folded or "'" in folded or stem(folded) in common
        if usual and (headline or _initial(prose, start)):
            continue
        found.setdefault(word.removesuffix("'s"))
    return list(found)


def _initial(text: str, start: int) -> bool:
    before = start - 1
    while before >= 0 and text[before] in " \t":
        before -= 1
    return before < 0 or text[before] in _STARTS


class Carrier:
    """A refined text, prepared to answer which facts of the original it carries."""

    def __init__(self, text: str) -> None:
        """Prepare `text`; what is costly is prepared at the first question about it."""
        self.text = text
        self.normal = normalise(text)
        self.facts = facts(text)
        self._folded: str | None = None
        self._words: str | None = None
        self._lines: str | None = None
        self._latin: frozenset[str] | None = None
        self._stems: frozenset[str] | None = None

    @property
    def words(self) -> str:
        """All tokens of the text with one blank before, between and after them."""
        if self._words is None:
            self._words = " " + " ".join(tokens(self.normal)) + " "
        return self._words

    @property
    def folded(self) -> str:
        """The normal form of the text without distinction of case."""
        if self._folded is None:
            self._folded = self.normal.casefold()
        return self._folded

    @property
    def latin(self) -> frozenset[str]:
        """The folded Latin words of the whole text."""
        if self._latin is None:
            self._latin = frozenset(WORD.findall(self.folded))
        return self._latin

    @property
    def stems(self) -> frozenset[str]:
        """The stems of the Latin words of the whole text."""
        if self._stems is None:
            self._stems = frozenset(map(stem, self.latin))
        return self._stems

    def lost_variables(self, wanted: Iterable[str]) -> list[str]:
        """Return the variables that the text lacks; blanks inside the braces do not matter."""
        own = frozenset(self.facts.variables)
        return self._lost(wanted, own, lambda variable: variable in self.normal)

    def lost_links(self, wanted: Iterable[str]) -> list[str]:
        """Return the links and e-mail addresses that the text lacks."""
        return self._lost(wanted, frozenset(self.facts.links), lambda link: _stands(link, self.normal, "/-_%="))

    def lost_blocks(self, wanted: Iterable[str]) -> list[str]:
        """Return the first lines of the code blocks whose lines the text lacks, in order and equally indented."""
        return [next(iter(block.split("\n")), "").strip()[:80] for block in wanted if not self._has_lines(block)]

    def lost_code(self, wanted: Iterable[str]) -> list[str]:
        """Return the inline code and identifiers that the text lacks, with or without code marks."""
        return self._lost(wanted, frozenset(self.facts.code), self._has_code)

    def lost_quotes(self, wanted: Iterable[str]) -> list[str]:
        """Return the quotations whose words the text lacks in their order; case and punctuation do not matter."""
        return self._lost(wanted, frozenset(), self._has_quote)

    def lost_names(self, wanted: Iterable[str], numbers: Callable[[str], bool]) -> list[str]:
        """Return the names that the text lacks; `numbers` says whether it has the number of a Roman numeral."""

        def has(name: str) -> bool:
            folded = name.casefold()
            if stem(folded) in self.stems or f" {folded} " in self.words:
                return True
            parts = tokens(folded)
            joined = "".join(parts)
            if len(parts) > 1 and (all(f" {part} " in self.words or stem(part) in self.stems for part in parts)):
                return True
            if f" {joined} " in self.words or (name in _ROMAN and numbers(_ROMAN[name])):
                return True
            return not folded.isascii() and f" {' '.join(parts)} " in self.words

        return self._lost(wanted, frozenset(), has)

    def _lost(self, wanted: Iterable[str], own: frozenset[str], has: Callable[[str], bool]) -> list[str]:
        missing = [fact for fact in dict.fromkeys(wanted) if fact not in own]
        most = max(_LOOKUPS, _SCANNED // (len(self.text) + 1))
        return [fact for number, fact in enumerate(missing) if number >= most or not has(fact)]

    def _has_lines(self, block: str) -> bool:
        if self._lines is None:
            self._lines = _line_key(self.text)
        key = _line_key(block)
        # The first line's own indentation is relative to what came before: not a part of the block.
        return key.partition("|")[2] == "" or "|" + key.partition("|")[2] in self._lines

    def _has_code(self, code: str) -> bool:
        code = code.strip()
        plain = normalise(code)
        if not plain or _stands(code, self.text, "_") or _stands(plain, self.normal, "_"):
            return True
        folded, text = plain.casefold(), self.folded
        if plain.isalnum() and plain[:1].isupper() and not plain.isupper():
            return _stands(folded, text, "_")
        if (
            any(char.isdigit() for char in plain) and plain.replace("-", "").isalnum()
        ):  # GPT-4, GPT 4 and GPT4 are one name
            spaced = " ".join(re.findall(r"[a-z]+|\d+", folded))
            joined = folded.replace("-", "")
            return (
                f" {joined} " in self.words
                or f" {spaced} " in self.words
                or f" {' '.join(tokens(folded))} " in self.words
            )
        if "." in plain and plain.replace(".", "").isalpha():  # a blank was missing after a sentence
            return _stands(folded.replace(".", ". "), text, "_")
        return False

    def _has_quote(self, quote: str) -> bool:
        own = tokens(normalise(quote))
        if own:
            return f" {' '.join(own)} " in self.words
        return quote.strip() in self.text or normalise(quote).strip() in self.normal


def _line_key(text: str) -> str:
    """Return the lines, each indented relative to the line before, so that shifted blocks can be found."""
    parts, before = ["\n"], 0
    for raw in text.split("\n"):
        line = raw.expandtabs(4).rstrip()
        if line:
            bare = line.lstrip()
            indent = len(line) - len(bare)
            parts.append(f"{indent - before}|{bare}\n")
            before = indent
    return "".join(parts)


def _stands(fact: str, text: str, inner: str) -> bool:
    """Say whether `fact` occurs in `text` and is not a part of a longer word; `inner` are more characters of words."""
    start = text.find(fact)
    tries = 0
    while start >= 0 and tries < _LOOKUPS:
        end = start + len(fact)
        if _breaks(text[start - 1] if start else " ", fact[0], inner) and _breaks(
            text[end : end + 1] or " ", fact[-1], inner
        ):
            return True
        start = text.find(fact, start + 1)
        tries += 1
    return False


def _breaks(outside: str, inside: str, inner: str) -> bool:
    """Say whether a word ends between two characters; beside a Chinese character a Latin word always does."""
    if not (inside.isalnum() or inside in inner):
        return True
    return not (outside in inner or (outside.isalnum() and outside.isascii() == inside.isascii()))
