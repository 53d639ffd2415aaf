"""The task types that the rule teacher knows, how a prompt's type is told, and how subjects are filled in."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from augtui.domain.language import Language, language

_FOLDER = Path(__file__).parent
_FILES = {Language.EN: "tasks.toml", Language.ZH: "tasks_zh.toml"}
_WEAK = frozenset({"general", "question", "command"})
"""Types that say little: a later sentence of the prompt may tell more."""
_PREAMBLE = re.compile(
    r"(you are|you will be|you're|you have been|we have|i have|i will) (given|provided|give)|given (a|an|the|this)\b"
    r"|here (is|are)|there (is|are)|the following|below (is|are)"
)
"""How a sentence begins that only says what is at hand; it counts as little."""
_HEAD = 4
"""Sentences at the beginning of a prompt that tell its type: what follows is mostly detail."""


@dataclass(frozen=True)
class TaskType:
    """What the teacher knows of one kind of task; the fields are explained in tasks.toml."""

    name: str
    pattern: str
    noun: str
    role: str
    aspects: list[str]
    rules: list[str]
    forms: list[str]
    subjects: list[str]
    actions: tuple[str, ...] = ()
    lead: str = "(?!)"
    """How a sentence begins that is of this type whatever else it holds."""


def tongue(text: str) -> Language:
    """Return the language whose task types suit a prompt: Chinese, or English for everything else."""
    return Language.ZH if language(text) is Language.ZH else Language.EN


@cache
def task_types(tongue: Language = Language.EN) -> tuple[TaskType, ...]:
    """Return the task types of a language in their order of precedence."""
    content = tomllib.loads((_FOLDER / _FILES[tongue]).read_text(encoding="utf-8"))
    return tuple(TaskType(**entry) for entry in content["type"])


@cache
def _patterns(tongue: Language) -> tuple[tuple[re.Pattern[str], TaskType], ...]:
    polite = r"\W*(?:please |pls |can you |could you |help me |你好，|麻烦|帮我|请)*"
    leads = tuple((re.compile(f"^{polite}(?:{kind.lead})"), kind) for kind in task_types(tongue))
    return leads + tuple((re.compile(kind.pattern), kind) for kind in task_types(tongue))


@cache
def pools(tongue: Language) -> dict[str, list[str]]:
    """Return the words and phrases by pool name that stand for {name} in forms and subjects."""
    content = tomllib.loads((_FOLDER / "pools.toml").read_text(encoding="utf-8"))
    return {name: [part.strip() for part in text.split(";")] for name, text in content[tongue.value].items()}


def classify(prompt: str, spoken: Language | None = None) -> TaskType:
    """Return the task type of a prompt: of the first of its first sentences that says more than that it asks.

    Within a sentence the first type whose pattern is found is taken, in the order of the file.
    """
    spoken = spoken or tongue(prompt)
    head = prompt.strip()[:400].lower()
    parts = re.split(r"[。！？!?]\s*|\n+" if spoken is Language.ZH else r"\n+|(?<=[.?!:]) ", head)
    weak: TaskType | None = None
    for part in [p for p in parts if len(p) > 2][:_HEAD] or [head]:
        end = "？" if spoken is Language.ZH and f"{part}？" in head else ""
        kind = next(kind for pattern, kind in _patterns(spoken) if pattern.search(part + end))
        if kind.name not in _WEAK and not _PREAMBLE.match(part):
            return kind
        if weak is None or weak.name == "general" or (weak.name in _WEAK and kind.name not in _WEAK):
            weak = kind
    assert weak is not None
    return weak


def fill(text: str, spoken: Language, random: Random, more: Mapping[str, list[str]] | None = None) -> str:
    """Return a form or subject with every {name} replaced by something of that pool; {n} and {m} are numbers.

    `more`: further pools, which come before those of the language.
    """
    known = {**pools(spoken), **(more or {})}

    def one(match: re.Match[str]) -> str:
        name = match[1]
        if name == "n":
            return str(random.choice((random.randint(3, 20), random.randint(12, 90))))
        if name == "m":
            return str(random.randint(2, 9))
        return random.choice(known[name]) if name in known else match[0]

    for _ in range(3):
        filled = re.sub(r"\{(\w+)\}", one, text)
        if filled == text:
            break
        text = filled
    return re.sub(r"\b([Aa]) (?=[aeiou](?!ne\b|ni|uro|se))", r"\1n ", text)


def invent(kind: TaskType, spoken: Language, random: Random, form: str | None = None) -> str:
    """Return a sound prompt of a task type: a form with one of its own subjects."""
    text = form or random.choice(kind.forms)
    text = text.replace("{s}", random.choice(kind.subjects))
    return fill(text.replace("{t}", random.choice(kind.actions or ("{activity}",))), spoken, random)
