"""Cheap rules: faults of a record that need no model to be seen (section 3.1's quality assessment begins with them).

Each rule has a name and says of a record what is wrong, in a few words, or nothing. Rules are chosen by name; the names
in `GROUPS` stand for several.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from augtui.domain.language import Language, language
from augtui.domain.records import Record
from augtui.errors import UsageError
from augtui.metrics.similarity import rouge_l, tokenized
from augtui.pipelines.decisions import KEPT, Decision


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on something is a fault. Lengths are in tokens: words, and single characters of Chinese."""

    instruction_min: int = 2
    instruction_max: int = 2000
    response_min: int = 1
    response_max: int = 4000
    require_response: bool = False
    """Whether a record without a response is at fault (rule `empty`)."""
    repetition: float = 0.5
    """Share of a text's runs of five tokens that have stood in it before."""
    copy: float = 0.95
    """ROUGE-L of instruction and response."""
    words_min: int = 4
    """Self-Instruct drops instructions of 3 words or fewer, and of more than 150."""
    words_max: int = 150


def limits(given: Mapping[str, Any]) -> Limits:
    """Return the usual limits with some changed; raises UsageError for an unknown name or a value of the wrong kind."""
    known = {field.name: getattr(Limits(), field.name) for field in fields(Limits)}
    changed: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise UsageError(f"there is no limit {name!r}", hint="limits: " + ", ".join(known))
        kind = type(known[name])
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind or (kind is not bool and not value >= 0):
            wanted = "true or false" if kind is bool else "a number from 0 on"
            raise UsageError(f"the limit {name} is {wanted}, not {value!r}")
        changed[name] = value
    return replace(Limits(), **changed)


Rule = Callable[[Record, Limits], str | None]


def _empty(record: Record, limits: Limits) -> str | None:
    if not any(map(str.isalnum, record.instruction)):
        return "the instruction has no letter and no digit"
    if record.response is None and limits.require_response:
        return "no response"
    return None


def _length(record: Record, limits: Limits) -> str | None:
    for name, text, least, most in (
        ("instruction", record.instruction, limits.instruction_min, limits.instruction_max),
        ("response", record.response, limits.response_min, limits.response_max),
    ):
        if text is None:
            continue
        size = len(tokenized(text))
        # An answer such as "+" or "=" has no token, and may be right.
        if size < least and (name == "instruction" or least > 1):
            return f"{name} of {size} tokens, at least {least} wanted"
        if size > most:
            return f"{name} of {size} tokens, at most {most} wanted"
    return None


_CANNOT = (
    r"(?:can(?:no|')?t|can not|am (?:unable|not able|not programmed|not allowed)(?: to)?|won't|will not|"
    r"do(?:n't| not) (?:have|feel comfortable)|(?:must|have to) (?:decline|refuse)|(?:would )?rather not|"
    r"am not comfortable)\b"
)
_SERVE = (
    r"(?:fulfil|comply|assist|help|provide|answer|complete|do (?:that|this)|generate|create|engage|support|"
    r"participate|discuss|continue|respond|access|process|browse|offer (?:medical|legal))"
)
_REFUSALS = re.compile(
    r"\A[\s\"'“]*(?:"
    + "|".join(
        (
            r"(?:(?:i'?m|i am) (?:(?:so|very|really|truly) )?sorry|(?:my )?apolog(?:ies|y)|i apologi[sz]e|"
            rf"sorry|unfortunately|regrettably)\b[^.!?\n]{{0,80}}?\b(?:i|we) {_CANNOT}",
            r"(?:i|we) (?:can(?:no|')t|can not|am unable to|am not able to|won't|will not) "
            rf"(?:be able to )?{_SERVE}",
            r"(?:as|i'?m|i am|being) (?:only |just )?an? "
            r"(?:ai|artificial intelligence|(?:large )?language model|chatbot)"
            rf"\b[^.!?\n]{{0,120}}?(?:\b(?:i|it) (?:{_CANNOT}|lack|am not)|\bnot (?:able|capable)\b)",
            "(?:非常|很|十分|真的|实在)?(?:抱歉|对不起|遗憾|不好意思)[^。！？\n]{0,40}?(?:我|无法|不能|没法|没有办法)"
            "[^。！？\n]{0,12}?(?:无法|不能|不会|不可以|没法|没有办法|提供|回答|帮|完成|生成|访问)",
            "我(?:无法|不能|没法|没有办法)(?:提供|回答|帮助|帮你|协助|完成|生成|满足|执行|访问|参与|处理)",
            "(?:作为|我(?:只)?是)(?:一(?:个|名|款))?(?:AI|人工智能|语言模型|大型?语言模型|聊天机器人)[^。！？\n]{0,40}?"
            "(?:无法|不能|没有|不具备|不可以)",
        )
    )
    + ")",
    re.IGNORECASE,
)


