"""The fixed evaluation of a small augmenter, on prompts that its training never saw, before any guard.

    python -m training.nano.evaluate MODEL.gguf --data ../shared/data --out figures.json --show 20

Prompts (heldout.py): 100 written for it, EasyDistill's 30, Self-Instruct's 252 user-oriented tasks with their
inputs, BPO's 300. `augtui refine` and `augtui expand` themselves make the answers, greedily, at the first try and with
the guard off, so what is measured is what users get. A checkpoint folder is quantized to Q8_0 first.

Judged by rules: what was lost by the guard's own findings at its strictest level; the task type by the teacher's
patterns (`augtui.domain.kinds`), or by hand for our 100. `--outputs` writes every answer, for a reading.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rapidfuzz.distance import Indel

from augtui.domain.guard import Strictness, guard
from augtui.domain.kinds import classify, tongue
from augtui.domain.language import Language, language
from augtui.domain.tasks import TASKS, Unparsed
from training.nano.heldout import Asked, evaluation_prompts
from training.nano.kinds import task_types

FACTS = ("number lost", "variable lost", "code lost", "link lost")
_HOLDS_FACTS = re.compile(r"\d|\$?\{\{?\w+\}?\}|https?://|`|[a-z_]\(|_\w+|[<>{}=;]{2}|--\w|```")
EXPAND_LONGEST = 900
"""Characters of a prompt that is expanded."""
EXPAND_TEMPERATURE = 0.8
"""What augtui takes for expansion by itself; greedy decoding is measured beside it."""


@dataclass(frozen=True)
class Answered:
    """One prompt with the model's raw answer."""

    asked: Asked
    text: str
    finish_reason: str


def answers(model: Path, task: str, prompts: list[Asked], slots: int, temperature: float = 0.0) -> list[Answered]:
    """Return the model's first answer to each prompt, by the command line; raises CalledProcessError if it fails."""
    with tempfile.TemporaryDirectory(prefix="augtui-evaluate-") as folder:
        home, asked = Path(folder), Path(folder) / "prompts.jsonl"
        with asked.open("w", encoding="utf-8") as lines:
            for prompt in prompts:
                lines.write(json.dumps({"instruction": prompt.text}, ensure_ascii=False) + "\n")
        command = [
            sys.executable, "-m", "augtui", task, "--file", str(asked), "--output", str(home / "out.jsonl"), "--quiet",
            "--model", str(model.absolute()), "--style", "specialised", "--temperature", str(temperature),
            "--retries", "0", "--slots", str(slots), "--project", "evaluation",
            *(["--guard", "off"] if task == "refine" else []),
        ]  # fmt: skip
        done = subprocess.run(command, env={**os.environ, "AUGTUI_HOME": str(home)}, check=False)
        if done.returncode not in (0, 4):
            raise subprocess.CalledProcessError(done.returncode, command)
        # The raw texts, rejected ones too, are in the project, a plain SQLite file.
        database = next(home.rglob("evaluation*.db"), None) or next(home.rglob("*.db"))
        with sqlite3.connect(database) as db:
            rows = db.execute(
                "SELECT r.instruction, a.text, coalesce(a.finish_reason, a.verdict) FROM attempts a"
                " JOIN items i ON i.number = a.item JOIN records r ON r.number = i.record"
            ).fetchall()
    texts = {instruction: (text, reason) for instruction, text, reason in rows}
    return [
        Answered(prompt, *texts.get(prompt.text, texts.get(prompt.text.strip(), ("", "missing")))) for prompt in prompts
    ]


@cache
def _phrases(spoken: Language) -> dict[str, frozenset[str]]:
    """Return what the teacher adds, aspects and rules, and the task types that each belongs to."""
    owners: dict[str, set[str]] = {}
    for kind in task_types(spoken):
        for phrase in (*kind.aspects, *kind.rules):
            owners.setdefault(phrase.lower().rstrip(".。"), set()).add(kind.name)
    return {phrase: frozenset(names) for phrase, names in owners.items()}


def added_types(prompt: str, answer: str, spoken: Language) -> frozenset[str]:
    """Return the task types whose aspects and rules the answer adds most of; empty when it adds none."""
    own, text = prompt.lower(), answer.lower()
    hits: Counter[str] = Counter()
    for phrase, names in _phrases(spoken).items():
        if phrase in text and phrase not in own:
            hits.update(names)
    most = max(hits.values(), default=0)
    return frozenset(name for name, count in hits.items() if count == most and most)


def share(flags: Iterable[bool]) -> float:
    """Return the share of true ones, rounded to 3 digits; 0 of none."""
    values = list(flags)
    return round(sum(values) / len(values), 3) if values else 0.0


def right_types(asked: Asked) -> frozenset[str]:
    """Return the task types that are right for a prompt: those read by hand, else the rules'."""
    return frozenset(asked.types) or frozenset({classify(asked.text)})


