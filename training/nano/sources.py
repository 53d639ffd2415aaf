"""The texts the small model learns from, all under licences that let it be redistributed (marked P or S).

| texts | origin | licence |
|---|---|---|
| prompts, short answers | databricks-dolly-15k (6,400 rows) | CC BY-SA 3.0 |
| prompts with inputs | Self-Instruct seed tasks (175) | Apache-2.0 |
| prompts with inputs | LLMs-from-scratch instruction data (1,100) | Apache-2.0 |
| role prompts | awesome-chatgpt-prompts (all but 30) | CC0 |
| word problems | GSM8K, training part | MIT |
| word problems | MathQA, development part | Apache-2.0 |
| utterances | SNIPS NLU benchmark | CC0 |
| Chinese prompts | OpenAssistant oasst1 (818) | Apache-2.0 |
| Chinese role prompts | awesome-chatgpt-prompts-zh (all but 20) | MIT |
| sentences, titles | English Wikipedia extract | CC BY-SA 3.0 |
| sentences, titles | English Wikinews | CC BY 2.5 |
| sentences, titles | Chinese Wikipedia extract, simplified characters | CC BY-SA 3.0 |

What the evaluation asks is held out: a text that shares eight words in a row (twelve characters in Chinese) with one of
its prompts is left out, wherever it comes from.
"""

from __future__ import annotations

import csv
import html
import json
import lzma
import re
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from random import Random

from augtui.domain.language import Language
from training.nano.heldout import HeldOut, evaluation_prompts
from training.nano.kinds import fill, invent, pools, task_types

FILES = (
    "train/dolly_6400_instructions.jsonl", "seeds/self_instruct_seed_tasks.jsonl", "train/instruction_data_1100.json",
    "seeds/awesome_prompts_classic.csv", "train/gsm8k_train.jsonl", "evaluate/mathqa_dev.json",
    "train/oasst1_preference_zh.json", "collect/oasst1_sft_zh.json", "seeds/awesome_prompts_zh.json",
    "corpus/enwiki.txt.xz", "corpus/wikinews.txt.xz", "corpus/zhwiki.txt.xz",
)  # fmt: skip
"""All that is read, the folder train/snips besides; provenance.json has their digests."""
HELD_OUT_ROLES, HELD_OUT_ROLES_ZH = 30, 20
"""Rows at the end of awesome-chatgpt-prompts, and of its Chinese sister, kept out of training, for evaluation."""


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
    prompts_zh: list[Prompt] = field(default_factory=list)
    subjects_zh: list[str] = field(default_factory=list)
    sentences_zh: list[str] = field(default_factory=list)
    characters: str = ""
    """All Chinese characters of the sentences, each once."""
    held_out: HeldOut = field(default_factory=lambda: HeldOut(()))
    own: list[dict[str, str]] = field(default_factory=list)
    """A user's own examples: task ("refine" or "expand"), instruction, output."""

    def with_own(self, path: Path) -> Sources:
        """Return these sources with the examples of a JSONL file; raises ValueError for a line that is none.

        A line of `augtui refine` or `expand` serves too: its accepted answer is the output.
        """
        return replace(self, own=own_examples(path))


def own_examples(path: Path) -> list[dict[str, str]]:
    """Return the examples of a JSONL file: its own format, or the output lines of augtui that were accepted."""
    examples = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        row = json.loads(line)
        if row.get("status", "accepted") != "accepted":
            continue
        if "refined" in row:
            example = {"task": "refine", "instruction": row["instruction"], "output": row["refined"]}
        elif "source" in row:
            example = {"task": "expand", "instruction": row["source"], "output": row["instruction"]}
        else:
            example = {name: row.get(name) for name in ("task", "instruction", "output")}
        if example["task"] not in ("refine", "expand") or not example["instruction"] or not example["output"]:
            raise ValueError(f"{path}:{number}: not an example: task (refine or expand), instruction and output wanted")
        examples.append(example)
    return examples