def _refusal(record: Record, limits: Limits) -> str | None:
    found = _REFUSALS.match((record.response or "").replace("’", "'")[:400])
    return " ".join(found.group(0).split())[:80] if found else None


_OPEN_ENDS = frozenset(
    re.findall(
        r"\w+",
        "a an the and or but of to in on at for with by from as that which who whose because if than into such is are "
        "was were be been being have has had will would can could should may might must our your their his its my this "
        "these those between about through during not very more most also while when where including",
    )
)
_LAST_WORD = re.compile(r"([A-Za-z]+(?:'[a-z]+)?)\Z")
_NO_PROSE = re.compile(r"\s*(?:[-*•>|#`$]|\d+[.)、]|[（(]\d+[)）]|[A-Za-z][.)]\s)|.*(?:[|{}<>=;\\]|https?://)")
_PROSE_TOKENS: Final = 60
"""A response so long, whose last line is prose of `_LINE_TOKENS` without an end, was cut off."""
_LINE_TOKENS: Final = 15


def _truncation(record: Record, limits: Limits) -> str | None:
    if record.response is None:
        return None
    if record.extra.get("finish_reason") == "length":
        return "the answer reached its longest length"
    text = record.response.rstrip()
    if text.count("```") % 2:
        return "a code block is not closed"
    size = len(tokenized(text))
    if size < 20:
        return None
    last = text.rsplit("\n", 1)[-1]
    if text[-1] in ",，、(（[【" and "```" not in text and not _NO_PROSE.match(last.lstrip()) and '"' not in last:
        return f"it ends in {text[-1]}"
    if _NO_PROSE.match(last) or "#" in last.rsplit(" ", 1)[-1] or record.response.startswith("```"):
        return None
    word = _LAST_WORD.search(text)
    if word is not None:
        # A short line may be a whole one, as in "what it is for", or a song's.
        if word.group(1).lower() in _OPEN_ENDS and len(tokenized(last)) >= 5:
            return f"it ends in the word {word.group(1)!r}"
        if size >= _PROSE_TOKENS and len(tokenized(last)) >= _LINE_TOKENS and "." in last:
            return "the last sentence has no end"
    elif "\u4e00" <= text[-1] <= "\u9fff" and size >= _PROSE_TOKENS and len(tokenized(last)) >= _LINE_TOKENS:
        return "the last sentence has no end" if re.search("[。！？；]", last) else None
    return None


_FOREIGN = re.compile(
    r"\btranslat|\blanguage|\b(?:in|into|to|from|using|an?|the) (?:english|chinese|mandarin|french|spanish|german|"
    r"italian|portuguese|dutch|japanese|korean|russian|arabic|hindi|latin|greek|pinyin)\b|\b(?:english|chinese|french|spanish|"
    r"german|japanese|korean|italian) (?:word|sentence|phrase|version|text|name|equivalent)|翻译|译成|译为|英译|中译|"
    r"[英中汉法德日韩俄西]语|[英中法德日韩俄]文|拼音|双语|单词",
    re.IGNORECASE,
)
_LEAST_SPOKEN: Final = 8
_HAN = re.compile("[\u3400-\u9fff]")
_LONGER_WORD = re.compile(r"[^\W\d_]{3,}")
_CODE = re.compile(
    r"^[ \t]*(?:def|class|import|from|function|const|let|var|public|#include|return|for|if)\b|[;{}][ \t]*$",
    re.MULTILINE,
)