def refine_figures(results: list[Answered]) -> dict[str, Any]:
    """Return the shares of answers that keep, add and avoid what they should."""
    kinds: Counter[str] = Counter()
    rows = []
    for result in results:
        found = guard(result.asked.text, result.text, Strictness.STRICT)
        names = {violation.kind for violation in found}
        kinds.update(names)
        ended = result.finish_reason == "stop"
        read = TASKS["refine"].parse(result.text, result.finish_reason)
        spoken = tongue(result.asked.text)
        # An empty or endless answer has kept nothing.
        kept = ended and "empty" not in names
        rows.append((
            ended, kept and "word lost" not in names, "unknown word" in names, kept and not names.intersection(FACTS),
            bool(_HOLDS_FACTS.search(result.asked.text)),
            bool(right_types(result.asked) & added_types(result.asked.text, result.text, spoken)),
            not isinstance(read, Unparsed) and not found,
            language(result.asked.text) is Language.ZH, language(result.text) is Language.ZH,
        ))  # fmt: skip
    with_facts = [row for row in rows if row[4]]
    chinese = [row for row in rows if row[7]]
    levels = {
        level.value: share(r.finish_reason == "stop" and not guard(r.asked.text, r.text, level) for r in results)
        for level in (Strictness.LENIENT, Strictness.NORMAL)
    }
    return {
        "prompts": len(rows), "ended": share(row[0] for row in rows),
        "every content word kept": share(row[1] for row in rows), "with a non-word": share(row[2] for row in rows),
        "with facts": len(with_facts), "numbers, variables, code, links kept": share(row[3] for row in with_facts),
        "right task": share(row[5] for row in rows), "guard strict": share(row[6] for row in rows),
        **{f"guard {name}": value for name, value in levels.items()},
        "Chinese": len(chinese), "Chinese answered in Chinese": share(row[8] for row in chinese),
        "outputs with": {kind: round(n / max(1, len(rows)), 3) for kind, n in kinds.most_common()},
    }  # fmt: skip


_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W_]+(?:'[^\W_]+)*")


def rouge_l(first: str, second: str) -> float:
    """Return the ROUGE-L F1 of two texts over words and single Chinese characters, as augtui computes it."""
    return float(Indel.normalized_similarity(_TOKEN.findall(first.lower()), _TOKEN.findall(second.lower())))


def expand_figures(results: list[Answered]) -> dict[str, Any]:
    """Return the shares of new instructions that parse, are of the seed's type, and are new."""
    texts = [result.text.strip() for result in results]
    parsed = [not isinstance(TASKS["expand"].parse(r.text, r.finish_reason), Unparsed) for r in results]
    likeness = [rouge_l(r.asked.text, text) for r, text in zip(results, texts, strict=True)]
    own = [r for r in results if language(r.asked.text) is Language.ZH]
    return {
        "prompts": len(results), "parse": share(parsed),
        "same task type": share(
            bool(text) and classify(text) in right_types(r.asked) | {classify(r.asked.text)}
            for r, text in zip(results, texts, strict=True)
        ),
        "ROUGE-L to the seed < 0.7": share(value < 0.7 for value in likeness),
        "mean ROUGE-L": round(sum(likeness) / max(1, len(likeness)), 3),
        "distinct": round(len(set(texts)) / max(1, len(texts)), 3),
        "with a non-word": share(
            any(v.kind == "unknown word" for v in guard(r.asked.text, r.text, Strictness.STRICT)) for r in results
        ),
        "Chinese answered in Chinese": share(language(r.text) is Language.ZH for r in own),
    }  # fmt: skip


def evaluate(model: Path, data: Path, slots: int, show: int, outputs: Path | None) -> dict[str, Any]:
    """Return all figures of a GGUF file, by source of the prompts and together."""
    asked = evaluation_prompts(data)
    refined = answers(model, "refine", asked, slots)
    short = [one for one in asked if len(one.text) <= EXPAND_LONGEST]
    expanded = answers(model, "expand", short, slots)
    warm = answers(model, "expand", short, slots, temperature=EXPAND_TEMPERATURE)
    for task, results in (("refine", refined), ("expand", expanded)):
        for result in results[:: max(1, len(results) // show)] if show else []:
            found = guard(result.asked.text, result.text, Strictness.STRICT) if task == "refine" else []
            verdict = "; ".join(map(str, found)) or "ok"
            print(f"--- {task}: {result.asked.text}\n>>> {result.text}\n({verdict})", file=sys.stderr)
    if outputs is not None:
        with outputs.open("w", encoding="utf-8") as lines:
            for task, results in (("refine", refined), ("expand", expanded)):
                for r in results:
                    row = {"task": task, "source": r.asked.source, "prompt": r.asked.text, "answer": r.text}
                    lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    sources = dict.fromkeys(one.source for one in asked)
    return {
        "model": model.name,
        "refine": refine_figures(refined),
        "refine by source": {s: refine_figures([r for r in refined if r.asked.source == s]) for s in sources},
        "expand": expand_figures(expanded), f"expand at T = {EXPAND_TEMPERATURE}": expand_figures(warm),
        "expand by source": {s: expand_figures([r for r in expanded if r.asked.source == s]) for s in sources},
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Evaluate and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m training.nano.evaluate", description="Evaluate the small model.")
    parser.add_argument("model", type=Path, help="GGUF file, or a checkpoint folder")
    parser.add_argument("--data", type=Path, required=True, help="the shared data folder")
    parser.add_argument("--out", type=Path, help="also write the figures to this file")
    parser.add_argument("--outputs", type=Path, help="write every answer to this JSONL file")
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--show", type=int, default=0, help="answers of each task to print")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="augtui-evaluate-") as folder:
        model: Path = options.model
        if model.is_dir():
            model = Path(folder) / "augtui-checkpoint-q8_0.gguf"
            command = [sys.executable, "-m", "quantize", str(options.model), "-o", str(model), "--type", "Q8_0", "-q"]
            subprocess.run(command, check=True)
        figures = evaluate(model, options.data, options.slots, options.show, options.outputs)
    text = json.dumps(figures, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
