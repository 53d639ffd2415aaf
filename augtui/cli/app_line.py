"""The line between a command and the terminal app that started it: events as JSON lines on stdout, words on stdin.

Words, one a line: `pause`, `resume`, `stop`. The end of stdin is a stop: the app is gone. A step without a run tells
`progress`, at most ten times a second, `paused` and `resumed`; what a run tells is in `augtui.cli.events`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

VARIABLE = "AUGTUI_EVENTS"
"""Set to 1 by the app in the environment of the commands that it starts."""
TICK_S = 0.1


def wanted() -> bool:
    """Say whether the app has started this process."""
    return os.environ.get(VARIABLE) == "1"


class Line:
    """Tells the app, and does what it says."""

    def __init__(self) -> None:
        """Say nothing and hear nothing yet."""
        self._going = threading.Event()
        self._going.set()
        self.is_over = False
        """Whether there is nothing left to stop."""

    def listen(self) -> None:
        """Begin to obey the app, in a thread: a stop is SIGINT for this process, as by ctrl-c."""
        threading.Thread(target=self._obey, name="commands", daemon=True).start()

    def send(self, event: str, **values: object) -> None:
        """Tell an event; that the app is gone is no error."""
        with suppress(BrokenPipeError):
            sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
            sys.stdout.flush()

    def wait_if_paused(self, before: Callable[[], None] = lambda: None) -> None:
        """Wait here while the app wants a pause, after `before`, what is still to be told."""
        if not self._going.is_set():
            before()
            self.send("paused")
            self._going.wait()
            self.send("resumed")

    def _obey(self) -> None:
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


@contextmanager
def told() -> Iterator[Callable[[str, int, int], None]]:
    """Yield what tells the app how far a step is (what, done, total); as long as the block lasts the app is obeyed."""
    line = Line()
    line.listen()
    last, known = 0.0, ""

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last, known
        now = time.monotonic()
        if what != known or now - last >= TICK_S:
            known, last = what, now
            line.send("progress", what=what, done=done, total=total)
        line.wait_if_paused()

    yield tell
    line.is_over = True