def _language(record: Record, limits: Limits) -> str | None:
    response = record.response
    if response is None or "```" in response or _FOREIGN.search(record.instruction):
        return None
    if len(tokenized(response)) < _LEAST_SPOKEN:  # names, formulas, quotations
        return None
    asked, spoken = language(record.instruction), language(response)
    if asked == spoken or asked not in (Language.EN, Language.ZH) or spoken is Language.NONE:
        return None
    han = len(_HAN.findall(response))
    words = len(_LONGER_WORD.findall(response))
    # Names and terms of the other language are usual in both, and so are Chinese questions that begin with one.
    if asked is Language.ZH and (2 * han > words or _CODE.search(response)):
        return None
    if asked is Language.EN and (_HAN.search(record.instruction) or max(han, words) < _LEAST_SPOKEN):
        return None
    return f"asked in {asked}, answered in {spoken}"


_RUN: Final = 5
_LEAST_REPETITIVE: Final = 30
_LONGEST_UNIT: Final = 48


def _repetition(record: Record, limits: Limits) -> str | None:
    for name, text in (("instruction", record.instruction), ("response", record.response)):
        words = tokenized(text or "")
        if len(words) < _LEAST_REPETITIVE:
            continue
        runs = Counter(zip(*(words[at:] for at in range(_RUN)), strict=False))
        total = len(words) - _RUN + 1
        share = 1 - len(runs) / total
        if share > limits.repetition:
            return f"{share:.0%} of the {name} repeats itself"
        unit = _looping(words)
        if unit:
            return f"the {name} ends in a loop of {unit} tokens"
    return None


