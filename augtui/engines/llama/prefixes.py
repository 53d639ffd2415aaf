"""What prompts have in common is computed once: beginnings of prompts whose keys and values stay in the cache.

A prefix is a sequence of its own that others begin with; cells are shared, not copied. Prefixes nest: the system
prompt, the system prompt with the examples of one task, a whole prompt that is answered several times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

LEAST_GAIN = 8
"""A prefix must save at least so many tokens to be worth a sequence."""


class Cells(Protocol):
    """What holds the keys and values."""

    def share(self, source: int, target: int, length: int) -> None:
        """Let sequence `target` begin with the first `length` cells of `source`."""

    def forget(self, sequence: int) -> None:
        """Free the cells of a sequence that no other sequence shares."""


@dataclass(slots=True, eq=False)
class Prefix:
    """A beginning of prompts, computed with one adapter."""

    sequence: int
    tokens: list[int]
    adapter: str | None
    base: Prefix | None
    own: int
    """Cells that it does not share with its base."""
    users: int = 0
    """Sequences and longer prefixes that stand on it."""
    used: int = 0


class Prefixes:
    """The prefixes in the cache; the one not used for longest makes room for a new one."""

    def __init__(self, cells: Cells, sequences: Iterable[int]) -> None:
        """Keep a prefix in each of `sequences` at most."""
        self._cells = cells
        self._free = list(sequences)
        self._kept: list[Prefix] = []
        self._clock = 0

    @property
    def held(self) -> int:
        """Return the cells that prefixes hold, shared ones counted once."""
        return sum(prefix.own for prefix in self._kept)

    def find(self, tokens: Sequence[int], adapter: str | None, most: int) -> tuple[Prefix | None, int]:
        """Return the prefix that saves most of `tokens`, and how many it saves, at most the first `most`."""
        best: tuple[Prefix | None, int] = (None, 0)
        for prefix in self._kept:
            if prefix.adapter == adapter:
                length = min(tokens_in_common(prefix.tokens, tokens), most)
                if length > best[1]:
                    best = (prefix, length)
        return best

    def begin(self, prefix: Prefix, sequence: int, length: int) -> None:
        """Let a sequence begin with `length` tokens of a prefix, which stays as long as the sequence does."""
        self._cells.share(prefix.sequence, sequence, length)
        prefix.users += 1
        self._clock += 1
        prefix.used = self._clock

    def leave(self, prefix: Prefix) -> None:
        """Say that a sequence which began with a prefix is no more."""
        prefix.users -= 1

    def keep(self, source: int, tokens: list[int], adapter: str | None, base: Prefix | None, own: int) -> Prefix | None:
        """Keep what sequence `source` begins with, of which `own` cells are new; None where there is no room."""
        if not self._free:
            self.drop_one()
        if not self._free:
            return None
        self._clock += 1
        prefix = Prefix(self._free.pop(), tokens, adapter, base, own, used=self._clock)
        self._cells.share(source, prefix.sequence, len(tokens))
        if base is not None:
            base.users += 1
        self._kept.append(prefix)
        return prefix

    def drop_one(self) -> bool:
        """Free the cells of the prefix not used for longest on which nothing stands; returns whether there was one."""
        unused = [prefix for prefix in self._kept if not prefix.users]
        if not unused:
            return False
        oldest = min(unused, key=lambda prefix: prefix.used)
        self._kept.remove(oldest)
        self._cells.forget(oldest.sequence)
        self._free.append(oldest.sequence)
        if oldest.base is not None:
            oldest.base.users -= 1
        return True


def worthwhile(tokens: Sequence[int], others: Iterable[tuple[Sequence[int], int]], known: int) -> list[int]:
    """Return the lengths at which `tokens` should be kept for `others`: the shortest and the longest that save enough.

    Of each of the others a number of first tokens can be saved; `known` tokens are saved already. A sequence may begin
    with a part of a prefix, so that lengths in between are served by the longest; the shortest is ready first.
    """
    lengths = {min(tokens_in_common(tokens, other), most) for other, most in others}
    saving = [length for length in lengths if length - known >= LEAST_GAIN]
    if not saving:
        return []
    shortest, longest = min(saving), max(saving)
    return [shortest, longest] if longest - shortest >= LEAST_GAIN else [longest]


def tokens_in_common(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the length of the longest common prefix of two token sequences."""
    for place, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return place
    return min(len(first), len(second))
