"""Turns: answers that must differ from all accepted before them are judged in the order of their positions.

When an answer comes in depends on the engine, the other answers and interruptions; whether it is accepted must not. So
an answer that is good by itself waits until everything at earlier positions is settled. As the accepted texts only grow
in that time, an answer that is too like one of them already need not wait to be rejected: it would be in the end, and
for the same text, since the first one in order is named. Given the same texts, the same are accepted, whenever they
come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from augtui.metrics.firstcome import ROUNDING, FirstCome
from augtui.metrics.similarity import rouge_l

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ruling(Generic[T]):
    """What became of a candidate: accepted if there is no reason against it."""

    position: int
    candidate: T
    reason: str | None


@dataclass(slots=True)
class _Waiting(Generic[T]):
    text: str
    candidate: T


class Turns(Generic[T]):
    """The order of a run's items; candidates of any type go in with their text, rulings come out."""

    def __init__(self, threshold: float, accepted: Iterable[tuple[int, str]] = ()) -> None:
        """Begin with what was accepted in the run before, by position in ascending order."""
        self._earlier = deque(accepted)
        self._known = FirstCome(threshold)
        self._open: deque[int] = deque()
        self._closed: set[int] = set()
        self._waiting: dict[int, _Waiting[T]] = {}

    def expect(self, position: int) -> None:
        """Note an item that is not settled; positions come in ascending order."""
        self._open.append(position)

    def close(self, position: int) -> None:
        """Note that an item is settled without an accepted text."""
        self._waiting.pop(position, None)
        self._closed.add(position)

    def offer(self, position: int, text: str, candidate: T) -> str | None:
        """Take an answer that is good by itself; returns the reason if it is too like an accepted one before it."""
        self._catch_up()
        found = self._known.like(text)
        if found is not None:
            return _reason(found[1])
        self._waiting[position] = _Waiting(text, candidate)
        return None

    def waits(self, position: int) -> bool:
        """Say whether an answer for the item waits for its turn."""
        return position in self._waiting

    def rulings(self) -> Iterator[Ruling[T]]:
        """Yield what can be decided now: the acceptance of those whose turn it is, and rejections that follow from it.

        A rejected candidate waits no longer; the caller offers another one, or closes the item.
        """
        while self._open:
            yield from self._admit_earlier()
            first = self._open[0]
            if first in self._closed:
                self._closed.discard(self._open.popleft())
            elif first in self._waiting:
                self._open.popleft()
                waiting = self._waiting.pop(first)
                yield Ruling(first, waiting.candidate, None)
                yield from self._admit(waiting.text)
            else:
                return

    def _catch_up(self) -> None:
        """Admit what was accepted before at positions below the first open one; nobody who waits can be hit here."""
        if not self._waiting:
            for _ in self._admit_earlier():
                pass

    def _admit_earlier(self) -> Iterator[Ruling[T]]:
        while self._earlier and self._earlier[0][0] < self._open[0]:
            yield from self._admit(self._earlier.popleft()[1])

    def _admit(self, text: str) -> Iterator[Ruling[T]]:
        self._known.add(text)
        for position in sorted(self._waiting):
            likeness = rouge_l(text, self._waiting[position].text)
            if likeness >= self._known.threshold - ROUNDING:
                yield Ruling(position, self._waiting.pop(position).candidate, _reason(likeness))


def _reason(likeness: float) -> str:
    return f"too like another: ROUGE-L {likeness:.2f}"
