"""Events on their way from an engine's thread to its owner."""

from __future__ import annotations

import contextlib
import queue

from augtui.engines.base import Event


class Events:
    """A queue that is emptied at once; None only wakes whoever waits."""

    def __init__(self) -> None:
        """Begin empty."""
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

    def put(self, event: Event | None) -> None:
        """Add an event."""
        self._queue.put(event)

    def take(self, timeout_s: float) -> list[Event]:
        """Return all events there are, waiting up to `timeout_s` for a first one."""
        events: list[Event] = []
        with contextlib.suppress(queue.Empty):
            event = self._queue.get(timeout=timeout_s)
            while True:
                if event is not None:
                    events.append(event)
                event = self._queue.get_nowait()
        return events
