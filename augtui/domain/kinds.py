"""Kinds of prompts (an e-mail, a recipe, a query in SQL …): told by patterns, for models that are asked with the kind.

The small default model is one: what it adds to a prompt depends on the kind, and rules tell it better than it could.
The kinds are finer than the classes of data balancing (`taxonomy`), and concern the form of an answer alone.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources

from augtui.domain.language import Language, language

WEAK = frozenset({"general", "question", "command"})
"""Kinds that say little: a later sentence of the prompt may tell more."""
_PREAMBLE = re.compile(
    r"(you are|you will be|you're|you have been|we have|i have|i will) (given|provided|give)|given (a|an|the|this)\b"
    r"|here (is|are)|there (is|are)|the following|below (is|are)"
)
"""How a sentence begins that only says what is at hand; it counts as little."""
_SENTENCES, _READ = 4, 400
"""Sentences, and characters, at the beginning of a prompt that tell its kind: what follows is mostly detail."""


def tongue(text: str) -> Language:
    """Return the language whose kinds suit a prompt: Chinese, or English for everything else."""
    return Language.ZH if language(text) is Language.ZH else Language.EN


@cache
def _entries(spoken: Language) -> tuple[dict[str, str], ...]:
    text = (resources.files(__package__) / "words" / "kinds.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)[spoken.value])


@cache
def kinds(spoken: Language = Language.EN) -> tuple[str, ...]:
    """Return the names of a language's kinds in their order of precedence; the last one is `general`."""
    return tuple(entry["name"] for entry in _entries(spoken))


@cache
def _patterns(spoken: Language) -> tuple[tuple[re.Pattern[str], str], ...]:
    polite = r"\W*(?:please |pls |can you |could you |help me |你好，|麻烦|帮我|请)*"
    entries = _entries(spoken)
    leads = tuple((re.compile(f"^{polite}(?:{e['lead']})"), e["name"]) for e in entries if "lead" in e)
    return leads + tuple((re.compile(e["pattern"]), e["name"]) for e in entries)


def classify(prompt: str, spoken: Language | None = None) -> str:
    """Return the kind of a prompt: of the first of its first sentences that says more than that it asks.

    Within a sentence the first kind whose pattern is found is taken, in the order of the file.
    """
    spoken = spoken or tongue(prompt)
    head = prompt.strip()[:_READ].lower()
    parts = re.split(r"[。！？!?]\s*|\n+" if spoken is Language.ZH else r"\n+|(?<=[.?!:]) ", head)
    weak = ""
    for part in [p for p in parts if len(p) > 2][:_SENTENCES] or [head]:
        end = "？" if spoken is Language.ZH and f"{part}？" in head else ""
        kind = next(name for pattern, name in _patterns(spoken) if pattern.search(part + end))
        if kind not in WEAK and not _PREAMBLE.match(part):
            return kind
        if not weak or weak == "general" or (weak in WEAK and kind not in WEAK):
            weak = kind
    return weak