def _looping(words: Sequence[str]) -> int:
    """Return the length of the piece that a text's end repeats 4 times, for 20 tokens or more; 0 if there is none."""
    for unit in range(1, _LONGEST_UNIT + 1):
        times = max(4, -(-20 // unit))
        if len(words) < unit * times:
            continue
        end = words[-unit * times :]
        if end[unit:] == end[:-unit]:
            return unit
    return 0


_TEMPLATE = re.compile(
    r"(?<!#)#+\s*(?:given|created|rewritten)\s+(?:instruction|prompt)\s*#*|(?<!#)#+\s*(?:refined|user'?s)\s+prompt\s*#*\s*:?"
    r"|^[ \t]*(?<!#)#{2,}[ \t]*(?:instruction|response|input|output|question|answer|system|user|human|assistant)\s*:"
    r"|<\|(?:im_start|im_end|endoftext|system|user|assistant|eot_id|start_header_id)\|>|\[/?INST\]|<</?SYS>>|<start_of_turn>"
    r"|</?(?:answer|instruction|response|output)>|\{\{\s*(?:instruction|input|response|prompt|question)\s*\}\}"
    r"|below is an instruction that describes a task|\[(?:instruction|response|insert [^\]\n]{1,40} here)\]"
    r"|^[ \t]*(?:human|assistant|user|bot)\s*[:：]\s",
    re.IGNORECASE | re.MULTILINE,
)
_SPOKEN = re.compile(r"(?:human|assistant|user|bot)\s*[:：]\s", re.IGNORECASE)
_SPEAKER = re.compile(r"^[ \t]*[^\W\d][\w ]{0,30}[:：]\s", re.MULTILINE)


def _template(record: Record, limits: Limits) -> str | None:
    for name, text in (("instruction", record.instruction), ("response", record.response or "")):
        for found in _TEMPLATE.finditer(text):
            mark = found.group(0).strip()
            # Dialogues are a kind of text that is asked for; a lone `Assistant:` at a response's start is none.
            if _SPOKEN.match(f"{mark} ") and (
                name == "instruction" or found.start() > 0 or len(_SPEAKER.findall(text)) > 1
            ):
                continue
            # An instruction may name the tags that its answer shall have.
            if name == "instruction" and mark.startswith("<") and not mark.startswith(("<|", "<<", "<start")):
                continue
            return f"{mark} in the {name}"
    return None


_COMPARED: Final = 20_000
"""Characters."""


def _copy(record: Record, limits: Limits) -> str | None:
    if record.response is None:
        return None
    # The beginnings of two copies are copies, and soon compared.
    asked, answered = record.instruction[:_COMPARED], record.response[:_COMPARED]
    if abs(len(record.instruction) - len(record.response)) > max(len(asked), len(answered)):
        return None
    likeness = rouge_l(asked, answered)
    return f"the response repeats the instruction: ROUGE-L {likeness:.2f}" if likeness >= limits.copy else None


# -------------------------------------------------------------------------------------------- Self-Instruct

_KEYWORDS = re.compile(
    r"\b(image|images|graph|graphs|picture|pictures|file|files|map|maps|draw|plot|go to)\b"
    "|(图片|图像|图表|照片|文件|地图|画出|绘制|绘图)",
    re.IGNORECASE,
)


def _asked(record: Record) -> str:
    """Return the instruction without the input, which is joined to it by an empty line: Self-Instruct looks at that."""
    return record.instruction.strip().split("\n\n", 1)[0]


def _self_instruct_length(record: Record, limits: Limits) -> str | None:
    text = _asked(record)
    # Chinese is written without spaces; a word has two characters, about.
    han = len(_HAN.findall(text))
    size = len(_HAN.sub(" ", text).split()) + -(-han // 2)
    return None if limits.words_min <= size <= limits.words_max else f"{size} words"


def _self_instruct_keywords(record: Record, limits: Limits) -> str | None:
    found = _KEYWORDS.search(_asked(record))
    return f"it names {found.group(0)!r}, which a language model cannot handle" if found else None


def _self_instruct_program(record: Record, limits: Limits) -> str | None:
    return "it begins with 'Write a program'" if _asked(record).startswith("Write a program") else None


def _self_instruct_first(record: Record, limits: Limits) -> str | None:
    # Self-Instruct drops every first character that is not ASCII, and so all Chinese: letters of any script may stand.
    first = _asked(record)[:1]
    if first in string.punctuation or not first.isalnum():
        return f"it begins with {first!r}"
    return None


RULES: Final[dict[str, Rule]] = {
    "empty": _empty,
    "length": _length,
    "template": _template,
    "refusal": _refusal,
    "truncation": _truncation,
    "repetition": _repetition,
    "language": _language,
    "copy": _copy,
    "self-instruct-length": _self_instruct_length,
    "self-instruct-keywords": _self_instruct_keywords,
    "self-instruct-program": _self_instruct_program,
    "self-instruct-first": _self_instruct_first,
}
"""All rules, in the order in which they are asked. Those of Self-Instruct are from github.com/yizhongw/self-instruct,
bootstrap_instructions.py."""

_SELF_INSTRUCT = tuple(name for name in RULES if name.startswith("self-instruct-"))
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "usual": tuple(name for name in RULES if name not in _SELF_INSTRUCT),
    "self-instruct": _SELF_INSTRUCT,
    "all": tuple(RULES),
}


def named(names: Iterable[str]) -> tuple[str, ...]:
    """Return the rules that names and groups, also joined by commas, stand for, each once; raises UsageError."""
    wanted: set[str] = set()
    for name in (part.strip() for text in names for part in text.split(",")):
        if not name:
            continue
        if name not in RULES and name not in GROUPS:
            known = ", ".join((*RULES, *GROUPS))
            raise UsageError(f"there is no rule {name!r}", hint=f"rules: {known}")
        wanted.update(GROUPS.get(name, (name,)))
    return tuple(name for name in RULES if name in wanted)


def decide(record: Record, names: Sequence[str] = GROUPS["usual"], limits: Limits = Limits()) -> Decision:
    """Return what the rules say of a record: the reason is the first broken one, the detail, `faults`, lists all."""
    faults = {name: fault for name in names if (fault := RULES[name](record, limits)) is not None}
    return Decision(next(iter(faults)), {"faults": faults}) if faults else KEPT


def decisions(
    records: Iterable[Record],
    names: Sequence[str] = GROUPS["usual"],
    limits: Limits = Limits(),
) -> Iterator[Decision]:
    """Yield what the rules say of each record."""
    return (decide(record, names, limits) for record in records)
