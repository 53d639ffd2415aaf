"""Expansion: pairs of instructions of one kind with different content, the second one sound by construction."""

from __future__ import annotations

import re
from collections import defaultdict
from random import Random

from augtui.domain.language import Language
from augtui.domain.spelling import is_common
from training.nano.kinds import TaskType, classify, fill, invent, pools, task_types
from training.nano.sources import Prompt, Sources
from training.nano.texts import attachment, passage

LONGEST_TARGET = 170
"""Characters of a real prompt that is given as an answer: a longer one the small model could not invent."""
_ABOUT_TEXT = re.compile(r"\b(passage|paragraph|text|given|reference|following|this|these|below|above|it)\b")
_GROUPED = ("gsm8k", "mathqa", "snips")


def is_plain(text: str) -> bool:
    """Say whether every word of a prompt is common English: nothing in it must be known by heart."""
    words = re.findall(r"[A-Za-z']+", text)
    inner = re.findall(r"(?<=[a-z,] )[A-Z]\w+", text)
    return bool(words) and not inner and all(is_common(word.lower()) for word in words)


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
                kind = classify(prompt.text, Language.EN)
                self._plain[kind.name].append(prompt.text)
                self._plain[f"{kind.name} {_opening(prompt.text)}"].append(prompt.text)

    def pair(self, random: Random) -> tuple[str, str, Language]:
        """Return (instruction, another of the same kind with other content, their language)."""
        if random.random() < 0.22:
            return (*self._pair_zh(random), Language.ZH)
        chance = random.random()
        if chance < 0.5:
            groups = ("dolly", "dolly", "dolly", "seed", "seed", "book", "book", "gsm8k", "mathqa", "snips")
            some = self._groups.get(random.choice(groups)) or self._asked
            prompt = random.choice(some)
            source, kind = prompt.text, classify(prompt.text, Language.EN)
            if prompt.input:
                source += random.choice(("\n\n", "\n\n", "\n", "\n\nInput: ")) + prompt.input
            elif len(source) < 150 and random.random() < 0.12:
                source += "\n\n" + attachment(self._sources, random)[:500]
            if prompt.group in ("gsm8k", "mathqa"):
                return source, problem(random), Language.EN
        else:
            kind = random.choice(task_types())
            source = invent(kind, Language.EN, random)
            if random.random() < 0.25:
                source += "\n\n" + attachment(self._sources, random)[:600]
        return source, self._target(source, kind, random), Language.EN

    def _target(self, source: str, kind: TaskType, random: Random) -> str:
        opening = _opening(source)
        alike = self._plain.get(f"{kind.name} {opening}", [])
        if len(alike) >= 4 and random.random() < 0.35:
            return _other(alike, source, random)
        if random.random() < 0.12 and len(self._plain[kind.name]) >= 4:
            return _other(self._plain[kind.name], source, random)
        forms = [form for form in kind.forms if _opening(form) == opening]
        for _ in range(5):
            target = invent(
                kind, Language.EN, random, random.choice(forms if forms and random.random() < 0.7 else kind.forms)
            )
            if target != source:
                break
        return target

    def _pair_zh(self, random: Random) -> tuple[str, str]:
        if self._asked_zh and random.random() < 0.4:
            source = random.choice(self._asked_zh).text
            kind = classify(source, Language.ZH)
        else:
            kind = random.choice(task_types(Language.ZH))
            source = invent(kind, Language.ZH, random)
        if random.random() < 0.15 and self._sources.sentences_zh:
            source += "\n\n" + passage(self._sources.sentences_zh, random, 200)
        forms = [form for form in kind.forms if form[:2] == source[:2]] or kind.forms
        for _ in range(5):
            target = invent(kind, Language.ZH, random, random.choice(forms if random.random() < 0.5 else kind.forms))
            if target != source:
                break
        return source, target


def _other(texts: list[str], source: str, random: Random) -> str:
    for _ in range(4):
        text = random.choice(texts)
        if text != source:
            return text
    return text


def _opening(text: str) -> str:
    found = re.match(r"\W*(\w+)", text.lower())
    return found[1] if found else ""
