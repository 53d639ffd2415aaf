"""The texts the small model learns from, all under licences that let it be redistributed (marked P or S).

| texts | origin | licence |
|---|---|---|
| prompts, short answers | databricks-dolly-15k (6,400 rows) | CC BY-SA 3.0 |
| prompts with inputs | Self-Instruct seed tasks (175) | Apache-2.0 |
| prompts with inputs | LLMs-from-scratch instruction data (1,100) | Apache-2.0 |
| role prompts | awesome-chatgpt-prompts (all but 30) | CC0 |
| word problems | GSM8K | MIT |
| utterances | SNIPS NLU benchmark | CC0 |
| sentences, titles | English Wikipedia extract | CC BY-SA 3.0 |
| sentences, titles | English Wikinews | CC BY 2.5 |
"""

from __future__ import annotations

import csv
import html
import json
import lzma
import re
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

HELD_OUT_ROLES = 30
"""Rows at the end of awesome-chatgpt-prompts kept out of training, for evaluation."""


@dataclass(frozen=True)
class Prompt:
    """A real user prompt: its instruction, the text it works on ("" if none), a short answer ("" if none), a group."""

    text: str
    input: str = ""
    answer: str = ""
    group: str = ""


@dataclass(frozen=True)
class Sources:
    """All material of the rule teacher; subjects are titles, sentences and distinct words come from the corpora."""

    prompts: list[Prompt] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


def load_sources(data: Path, corpus_lines: int = 120_000) -> Sources:
    """Read the shared data folder; raises FileNotFoundError when one of its files is absent."""
    prompts = [p for p in _prompts(data) if len(p.text) >= 3 and len(p.text) + len(p.input) <= 1100]
    sentences, subjects = _corpora(data / "corpus", corpus_lines)
    words = sorted({w for s in sentences for w in re.findall(r"[A-Za-z][a-z]{2,14}\b", s)})
    return Sources(prompts, subjects, sentences, words)


def _clean(text: str) -> str:
    return re.sub(r"[ \t]+", " ", text.replace("\r", "")).strip()


def _prompts(data: Path) -> list[Prompt]:
    prompts = []
    for line in (data / "train/dolly_6400_instructions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        prompts.append(Prompt(_clean(row["instruction"]), answer=_clean(row["text"]), group="dolly"))
    for line in (data / "seeds/self_instruct_seed_tasks.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        instance = row["instances"][0]
        prompts.append(
            Prompt(_clean(row["instruction"]), _clean(instance["input"]), _clean(instance["output"]), "seed")
        )
    for row in json.loads((data / "train/instruction_data_1100.json").read_text(encoding="utf-8")):
        prompts.append(Prompt(_clean(row["instruction"]), _clean(row["input"]), _clean(row["output"]), "book"))
    with (data / "seeds/awesome_prompts_classic.csv").open(encoding="utf-8", newline="") as lines:
        roles = [_clean(row["prompt"]) for row in csv.DictReader(lines)][:-HELD_OUT_ROLES]
    prompts += [Prompt(text, group="role") for text in roles]
    for name in ("gsm8k_train.jsonl", "gsm8k_test.jsonl"):
        for line in (data / "train" / name).read_text(encoding="utf-8").splitlines():
            prompts.append(Prompt(_clean(json.loads(line)["question"]), group="gsm8k"))
    for path in sorted((data / "train/snips").glob("*.json")):
        raw = path.read_bytes()
        try:
            content = json.loads(raw.decode("utf-8"))
        except UnicodeDecodeError:
            content = json.loads(raw.decode("latin-1"))
        for intent, rows in content.items():
            for row in rows:
                text = _clean("".join(part["text"] for part in row["data"]))
                prompts.append(Prompt(text, group=f"snips {intent}"))
    return prompts


def _corpora(folder: Path, lines: int) -> tuple[list[str], list[str]]:
    sentences: list[str] = []
    subjects: list[str] = []

    def add(paragraph: str) -> None:
        for sentence in re.split(r"(?<=[.!?]) (?=[A-Z\"])", html.unescape(paragraph)):
            if 25 <= len(sentence) <= 300 and "  " not in sentence and "()" not in sentence:
                sentences.append(sentence)

    with lzma.open(folder / "enwiki.txt.xz", "rt", encoding="utf-8") as wiki:
        for line in islice(wiki, lines):
            if title := re.match(r'<doc .*title="([^"]+)"', line):
                subjects.append(html.unescape(title[1]))
            elif not line.startswith("<"):
                add(line.strip())
    with lzma.open(folder / "wikinews.txt.xz", "rt", encoding="utf-8") as news:
        for line in islice(news, lines // 10):
            row = json.loads(line)
            if " " in row["title"] and ":" not in row["title"]:
                subjects.append(html.unescape(row["title"]))
            text = re.sub(r"<[^>]+>", "", html.unescape(row["text"]))
            if " , " not in text:
                add(text.replace("\n", " "))
    subjects = [re.sub(r" \(.*\)$", "", s) for s in subjects if 2 < len(s) < 60]
    return sentences, sorted(set(subjects))
