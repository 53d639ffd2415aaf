"""The refinement guard: whether a refined prompt kept what its user's prompt said, and if not, what it lost.

The requirements are those of the paper's Table 7: essential details, variables and language stay, the growth is not
excessive, and the answer is the prompt alone. The strictest level is for small models, which now and then swap a rare
word for another.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from augtui.domain.content import is_corrected, lost_characters, lost_words, unknown_words
from augtui.domain.facts import Carrier, Facts, facts, names
from augtui.domain.language import language, language_changed
from augtui.domain.numbers import Number, invented_numbers, lost_numbers, numbers
from augtui.domain.spelling import HAN, normalise, tokens
from augtui.domain.swaps import swapped_words

MAX_GROWTH = 4.0
"""Words a refined prompt may have per word of its original, beside `ALLOWANCE`."""
ALLOWANCE = 200
"""Words of added structure that even the shortest prompt may get."""
LONGEST = 200_000
"""Characters up to which a text is read; a longer pair passes only if it holds the prompt as it is."""
_SHOWN = 12
"""Violations listed of one kind."""


class Strictness(StrEnum):
    """How much of the original a refinement must keep; each level includes the one before."""

    OFF = "off"
    """Not empty, and no trace of the model's own template."""
    LENIENT = "lenient"
    """Variables, numbers, code, links, quotations and language stay; no endless repetition."""
    NORMAL = "normal"
    """Names stay too; something has changed, and the growth is not excessive."""
    STRICT = "strict"
    """Every content word stays in some form; no word that is no word and no weighty number is added."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a refinement broke with its original: a short stable `kind`, and the fact itself as `detail`."""

    kind: str
    detail: str = ""

    def __str__(self) -> str:
        """Return it in one phrase, such as "number lost: 42"."""
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


def guard(
    original: str, refined: str, strictness: Strictness = Strictness.STRICT, *, max_growth: float = MAX_GROWTH
) -> list[Violation]:
    """Return how `refined` broke with `original`, at most a dozen violations of a kind; an empty list accepts it.

    Never raises, whatever the two texts hold; the time is linear in their length. The prompt wrapped in further text as
    it is has lost nothing. `max_growth`: words of the refined prompt per word of the original, over `ALLOWANCE` words.
    """
    if not any(char.isalnum() for char in refined):
        return [Violation("empty")]
    found = list(_leaks(original, refined))
    if strictness is Strictness.OFF:
        return found
    contained = _contains(refined, original)
    if max(len(original), len(refined)) > LONGEST:
        return found if contained else [*found, Violation("too long", f"over {LONGEST:,} characters")]
    if detail := _repetition(original, refined):
        found.append(Violation("repetition", detail))
    # A prompt that is there as it was keeps its language, unless it drowns in what was added.
    if not (contained and _length(refined) <= 4 * _length(original) + 8) and language_changed(original, refined):
        found.append(Violation("language changed", f"{language(original)} to {language(refined)}"))
    if not contained or strictness is Strictness.STRICT:
        found += _losses(original, refined, strictness, contained)
    if strictness is Strictness.LENIENT:
        return found
    if refined.split() == original.split():
        found.append(Violation("unchanged"))
    before, after = _length(original), _length(refined)
    if after > max_growth * before + ALLOWANCE:
        found.append(Violation("too long", f"{after:.0f} words from {before:.0f}"))
    return found


def _losses(original: str, refined: str, strictness: Strictness, contained: bool) -> Iterator[Violation]:
    wanted, carrier = facts(original), Carrier(refined)
    before, after = numbers(wanted.prose), numbers(carrier.normal)
    if not contained:
        yield from _lost_facts(wanted, carrier)
        yield from _violations("number lost", lost_numbers(before, after, each=strictness is Strictness.STRICT))
        if strictness is not Strictness.LENIENT:
            yield from _violations("name lost", _lost_names(wanted, carrier, after))
    if strictness is Strictness.STRICT:
        whole, tongue = normalise(original), language(original)
        lost: list[str] = []
        if not contained:
            lost = lost_words(wanted.prose, carrier, tongue)
            yield from _violations("word lost", lost)
            yield from _violations("word lost", lost_characters(wanted.prose, carrier.normal))
        yield from _violations("unknown word", unknown_words(whole, carrier, tongue))
        yield from _violations("unknown word", _stray_letters(original, refined))
        if not contained:
            swaps = swapped_words(original, refined)
            yield from _violations("word swapped", (swap for swap in swaps if swap.split()[0] not in lost))
        yield from _violations("repetition", _repeated_pieces(original, refined))
        yield from _violations("number invented", invented_numbers(whole, before, after, carrier.facts.prose))


def _lost_facts(wanted: Facts, carrier: Carrier) -> Iterator[Violation]:
    yield from _violations("variable lost", carrier.lost_variables(wanted.variables))
    yield from _violations("link lost", carrier.lost_links(wanted.links))
    yield from _violations("code lost", carrier.lost_blocks(wanted.blocks))
    yield from _violations("code lost", carrier.lost_code(wanted.code))
    yield from _violations("quote lost", carrier.lost_quotes(wanted.quotes))


def _lost_names(wanted: Facts, carrier: Carrier, after: Iterable[Number]) -> list[str]:
    values = {number.value for number in after}
    lost = carrier.lost_names(names(wanted.prose), values.__contains__)
    # A misspelt first word of a sentence looks like a name.
    return [name for name in lost if not is_corrected(name.casefold(), wanted.prose, carrier)] if lost else lost


def _violations(kind: str, details: Iterable[str]) -> Iterator[Violation]:
    for count, detail in enumerate(details):
        if count == _SHOWN:
            return
        yield Violation(kind, " ".join(detail.split())[:120])


