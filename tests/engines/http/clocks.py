"""Clocks with which nobody waits."""

from __future__ import annotations

import asyncio
import time

from augtui.engines.http.retry import Clock


class QuickClock(Clock):
    """Goes on by itself when somebody waits, so that nobody does."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._skipped = 0.0

    def now(self) -> float:
        return time.monotonic() + self._skipped

    def wall(self) -> float:
        return 1_800_000_000.0

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self._skipped += seconds
        await asyncio.sleep(0.001)
