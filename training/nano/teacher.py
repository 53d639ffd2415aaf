"""The rule teacher: training chats for the small model, made by rules from real prompts and texts.

A refined prompt is verbatim first (refine.py), an expanded one sound by construction (expand.py), a pair's answer right
by construction (pairs.py). The same seed and sources give the same chats, and no chat asks what the evaluation asks.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from random import Random

from augtui.domain.delexical import delexicalise
from augtui.domain.kinds import classify, tongue
from augtui.domain.language import Language
from augtui.domain.templates import load
from training.nano.expand import Expander
from training.nano.kinds import TaskType, task_type, task_types
from training.nano.pairs import Pairs
from training.nano.refine import closed, closed_zh, refine, structure, structure_zh, tidy
from training.nano.sources import Prompt, Sources
from training.nano.texts import (
    attachment,
    copy_text,
    detail,
    detail_zh,
    mistype,
    passage,
    synthetic_prompt,
    synthetic_prompt_zh,
    typeset,
)

Chat = dict[str, list[dict[str, str]]]

SHARES = {"dolly": 0.40, "seed": 0.13, "book": 0.17, "role": 0.08, "gsm8k": 0.07, "mathqa": 0.04, "snips": 0.11}
"""Sources of real English prompts to refine."""
CHINESE = 0.24
"""Share of Chinese among the prompts to refine."""
EXPAND, PAIRS = 0.22, 0.05
OWN = 0.5
"""Share of the user's own examples, where there are some."""
COPY_FIRST, COPY_LAST = 0.25, 0.05
"""Share of pure copying at the beginning and, soon, at the end."""
COPY = "copy"
"""The hint of a text that is only copied; no prompt is of this kind."""


def chat(task: str, answer: str, **values: object) -> Chat:
    """Return the chat of one example, with the prompt of its task as augtui will render it."""
    messages = [{"role": m.role, "content": m.content} for m in load(task).render(**values)]
    return {"messages": [*messages, {"role": "assistant", "content": answer}]}


def own_chat(example: dict[str, str]) -> Chat:
    """Return the chat of a user's own example: {"task": "refine" or "expand", "instruction", "output"}."""
    prompt = example["instruction"]
    short = delexicalise(prompt)
    answer = short.hide(example["output"]) if example["task"] == "refine" else example["output"]
    return chat(f"{example['task']}-hinted", answer, kind=classify(prompt), instruction=short.text)


def common_first_words(sources: Sources) -> frozenset[str]:
    """Return the words that open at least five real prompts, in small letters, and all that open a form."""
    counts = Counter(match[0].lower() for p in sources.prompts if (match := re.match(r"[A-Za-z]+\b", p.text)))
    forms = {found[0].lower() for kind in task_types() for form in kind.forms if (found := re.match(r"\w+", form))}
    return frozenset({word for word, count in counts.items() if count >= 5} | forms)


_JOINTS = ("\n\n", "\n\n", "\n\n", "\n", "\n", "\n\nInput: ", "\nInput:\n", " ", "\n\nText: ", "\n\nText:\n")
_WANTS_TEXT = re.compile(
    r"\b(passage|paragraph|text|article|given|reference|following|sentence|email|code|review|list|table|below|input)\b"
)


