"""Cells given out once, in order: what makes a text depend on nothing but its request.

llama.cpp adds up a token's attention in the order of the cells. Where freed cells are taken again, a sequence may get
them out of order, and sums of rounded numbers depend on it. In an arena every sequence takes new cells behind the last
ones until none are left; then what is under way is finished and the cache is cleared. A masked cell is skipped without
a trace, so that neighbours do not matter.
"""

from __future__ import annotations

from typing import Protocol

BATCH_TOKENS = 63
"""From 64 tokens on, llama.cpp's CPU attention sums by tiles of cells, whose borders depend on the neighbours."""
SEQUENCES = 127
"""Sequences until the arena is cleared; one more is the ballast's. llama.cpp reserves a row of logits for each."""


class Clearable(Protocol):
    """What holds the keys and values."""

    def clear(self) -> None:
        """Free all cells; the next token takes the first one."""


class Arena:
    """Hands out sequences and counts the cells that they may take."""

    def __init__(self, cells: Clearable, size: int) -> None:
        """Hand out `size` cells, one of which the ballast may need."""
        self._cells = cells
        self._size = size - 1
        self._sequences = 0
        self._taken = 0

    @property
    def ballast(self) -> int:
        """Return the sequence of the token that keeps others from being computed alone."""
        return SEQUENCES

    def take(self, cells: int) -> int | None:
        """Return a new sequence of at most `cells` cells, or None until the arena is cleared."""
        if self._sequences >= SEQUENCES or self._taken + cells > self._size:
            return None
        self._sequences += 1
        self._taken += cells
        return self._sequences - 1

    def clear(self) -> None:
        """Begin again with all cells; no sequence may be under way."""
        self._cells.clear()
        self._sequences = self._taken = 0
