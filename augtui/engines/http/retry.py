"""When a failed try is made again: exponential backoff with full jitter, and what servers say about it.

Full jitter: a uniform draw between 0 and min(cap, base * 2^n)
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). `Retry-After` is RFC 9110, section 10.2.3.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Literal

BASE_S = 0.5
CAP_S = 60.0
LONGEST_WAIT_S = 120.0
"""A server that asks for more is asked again then, which counts as a try."""
STAGGER_S = 1.0
"""After a pause, requests set out again over at most this long, not all at once."""

Trouble = Literal["busy", "fault", "nonsense"]
"""`busy`: 429; `fault`: 5xx, 408, timeouts, resets, bodies cut short; `nonsense`: an answer that is none."""
TRIES: Mapping[Trouble, int] = {"busy": 12, "fault": 6, "nonsense": 3}
"""Tries of one request by what goes wrong: rate limits pass in minutes, and nonsense may be paid for each time."""


class Clock:
    """Time as the engine sees it; tests bring their own."""

    def now(self) -> float:
        """Return seconds on a clock that only goes forward."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Pause:
    """A wait that all requests to a server share: one that was told to slow down slows the others too."""

    def __init__(self, clock: Clock, draw: random.Random) -> None:
        """Begin without a pause."""
        self._clock = clock
        self._draw = draw
        self._until = -math.inf

    def extend(self, seconds: float) -> None:
        """Let nobody set out for the next `seconds`."""
        self._until = max(self._until, self._clock.now() + seconds)

    async def over(self) -> None:
        """Wait until there is no pause."""
        while (left := self._until - self._clock.now()) > 0:
            await self._clock.sleep(left + self._draw.uniform(0, min(STAGGER_S, left)))


def backoff_s(failures: int, draw: random.Random) -> float:
    """Return how long to wait (seconds) after so many failures in a row, 1 and up."""
    return draw.uniform(0, min(CAP_S, BASE_S * 2.0 ** min(failures - 1, 30)))


def asked_wait_s(headers: Mapping[str, str], wall: float) -> float | None:
    """Return the wait (seconds) that a server asks for, at most `LONGEST_WAIT_S`; None if it does not, or in no sense.

    `headers` have lower-case names. `retry-after-ms` (milliseconds, as OpenAI and Azure send it) is the finer one and
    comes first; `Retry-After` holds seconds or an HTTP date.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, LONGEST_WAIT_S)
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is None and value is not None:
        try:
            seconds = max(0.0, parsedate_to_datetime(value.strip()).timestamp() - wall)
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return None if seconds is None else min(seconds, LONGEST_WAIT_S)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
