"""What the rule teacher knows of each kind of prompt (augtui.domain.kinds), and how subjects are filled in."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from augtui.domain.kinds import classify, tongue
from augtui.domain.language import Language

_FOLDER = Path(__file__).parent
_FILES = {Language.EN: "tasks.toml", Language.ZH: "tasks_zh.toml"}


@dataclass(frozen=True)
class TaskType:
    """What the teacher knows of one kind of task; the fields are explained in tasks.toml."""

    name: str
    noun: str
    role: str
    aspects: list[str]
    rules: list[str]
    forms: list[str]
    subjects: list[str]
    actions: tuple[str, ...] = ()


@cache
def task_types(tongue: Language = Language.EN) -> tuple[TaskType, ...]:
    """Return the task types of a language in their order of precedence."""
    content = tomllib.loads((_FOLDER / _FILES[tongue]).read_text(encoding="utf-8"))
    return tuple(TaskType(**entry) for entry in content["type"])


@cache
def pools(tongue: Language) -> dict[str, list[str]]:
    """Return the words and phrases by pool name that stand for {name} in forms and subjects."""
    content = tomllib.loads((_FOLDER / "pools.toml").read_text(encoding="utf-8"))
    return {name: [part.strip() for part in text.split(";")] for name, text in content[tongue.value].items()}


@cache
def _by_name(tongue: Language) -> Mapping[str, TaskType]:
    return {kind.name: kind for kind in task_types(tongue)}


def task_type(prompt: str, spoken: Language | None = None) -> TaskType:
    """Return the task type of a prompt, told by augtui's own rules."""
    spoken = spoken or tongue(prompt)
    return _by_name(spoken)[classify(prompt, spoken)]


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
