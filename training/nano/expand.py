"""Expansion: pairs of instructions of one kind with different content, the second one sound by construction."""

from __future__ import annotations

import re
from collections import defaultdict
from random import Random

from augtui.domain.delexical import delexicalise
from augtui.domain.kinds import classify
from augtui.domain.language import Language
from training.nano.kinds import TaskType, fill, invent, pools, task_type, task_types
from training.nano.sources import Prompt, Sources
from training.nano.texts import attachment, passage

LONGEST_TARGET = 170
"""Characters of a real prompt that is given as an answer: a longer one the small model could not invent."""
_ABOUT_TEXT = re.compile(r"\b(passage|paragraph|text|given|reference|following|this|these|below|above|it)\b")
CHINESE = 0.22
"""Share of Chinese pairs."""
TRIES = 8
"""Draws of a target until it is of the kind that its source is of."""
_GROUPED = ("gsm8k", "mathqa", "snips")


def is_plain(text: str) -> bool:
    """Say whether every word of a prompt is a common one: nothing in it must be known by heart."""
    return bool(text.strip()) and not delexicalise(text).spans


def problem(random: Random) -> str:
    """Return a word problem with sound numbers."""
    return fill(random.choice(pools(Language.EN)["problem"]), Language.EN, random)


class Expander:
    """Draws pairs (source, target): real prompts or forms as sources, plain real prompts or forms as targets."""

    def __init__(self, sources: Sources) -> None:
        """Group the real prompts by task type and opening word."""
        self._sources = sources
        self._asked = [p for p in sources.prompts if p.group != "role" and len(p.text) + len(p.input) <= 900]
        self._asked_zh = [p for p in sources.prompts_zh if p.group != "role" and len(p.text) <= 200]
        self._groups: dict[str, list[Prompt]] = defaultdict(list)
        self._plain: dict[str, list[str]] = defaultdict(list)
        for prompt in self._asked:
            group = prompt.group.split()[0]
            self._groups[group].append(prompt)
            if group in _GROUPED or prompt.input or not 12 <= len(prompt.text) <= LONGEST_TARGET:
                continue
            if not _ABOUT_TEXT.search(prompt.text.lower()) and is_plain(prompt.text):
                kind = task_type(prompt.text, Language.EN)
                self._plain[kind.name].append(prompt.text)
                self._plain[f"{kind.name} {_opening(prompt.text)}"].append(prompt.text)

    def pair(self, random: Random) -> tuple[str, str, TaskType, Language]:
        """Return (instruction, another of the same kind with other content, their kind, their language)."""
        if random.random() < CHINESE:
            source = self._source_zh(random)
            kind = task_type(source, Language.ZH)
            return source, self._target(source, kind, Language.ZH, random), kind, Language.ZH
        source = self._source(random)
        kind = task_type(source, Language.EN)
        return source, self._target(source, kind, Language.EN, random), kind, Language.EN

    def _source(self, random: Random) -> str:
        if random.random() < 0.4:
            groups = ("dolly", "dolly", "dolly", "seed", "seed", "book", "book", "gsm8k", "mathqa", "snips")
            prompt = random.choice(self._groups.get(random.choice(groups)) or self._asked)
            source = prompt.text
            if prompt.input:
                source += random.choice(("\n\n", "\n\n", "\n", "\n\nInput: ")) + prompt.input
            elif len(source) < 150 and random.random() < 0.12:
                source += "\n\n" + attachment(self._sources, random)[:500]
            return source
        source = invent(random.choice(task_types()), Language.EN, random)
        if random.random() < 0.25:
            source += "\n\n" + attachment(self._sources, random)[:600]
        return source

    def _source_zh(self, random: Random) -> str:
        if self._asked_zh and random.random() < 0.4:
            source = random.choice(self._asked_zh).text
        else:
            source = invent(random.choice(task_types(Language.ZH)), Language.ZH, random)
        if random.random() < 0.15 and self._sources.sentences_zh:
            source += "\n\n" + passage(self._sources.sentences_zh, random, 200)
        return source

    def _target(self, source: str, kind: TaskType, spoken: Language, random: Random) -> str:
        for _ in range(TRIES):
            target = self._drawn(source, kind, spoken, random)
            if target != source and classify(target, spoken) == kind.name:
                break
        return target

    def _drawn(self, source: str, kind: TaskType, spoken: Language, random: Random) -> str:
        if spoken is Language.ZH:
            alike = [form for form in kind.forms if form[:2] == source[:2]]
        else:
            if kind.name == "math" and random.random() < 0.7:
                return problem(random)
            real = self._plain.get(f"{kind.name} {_opening(source)}", []) + self._plain.get(kind.name, [])[:200]
            if len(real) >= 4 and random.random() < 0.3:
                return random.choice(real)
            alike = [form for form in kind.forms if _opening(form) == _opening(source)]
        return invent(kind, spoken, random, random.choice(alike if alike and random.random() < 0.5 else kind.forms))


def _opening(text: str) -> str:
    found = re.match(r"\W*(\w+)", text.lower())
    return found[1] if found else ""