def _contains(refined: str, original: str) -> bool:
    """Say whether the refined text holds the whole original as it is, not grown together with a word around it."""
    bare = original.strip()
    start = refined.find(bare)
    if start < 0 or not bare:
        return start >= 0
    end = start + len(bare)
    return not (_joined(refined[start - 1 : start], bare[0]) or _joined(bare[-1], refined[end : end + 1]))


def _joined(left: str, right: str) -> bool:
    return all(char and (char.isalnum() or char in "_-./:") for char in (left, right))


_TRACES = (
    "##refined prompt",
    "##user's prompt",
    "## refined prompt",
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "[inst]",
    "[/inst]",
    "<<sys>>",
    "<start_of_turn>",
    "<end_of_turn>",
    "### instruction:",
    "### response:",
    "#given instruction#",
    "#created instruction#",
    "{prompt_to_refine}",
    "{instruction_to_refine}",
    "<think>",
    "</think>",
    "<s>",
    "</s>",
)
_SYSTEM_PROMPTS = (
    "you are a helpful assistant",
    "refine this instruction and modify it",
    "into a more precise and detailed instruction",
    "expand this instruction to an instruction",
    "continue writing the following instruction-response",
    "your expertise lies in refining prompts",
    "as a skilled prompt engineer",
)
_PREAMBLE = re.compile(
    r"\W{0,4}(?:(?:sure|certainly|of course|ok|okay)\b[\s,!.:]{0,4})?"
    r"(?:here(?:'s|\u2019s| is| are)\s(?:the|your|a|an|my)\s)?"
    r"(?:(?:refined|revised|improved|rewritten|optimi[sz]ed|enhanced|updated|polished)\s(?:version of (?:the|your)\s)?"
    r"(?:prompts?|instructions?|user prompt)\b[^\n:]{0,40}:"
    r"|(?:优化|改进|改写|润色|精炼)后的(?:提示词?|指令|提示语)\s?[:：])",
    re.I,
)


def _leaks(original: str, refined: str) -> Iterator[Violation]:
    written, answer = original.lower(), refined.lower()
    if "<" in answer or "[" in answer or "#" in answer or "{" in answer:
        yield from (
            Violation("template leaked", trace) for trace in _TRACES if trace in answer and trace not in written
        )
    if (preamble := _PREAMBLE.match(refined)) and not _PREAMBLE.match(original):
        yield Violation("template leaked", preamble.group().strip())
    yield from (Violation("echo of system prompt", p) for p in _SYSTEM_PROMPTS if p in answer and p not in written)


_LONE_LETTER = re.compile(r"(?<![^\s\"'(])([B-HJ-Zb-hj-z])(?=[\s,;:?!]|$)")


def _stray_letters(original: str, refined: str) -> list[str]:
    """Return single letters that stand alone in the refined text and nowhere in the original: cut-off words."""
    own = {letter.casefold() for letter in _LONE_LETTER.findall(original)}
    found = dict.fromkeys(letter for letter in _LONE_LETTER.findall(refined) if letter.casefold() not in own)
    return list(found) if len(own) < 3 else []  # a prompt full of single letters is about letters


_PIECE_ENDS = re.compile(r"[\n.!?;。！？；]+")
_PIECE_MARK = re.compile(r"^[\s\W\d_]*")


def _repeated_pieces(original: str, refined: str) -> list[str]:
    """Return sentences and list entries of three words or more that stand twice in the refined text alone."""
    own = _pieces(original)
    return [piece for piece, count in _pieces(refined).items() if count > 1 and own[piece] < 2]


def _pieces(text: str) -> Counter[str]:
    bare = (_PIECE_MARK.sub("", piece).casefold().strip() for piece in _PIECE_ENDS.split(text))
    return Counter(piece for piece in bare if piece.count(" ") >= 2 or (len(piece) >= 12 and not piece.isascii()))


_RUN = re.compile(r"([^\s\-=_.*#~|+<>/\\])\1{29}")
_LOOP = re.compile(r"(\S{2,12}?)\1{9}")


def _repetition(original: str, refined: str) -> str:
    """Return what the refined text repeats without end and the original does not, or ""."""
    words = refined.lower().split()
    if len(words) < len(refined) / 20:  # Chinese, or one endless word
        words = tokens(refined)
        long = next((chunk for chunk in refined.split() if len(chunk) > 100), "")[:5000]
        loop = _RUN.search(long) or _LOOP.search(long)
        if loop and loop.group() not in original and set(loop.group()) - set("-=_.*#~|+ "):
            return loop.group()[:24]
    if len(words) < 12 or 2 * len(set(words)) > len(words):
        return ""
    grams = Counter(zip(words, words[1:], words[2:], words[3:], strict=False))
    gram, count = max(grams.items(), key=lambda item: item[1])
    # Lists repeat a phrase; a loop repeats it often and fills the text with it.
    if count < 5 or (count * 4 < len(words) * 0.3 and count < 12):
        return ""
    if not any(char.isalnum() for word in gram for char in word):
        return ""
    phrase = " ".join(gram)
    source = original.lower().split() if len(words) == len(refined.split()) else tokens(original)
    own = Counter(zip(source, source[1:], source[2:], source[3:], strict=False))[gram]
    return phrase if count > 2 * own + 3 else ""


_HAN_CHARACTER = re.compile(f"[{HAN}]")


def _length(text: str) -> float:
    """Return the length in words; two Chinese characters count as one."""
    if text.isascii():
        return float(len(text.split()))
    han = len(_HAN_CHARACTER.findall(text))
    return len(_HAN_CHARACTER.sub(" ", text).split()) + han / 2
