"""The prompts of the fixed evaluation, and whether a training text shares a stretch with one of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

WORDS, CHARACTERS = 8, 12
"""Length of a shared stretch from which a text counts as the same: words, or characters of Chinese."""
OWN = Path(__file__).with_name("prompts.jsonl")
"""The 100 prompts written for the evaluation."""


@dataclass(frozen=True)
class Asked:
    """One prompt of the evaluation: where it comes from, and the task types that are right for it by our reading."""

    source: str
    text: str
    types: tuple[str, ...] = field(default=())


def evaluation_prompts(data: Path) -> list[Asked]:
    """Return all prompts of the fixed evaluation in a fixed order; raises FileNotFoundError when a file is absent."""
    asked = []
    for line in OWN.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        asked.append(Asked("own", row["prompt"], tuple(row["types"])))
    for line in (data / "seeds/easydistill_seed_instructions_30.jsonl").read_text(encoding="utf-8").splitlines():
        if line.strip():
            asked.append(Asked("easydistill", json.loads(line)["instruction"]))
    for line in (data / "seeds/self_instruct_user_oriented.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        parts = (row["instruction"], row["instances"][0]["input"])
        asked.append(Asked("user-oriented", "\n\n".join(part for part in parts if part)))
    for row in json.loads((data / "refine/bpo_val.json").read_text(encoding="utf-8")):
        parts = (row["instruction"], row.get("context") or "")
        asked.append(Asked("bpo", "\n\n".join(part for part in parts if part)))
    return asked


def _stretches(text: str) -> Iterable[tuple[str, ...]]:
    words = re.findall(r"[a-z0-9']+", text.lower())
    if words:
        size = min(WORDS, len(words))
        yield from (tuple(words[i : i + size]) for i in range(len(words) - size + 1)) if size == WORDS else ()
    han = "".join(re.findall("[\u4e00-\u9fff]", text))
    yield from (tuple(han[i : i + CHARACTERS]) for i in range(len(han) - CHARACTERS + 1))


class HeldOut:
    """Says of a text whether it is one of the evaluation's prompts or shares a long stretch with one."""

    def __init__(self, asked: Iterable[Asked]) -> None:
        """Remember every stretch of the given prompts."""
        texts = [one.text for one in asked]
        self._whole = {_plain(text) for text in texts}
        self._stretches = {stretch for text in texts for stretch in _stretches(text)}

    def shares(self, text: str) -> bool:
        """Say whether a training text must be left out."""
        return _plain(text) in self._whole or any(stretch in self._stretches for stretch in _stretches(text))


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.lower()).strip()
