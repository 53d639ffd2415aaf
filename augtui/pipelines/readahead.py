"""Reading ahead: pieces from a slow or busy producer are taken in by a thread, up to so many bytes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

HELD_BYTES: Final = 24 * 2**20
"""Bytes that wait at most, or one piece if it is larger: what a child sends while a transaction is saved."""


class ReadAhead:
    """Pieces read by a thread of its own, taken in order by one other thread."""

    def __init__(self, read: Callable[[], bytes], limit: int = HELD_BYTES) -> None:
        """Keep `read`, which returns the next piece and b"" after the last one."""
        self._read = read
        self._limit = limit
        self._pieces: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def take(self, wait_s: float | None = None) -> bytes | None:
        """Return the next piece, b"" after the last one; None where none came within `wait_s` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._pieces, wait_s):
                return None
            piece = self._pieces[0]
            if piece:  # the end stays where it is
                self._pieces.popleft()
                self._bytes -= len(piece)
                self._changed.notify_all()
            return piece

    def close(self) -> None:
        """Read no further, and wait for the thread; its `read` has to come to an end by itself."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        piece = b"-"
        while piece:
            try:
                piece = self._read()
            except (OSError, ValueError):  # the pipe was closed
                piece = b""
            with self._changed:
                self._changed.wait_for(lambda: self._closed or not self._pieces or self._bytes < self._limit)
                if self._closed:
                    return
                self._pieces.append(piece)
                self._bytes += len(piece)
                self._changed.notify_all()
