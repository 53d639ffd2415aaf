"""What a step without a run tells the terminal app that started it, and what it hears from it.

Events: `progress`, at most ten a second; `paused`, `resumed`. Commands are those of `augtui.cli.events`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

VARIABLE = "AUGTUI_EVENTS"
"""As in `augtui.cli.events`, which is not loaded for this."""
TICK_S = 0.1


def wanted() -> bool:
    """Say whether the app has started this process."""
    return os.environ.get(VARIABLE) == "1"


@contextmanager
def told() -> Iterator[_Teller]:
    """Yield what tells the app of progress; as long as the block lasts the app is obeyed."""
    teller = _Teller()
    threading.Thread(target=teller.obey, name="commands", daemon=True).start()
    yield teller
    teller.is_over = True


class _Teller:
    def __init__(self) -> None:
        self._going = threading.Event()
        self._going.set()
        self._told = 0.0
        self._what = ""
        self.is_over = False

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell how far the step is; wait here while the app wants a pause."""
        now = time.monotonic()
        if what != self._what or now - self._told >= TICK_S:
            self._what, self._told = what, now
            self._send("progress", what=what, done=done, total=total)
        if not self._going.is_set():
            self._send("paused")
            self._going.wait()
            self._send("resumed")

    def obey(self) -> None:
        """Do what the app says, line by line; its end is a stop."""
        for line in sys.stdin:
            match line.strip():
                case "pause":
                    self._going.clear()
                case "resume":
                    self._going.set()
                case "stop":
                    break
        self._going.set()
        if not self.is_over:
            os.kill(os.getpid(), signal.SIGINT)

    def _send(self, event: str, **values: object) -> None:
        with suppress(BrokenPipeError):
            sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
            sys.stdout.flush()