class Asker:
    """Draws prompts to refine: real or synthetic, short or of many sentences, bare or with a text to work on."""

    def __init__(self, sources: Sources) -> None:
        """Group the real prompts by their origin."""
        self._sources = sources
        self._groups: dict[str, list[Prompt]] = defaultdict(list)
        for prompt in sources.prompts:
            self._groups[prompt.group.split()[0]].append(prompt)
        self._shares = {name: SHARES.get(name, 0.1) for name, group in sorted(self._groups.items()) if group}

    def draw(self, random: Random) -> tuple[str, TaskType, Language]:
        """Return a prompt, its task type and its language."""
        if self._sources.prompts_zh and random.random() < CHINESE:
            text, kind = self._chinese(random)
            return text, kind, Language.ZH
        text, kind = self._english(random)
        return text, kind, Language.EN

    def _english(self, random: Random) -> tuple[str, TaskType]:
        sources, attached = self._sources, ""
        if random.random() < 0.4:
            text, kind = synthetic_prompt(sources, random)
        else:
            group = random.choices(list(self._shares), list(self._shares.values()))[0]
            prompt = random.choice(self._groups[group])
            text, kind, attached = prompt.text, task_type(prompt.text, Language.EN), prompt.input
        if "\n" not in text and len(text) < 300:
            text = self._sentences(text, random)
        if not attached and len(text) < 400:
            if random.random() < (0.6 if _WANTS_TEXT.search(text.lower()) else 0.14):
                attached = attachment(sources, random)
        elif attached and random.random() < 0.25:
            attached = attachment(sources, random)
        if attached and random.random() < 0.03:
            text, attached = attached, text
        if random.random() < 0.06:
            text = mistype(text, random)
        if random.random() < 0.1:
            text = text.lower()
        text = text + random.choice(_JOINTS) + attached if attached else text
        return (typeset(text, random) if random.random() < 0.1 else text), kind

    def _sentences(self, text: str, random: Random) -> str:
        """Return the prompt with further sentences: facts, wishes, another real prompt, or a lead-in before it."""
        for _ in range(random.choice((0, 0, 0, 1, 1, 2, 3, 4))):
            text = f"{closed(text)} {detail(self._sources, random)}"
        if random.random() < 0.12:
            second = random.choice(self._sources.prompts).text
            if len(second) < 250 and "\n" not in second:
                text = f"{closed(text)} {second}"
        if random.random() < 0.1:
            text = f"{random.choice(self._sources.sentences)} {text}"
        return text

    def _chinese(self, random: Random) -> tuple[str, TaskType]:
        sources = self._sources
        if random.random() < 0.55:
            text, kind = synthetic_prompt_zh(sources, random)
        else:
            text = random.choice(sources.prompts_zh).text
            kind = task_type(text, Language.ZH)
        if "\n" not in text:
            for _ in range(random.choice((0, 0, 0, 1, 1, 2, 3))):
                text = closed_zh(text) + detail_zh(sources, random)
        if len(text) < 200 and random.random() < 0.25:
            text += random.choice(("\n\n", "\n", "\n\n文章：", "：")) + (
                passage(sources.sentences_zh, random, 400)
                if random.random() < 0.8
                else attachment(sources, random)[:500]
            )
        return text, kind


def stream(sources: Sources, seed: int, count: int, first: float = 0.0, last: float = 1.0) -> Iterator[Chat]:
    """Yield `count` chats: about 70% refine, 22% expand, 5% pairs; much pure copying at first, fading out.

    `first` and `last` say which part of the whole curriculum (0 to 1) this is. The same arguments give the same chats.
    """
    random = Random(seed)
    known = common_first_words(sources)
    asker, expander, pairs = Asker(sources), Expander(sources), Pairs(sources)
    made = 0
    while made < count:
        asked, one = _draw(sources, asker, expander, pairs, known, first + (last - first) * made / count, random)
        if sources.held_out.shares(asked):
            continue
        made += 1
        yield one


def _draw(
    sources: Sources, asker: Asker, expander: Expander, pairs: Pairs, known: frozenset[str], progress: float,
    random: Random,
) -> tuple[str, Chat]:  # fmt: skip
    """Return a chat, and its prompt as a user would have written it, before signs stand in it."""
    if sources.own and random.random() < OWN:
        example = random.choice(sources.own)
        return example["instruction"], own_chat(example)
    if random.random() < max(COPY_LAST, COPY_FIRST - 2 * progress):
        text = copy_text(sources, random)
        if random.random() < 0.5:
            # Any common word may open a sentence: all of them must be learned with a capital, too.
            text = text[0].upper() + text[1:]
        asked, text = text, delexicalise(text).text
        spoken = tongue(text)
        general = task_types(spoken)[-1]
        request = closed_zh(text) if spoken is Language.ZH else closed(text)
        if random.random() > 4 * progress:
            return asked, chat("refine-hinted", request, kind=COPY, instruction=text)
        make = structure_zh if spoken is Language.ZH else structure
        refined = make(request, general, random)
        return asked, chat("refine-hinted", refined, kind=general.name, instruction=text)
    choice = random.random()
    if choice < EXPAND:
        source, target, kind, spoken = expander.pair(random)
        answer = closed_zh(target) if spoken is Language.ZH else tidy(target, known)
        return source, chat("expand-hinted", answer, kind=kind.name, instruction=delexicalise(source).text)
    if choice < EXPAND + PAIRS:
        shown, (question, answer) = pairs.chat(random)
        rendered = [{"instruction": q, "response": a} for q, a in shown]
        made = chat("pairs", f"### Instruction:\n{question}\n\n### Response:\n{answer}", pairs=rendered)
        return made["messages"][1]["content"], made
    text, kind, spoken = asker.draw(random)
    typed, refined = refine(delexicalise(text).text, kind, known, random, spoken)
    return text, chat("refine-hinted", refined, kind=kind.name, instruction=typed)
