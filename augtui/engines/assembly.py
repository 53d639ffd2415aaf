"""Answers as they are drawn, token by token: how long one may be, its text, and where it ends."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field

from augtui.engines.base import AUTO_MAX_TOKENS, LEAST_ANSWER_TOKENS, FinishReason
from augtui.engines.loops import CHECK_EVERY, loops


class Overflow(Exception):
    """A prompt and its answer do not fit into one sequence; the message says by how much."""


def answer_room(prompt: int, wanted: int | None, limit: int) -> int:
    """Return the longest answer (tokens) to a prompt of `prompt` tokens where both may have `limit`; raises Overflow.

    `wanted` is the request's `max_tokens`; below 1 it is a ValueError.
    """
    if wanted is not None:
        if wanted < 1:
            raise ValueError("max_tokens must be at least 1")
        if prompt + wanted > limit:
            raise Overflow(f"{prompt} prompt tokens + {wanted} answer tokens > {limit} of the context")
        return wanted
    left = limit - prompt
    # An answer about as long as its prompt must fit, else it would only be cut off later.
    if left < LEAST_ANSWER_TOKENS + prompt // 2:
        raise Overflow(f"{prompt} prompt tokens leave {max(left, 0)} of {limit} for the answer")
    return min(AUTO_MAX_TOKENS, left)


@dataclass(slots=True)
class Answer:
    """An answer under way: its tokens, and the text that they make."""

    longest: int
    """At most so many tokens."""
    stop: tuple[str, ...] = ()
    """Strings that end it and are not part of it."""
    cut_loops: bool = True
    """Whether endless repetition ends it."""
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"), repr=False
    )

    def add(self, token: int, piece: bytes) -> FinishReason | None:
        """Append a token that stands for the bytes `piece`; returns why the answer ends with it, or None.

        A character that is not whole yet waits for the rest of its bytes.
        """
        self.tokens.append(token)
        fresh = self._decoder.decode(piece)
        if fresh:
            self.text += fresh
            if self._stopped(len(fresh)):
                return "stop"
        if len(self.tokens) >= self.longest:
            return "length"
        due = self.cut_loops and len(self.tokens) % CHECK_EVERY == 0
        return "loop" if due and loops(self.tokens) else None

    def _stopped(self, fresh: int) -> bool:
        start = max(0, len(self.text) - fresh - max(map(len, self.stop), default=0))
        places = (self.text.find(stop, start) for stop in self.stop if stop)
        first = min((place for place in places if place >= 0), default=-1)
        if first < 0:
            return False
        self.text = self.text[:first]
        return True

    def finish(self, reason: FinishReason) -> str:
        """Return the whole text; what was cut off in the middle of a character ends in U+FFFD."""
        if reason != "stop":
            self.text += self._decoder.decode(b"", final=True)
        return self.text
