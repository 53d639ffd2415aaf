"""Which words and characters are common enough to be read as they are (augtui.domain.delexical): the lists' maker.

    python -m training.nano.plain --data ../shared/data --out augtui/domain/words

Counted are people's prompts, the teacher's own forms and phrases, and every twentieth sentence of the corpora, weighted
so that prompts decide. The evaluation's prompts are held out of all of them (sources.py).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from pathlib import Path
from textwrap import wrap

from augtui.domain.language import Language
from augtui.domain.spelling import is_common
from training.nano.kinds import pools, task_types
from training.nano.refine import TYPOS
from training.nano.sources import Sources, load_sources

WORDS, CHARACTERS = 5000, 2000
CHAT = ("hello", "hey", "hi", "ok", "pls", "plz", "um")
"""Words of chat that the teacher takes away: they must be seen."""
_WORD = re.compile(r"[A-Za-z]+")


def plain_words(sources: Sources) -> list[str]:
    """Return the English words, in alphabetical order."""
    counts: Counter[str] = Counter()
    for prompt in sources.prompts:
        for word in _WORD.findall(prompt.text):
            if word.islower() or word.istitle():
                counts[word.lower()] += 3
    for kind in task_types():
        for text in (*kind.aspects, *kind.rules, *kind.forms, *kind.subjects, kind.noun, kind.role):
            for word in _WORD.findall(text):
                counts[word.lower()] += 30
    for pool in pools(Language.EN).values():
        for text in pool:
            for word in _WORD.findall(text):
                if word.islower():
                    counts[word] += 6
    for sentence in sources.sentences[::20]:
        for word in _WORD.findall(sentence):
            if word.islower():
                counts[word] += 1
    common = [word for word, _ in counts.most_common() if is_common(word) and (len(word) > 1 or word in "aiu")]
    typos = {typo.lower() for wrong in TYPOS.values() for typo in wrong}
    return sorted({*common[:WORDS], *typos, *CHAT})


def plain_characters(sources: Sources) -> list[str]:
    """Return the Chinese characters in the order of their code points."""
    counts: Counter[str] = Counter()
    for prompt in sources.prompts_zh:
        for char in prompt.text:
            counts[char] += 5
    for kind in task_types(Language.ZH):
        for text in (*kind.aspects, *kind.rules, *kind.forms, *kind.subjects, kind.noun, kind.role):
            for char in text:
                counts[char] += 30
    for sentence in sources.sentences_zh[::20]:
        counts.update(sentence)
    return sorted([char for char, _ in counts.most_common() if "\u4e00" <= char <= "\u9fff"][:CHARACTERS])


def main(argv: list[str] | None = None) -> int:
    """Write both lists."""
    parser = argparse.ArgumentParser(prog="python -m training.nano.plain", description="Make the lists of plain words.")
    parser.add_argument("--data", type=Path, required=True, help="the shared data folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for plain.txt and plain_zh.txt")
    options = parser.parse_args(argv)
    sources = load_sources(options.data)
    words, characters = (
        "\n".join(wrap(" ".join(plain_words(sources)), 120)),
        "\n".join(wrap("".join(plain_characters(sources)), 60)),
    )
    (options.out / "plain.txt").write_text(words + "\n", encoding="utf-8")
    (options.out / "plain_zh.txt").write_text(characters + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
