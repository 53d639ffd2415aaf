"""A word diff of two texts: words of alphabetic scripts, single characters of Chinese, Japanese and Korean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal["same", "removed", "added"]

LONGEST = 6_000
"""Tokens of one text that are compared; what follows counts as replaced. The comparison takes their product in bits."""

# A run of letters and digits of one script, or spaces, or any single character (each Han character is one by itself).
_TOKEN = re.compile(
    r"[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff_]+|[^\S\n]+|\n|.",
    re.DOTALL,
)


class Part(NamedTuple):
    """A piece of text, and whether it is in both texts or in one of them."""

    kind: Kind
    text: str


def words(text: str) -> list[str]:
    """Return the tokens of a text; joined they are the text again."""
    return _TOKEN.findall(text)


def diff(old: str, new: str) -> list[Part]:
    """Return the parts that lead from `old` to `new`, in order, removals before the additions that replace them.

    The `same` and `removed` parts joined are `old`, the `same` and `added` parts are `new`. What is the
    same is a longest common subsequence of words. A space between two changes belongs to them, so that whole phrases
    stand together.
    """
    from rapidfuzz.distance import Indel

    before, after = words(old), words(new)
    operations = Indel.opcodes(before[:LONGEST], after[:LONGEST])
    parts: list[Part] = []
    removed, added = "", ""
    for step in operations:
        if step.tag == "equal":
            same = "".join(before[step.src_start : step.src_end])
            if same.isspace() and "\n" not in same and (removed or added):
                removed, added = removed + same, added + same
                continue
            parts.extend(_changes(removed, added))
            removed = added = ""
            parts.append(Part("same", same))
        else:
            removed += "".join(before[step.src_start : step.src_end])
            added += "".join(after[step.dest_start : step.dest_end])
    removed, added = removed + "".join(before[LONGEST:]), added + "".join(after[LONGEST:])
    parts.extend(_changes(removed, added))
    return parts


def _changes(removed: str, added: str) -> Iterator[Part]:
    """Yield the change without the space that ends both of its sides."""
    tail = 0
    while len(removed) - tail > 0 and len(added) - tail > 0 and removed[-1 - tail] == added[-1 - tail] == " ":
        tail += 1
    shared = removed[len(removed) - tail :]
    removed, added = removed[: len(removed) - tail], added[: len(added) - tail]
    if removed:
        yield Part("removed", removed)
    if added:
        yield Part("added", added)
    if shared:
        yield Part("same", shared)