def load_sources(data: Path, corpus_lines: int = 120_000) -> Sources:
    """Read the shared data folder; raises FileNotFoundError when one of its files is absent."""
    held_out = HeldOut(evaluation_prompts(data))
    prompts = [p for p in _prompts(data) if len(p.text) >= 3 and len(p.text) + len(p.input) <= 1500]
    prompts_zh = [p for p in _prompts_zh(data) if len(p.text) >= 3 and len(p.text) <= 600]
    prompts, prompts_zh = (
        [p for p in some if not held_out.shares(f"{p.text} {p.input}")] for some in (prompts, prompts_zh)
    )
    sentences, subjects = _corpora(data / "corpus", corpus_lines)
    sentences_zh, subjects_zh = _corpus_zh(data / "corpus", corpus_lines)
    words = sorted({w for s in sentences for w in re.findall(r"[A-Za-z][a-z]{2,14}\b", s)})
    characters = "".join(sorted({c for s in sentences_zh for c in s if "\u4e00" <= c <= "\u9fff"}))
    return Sources(prompts, subjects, sentences, words, prompts_zh, subjects_zh, sentences_zh, characters, held_out)


def builtin_sources(seed: int = 0) -> Sources:
    """Return sources made of the teacher's own forms and pools alone: enough to train an existing model further."""
    random = Random(seed)
    texts: dict[Language, list[str]] = {}
    prompts: dict[Language, list[Prompt]] = {}
    for spoken in (Language.EN, Language.ZH):
        forms = [(kind, form) for kind in task_types(spoken) for form in kind.forms]
        prompts[spoken] = [Prompt(invent(kind, spoken, random, form), group="form") for kind, form in forms * 4]
        texts[spoken] = [fill("{sentence}", spoken, random) for _ in range(2000)]
    names = [pools(Language.EN)[name] for name in ("person", "city", "country", "concept", "history", "topic")]
    names_zh = [pools(Language.ZH)[name] for name in ("person", "city", "concept", "history", "topic")]
    words = sorted({word for text in texts[Language.EN] for word in re.findall(r"[A-Za-z][a-z]{2,14}\b", text)})
    return Sources(
        prompts[Language.EN], [name for pool in names for name in pool], texts[Language.EN], words,
        prompts[Language.ZH], [name for pool in names_zh for name in pool], texts[Language.ZH],
        "".join(sorted({char for text in texts[Language.ZH] for char in text if "\u4e00" <= char <= "\u9fff"})),
    )  # fmt: skip


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
    for line in (data / "train/gsm8k_train.jsonl").read_text(encoding="utf-8").splitlines():
        prompts.append(Prompt(_clean(json.loads(line)["question"]), group="gsm8k"))
    for row in json.loads((data / "evaluate/mathqa_dev.json").read_text(encoding="utf-8")):
        prompts.append(Prompt(_clean(row["Problem"]), group="mathqa"))
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


def _prompts_zh(data: Path) -> list[Prompt]:
    texts = set()
    for name in ("train/oasst1_preference_zh.json", "collect/oasst1_sft_zh.json"):
        texts |= {row["instruction"] for row in json.loads((data / name).read_text(encoding="utf-8"))}
    prompts = [Prompt(_clean(text), group="oasst") for text in sorted(texts) if re.search("[\u4e00-\u9fff]{3}", text)]
    roles = json.loads((data / "seeds/awesome_prompts_zh.json").read_text(encoding="utf-8"))[:-HELD_OUT_ROLES_ZH]
    return prompts + [Prompt(_clean(row["prompt"]), group="role") for row in roles]


def _is_simplified(text: str) -> bool:
    """Say whether all characters are of GB 2312, which has the simplified ones alone."""
    try:
        text.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


def _corpus_zh(folder: Path, lines: int) -> tuple[list[str], list[str]]:
    sentences: list[str] = []
    subjects: set[str] = set()
    with lzma.open(folder / "zhwiki.txt.xz", "rt", encoding="utf-8") as wiki:
        for line in islice(wiki, lines):
            if title := re.match(r'<doc .*title="([^"]+)"', line):
                name = re.sub(r" \(.*\)$", "", html.unescape(title[1]))
                if 2 <= len(name) <= 12 and re.search("[\u4e00-\u9fff]{2}", name) and _is_simplified(name):
                    subjects.add(name)
            elif not line.startswith("<") and _is_simplified(line):
                for sentence in re.findall("[^。！？]+[。！？]", line.strip()):
                    if 10 <= len(sentence) <= 150 and "（）" not in sentence:
                        sentences.append(sentence)
    return sentences, sorted(subjects)


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
