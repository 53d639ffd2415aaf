"""The labelled prompts: which records of which published file belong to which class."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augtui.domain.taxonomy import CLASSES

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Labelled:
    """A prompt and its class."""

    text: str
    label: str
    source: str
    weight: float = 1.0


TRAINED = {
    "self_instruct_seeds": "seeds/self_instruct_seed_tasks.jsonl",
    "dolly": "train/dolly_6400_instructions.jsonl",
    "llms_from_scratch": "train/instruction_data_1100.json",
    "oasst1_zh": "collect/oasst1_sft_zh.json",
    "user_oriented": "seeds/self_instruct_user_oriented.jsonl",
    "easydistill_seeds": "seeds/easydistill_seed_instructions_30.jsonl",
}
"""Label file -> data file, all of licences that allow a trained model to be passed on."""
WHOLE = {
    "seeds/awesome_prompts_classic.csv": ("Roleplay", 120),
    "seeds/awesome_prompts_zh.json": ("Roleplay", 80),
    "train/gsm8k_train.jsonl": ("Math", 120),
    "evaluate/mathqa_dev.json": ("Math", 60),
}
"""Files of one class, and how many of their records are enough of it, at even distances."""
HELD_OUT = {
    "alpaca_cleaned": "collect/alpaca_cleaned_1000.json",
    "alpaca_zh": "collect/alpaca_zh_demo.json",
    "blind_en": "collect/alpaca_cleaned_1000.json",
    "blind_zh": "collect/alpaca_zh_demo.json",
    "seen_zh": "collect/alpaca_zh_demo.json",
}
"""Label file -> data file that the classifier is tested on and never trained on."""
BLIND = ("blind_en", "blind_zh")
"""Those that nobody had read before the classifier's words and prompts were written."""


def labels(name: str) -> dict[int, str]:
    """Return record number -> class of a label file: a line a class, `Class: number number …`; # begins a remark."""
    found: dict[int, str] = {}
    for line in (HERE / "labels" / f"{name}.txt").read_text("utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        label, numbers = line.split(":")
        if label not in CLASSES:
            raise ValueError(f"{name}: there is no class {label!r}")
        for number in map(int, numbers.split()):
            if number in found:
                raise ValueError(f"{name}: record {number} is both {found[number]} and {label}")
            found[number] = label
    return found


WRITTEN = ("examples.txt", "more.txt")


def written() -> Iterator[Labelled]:
    """Yield the prompts that were written for this project."""
    label = ""
    lines = [line for name in WRITTEN for line in (HERE / name).read_text("utf-8").splitlines()]
    for line in lines:
        if heading := re.fullmatch(r"\[(.+)\]", line):
            label = heading.group(1)
            if label not in CLASSES:
                raise ValueError(f"there is no class {label!r}")
        elif line and not line.startswith("#"):
            yield Labelled(line, label, "written")


KEYWORD_WEIGHT = 0.15
"""What a word alone counts, in prompts."""


def cues() -> dict[str, list[str]]:
    """Return the words and phrases that speak for each class, which the classifier is shipped with."""
    found = {}
    for line in (HERE / "keywords.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            label, words = line.split(": ", 1)
            if label not in CLASSES:
                raise ValueError(f"there is no class {label!r}")
            found[label] = words.split(", ")
    return found


def keywords() -> Iterator[Labelled]:
    """Yield these words and phrases, each as a little prompt."""
    for label, words in cues().items():
        yield from (Labelled(word, label, "keywords", KEYWORD_WEIGHT) for word in words)


def labelled(data: Path, files: dict[str, str]) -> Iterator[Labelled]:
    """Yield the labelled records of published files."""
    for name, file in files.items():
        texts = prompts(data / file)
        for number, label in sorted(labels(name).items()):
            yield Labelled(texts[number], label, name)


def training(data: Path) -> list[Labelled]:
    """Return all that the classifier is trained on."""
    found = [*written(), *keywords(), *labelled(data, TRAINED)]
    for file, (label, enough) in WHOLE.items():
        texts = prompts(data / file)
        step = max(1, len(texts) // enough)
        found += [Labelled(text, label, file) for text in texts[::step][:enough]]
    return found


def held_out(data: Path) -> list[Labelled]:
    """Return all that it is tested on."""
    return list(labelled(data, HELD_OUT))


def prompts(file: Path) -> list[str]:
    """Return the prompts of a file, each with its input, as augtui reads them."""
    text = file.read_text("utf-8")
    if file.suffix == ".csv":
        return [row["prompt"] for row in csv.DictReader(text.splitlines(keepends=True))]
    rows = json.loads(text) if file.suffix == ".json" else [json.loads(line) for line in text.splitlines() if line]
    return [_prompt(row) for row in rows]


def _prompt(row: dict[str, Any]) -> str:
    asked = next(row[name] for name in ("instruction", "prompt", "question", "Problem") if row.get(name))
    instances = row.get("instances") or [{}]
    given = row.get("input") or instances[0].get("input") or ""
    return f"{asked}\n\n{given}" if given.strip() else str(asked)
