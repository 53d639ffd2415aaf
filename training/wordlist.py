"""Build the lists of English words that the guard ships: the common ones, and rarer ones that are words all the same.

    python -m training.wordlist SHARED_DATA augtui/domain/words/english.txt
    python -m training.wordlist SHARED_DATA augtui/domain/words/rarer.txt --rarer

A word is listed when enough documents of permissively licensed text use it: news articles, and prompts with their
answers. A word written with a capital inside sentences more often than not is listed with a capital, because the guard
must not take a name for a common word. A rarer word is one that enough articles of an encyclopedia, or prompts, write
small. The same input files give the same lists, byte for byte.
"""

from __future__ import annotations

import argparse
import csv
import html
import json
import lzma
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from augtui.domain.spelling import is_common

NEWS = "corpus/wikinews.txt.xz"
ENCYCLOPEDIA = "corpus/enwiki.txt.xz"
QUESTIONS = "train/dolly_6400_instructions.jsonl"
PROMPTS = (
    "seeds/self_instruct_seed_tasks.jsonl",
    "seeds/self_instruct_user_oriented.jsonl",
    "seeds/easydistill_seed_instructions_30.jsonl",
    "seeds/awesome_prompts_classic.csv",
    "train/instruction_data_1100.json",
    "train/instruction_data_with_preference.json",
    "train/gsm8k_train.jsonl",
)
NEWS_FLOOR = 3
"""News articles that must use a word."""
PROMPT_FLOOR = 3
"""Prompts that must use a word which no article uses; one prompt is enough for a word that an article uses too."""
FREQUENT, SLIP_RATIO = 100, 20
"""A word that is one slip from a word in at least FREQUENT articles, and SLIP_RATIO times rarer, is a misspelling."""
NAME_FLOOR = 40
"""Articles that must use a word which is mostly a name."""
RARER_FLOOR = 4
"""Articles or prompts that must use a word which is not common."""
RARER_LETTERS = 5
"""What is shorter is mostly an abbreviation or foreign."""
WORD = re.compile(r"[A-Za-z]+")
INITIAL = frozenset(".!?:;\"“”‘'(*#\n|>")


class Usage:
    """How many documents use each word, and how often it stands inside a sentence with and without a capital."""

    def __init__(self) -> None:
        """Start with no document."""
        self.documents: Counter[str] = Counter()
        self.lower: Counter[str] = Counter()
        self.capital: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """Count the words of one document."""
        seen = set()
        for match in WORD.finditer(text):
            word = match.group()
            folded = word.lower()
            if word.islower():
                self.lower[folded] += 1
            elif not _starts_sentence(text, match.start()):
                self.capital[folded] += 1
            seen.add(folded)
        self.documents.update(seen)


def _starts_sentence(text: str, start: int) -> bool:
    before = start - 1
    while before >= 0 and text[before] == " ":
        before -= 1
    return before < 0 or text[before] in INITIAL


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _rows(path: Path) -> Iterator[Any]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)
    elif path.suffix == ".json":
        yield from json.loads(path.read_text(encoding="utf-8"))
    else:
        with (lzma.open if path.suffix == ".xz" else open)(path, "rt", encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)


def slips(word: str) -> set[str]:
    """Return the usual misspellings of a word: a letter dropped, doubled or swapped, not the first nor the last."""
    inner = range(1, len(word) - 1)
    dropped = {word[:at] + word[at + 1 :] for at in inner}
    doubled = {word[:at] + word[at] + word[at:] for at in inner}
    swapped = {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in inner}
    return (dropped | doubled | swapped) - {word}


def _slipped(usage: Usage) -> dict[str, int]:
    """Return the usual misspellings of the frequent words, each with the documents that use the word itself."""
    found: dict[str, int] = {}
    for word, count in usage.documents.items():
        if count >= FREQUENT and len(word) >= 7:
            for slip in slips(word):
                found[slip] = max(found.get(slip, 0), count)
    return found


def rarer_words(usage: Usage) -> list[str]:
    """Return the words in lower case that the guard does not know as common ones, in alphabetical order."""
    slipped = _slipped(usage)
    return sorted(
        word
        for word, count in usage.documents.items()
        if count >= RARER_FLOOR and count * SLIP_RATIO >= slipped.get(word, 0)
        and len(word) >= RARER_LETTERS and 3 * usage.lower[word] >= usage.capital[word] and not is_common(word)
    )  # fmt: skip


def common_words(news: Usage, prompts: Usage) -> list[str]:
    """Return the words that are common in either usage, names with a capital, in alphabetical order."""
    slipped = _slipped(news)
    listed = []
    for word in news.documents.keys() | prompts.documents.keys():
        in_news, in_prompts = news.documents[word], prompts.documents[word]
        lower = news.lower[word] + prompts.lower[word]
        capital = news.capital[word] + prompts.capital[word]
        if len(word) < 2 or in_news * SLIP_RATIO < slipped.get(word, 0):
            continue
        if lower >= capital:
            if in_news >= NEWS_FLOOR or in_prompts >= PROMPT_FLOOR or (in_news and in_prompts):
                listed.append(word)
        elif in_news >= NAME_FLOOR:
            listed.append(word.capitalize())
    return sorted(listed, key=lambda word: (word.lower(), word))


def main() -> None:
    """Read the sources under the first argument and write the list to the second."""
    parser = argparse.ArgumentParser(description="Build the list of common English words of the refinement guard.")
    parser.add_argument("data", type=Path, help="folder with corpus/, seeds/, train/ and evaluate/")
    parser.add_argument("output", type=Path)
    parser.add_argument("--rarer", action="store_true", help="the rarer words, which the list of common ones lacks")
    arguments = parser.parse_args()
    words = _rarer(arguments.data) if arguments.rarer else _common(arguments.data)
    arguments.output.write_text("\n".join(words) + "\n", encoding="utf-8")
    print(f"{len(words):,} words written to {arguments.output}")


def _common(data: Path) -> list[str]:
    news, prompts = Usage(), Usage()
    for row in _rows(data / NEWS):
        news.add(html.unescape(row["text"]))
    for name in PROMPTS:
        for row in _rows(data / name):
            prompts.add("\n".join(_strings(row)))
    return common_words(news, prompts)


def _rarer(data: Path) -> list[str]:
    usage = Usage()
    article: list[str] = []
    with lzma.open(data / ENCYCLOPEDIA, "rt", encoding="utf-8") as file:
        for line in file:
            if line.startswith("</doc"):
                usage.add(html.unescape("".join(article)))
                article = []
            elif not line.startswith("<doc"):
                article.append(line)
    for row in _rows(data / QUESTIONS):
        usage.add("\n".join(_strings(row)))
    return rarer_words(usage)


if __name__ == "__main__":
    main()
