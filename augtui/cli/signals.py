"""Signals that end a command as ctrl-c does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ending() -> Iterator[None]:
    """Let TERM and a closed terminal end the block as ctrl-c does, so that it leaves nothing behind."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # What is ignored was so on purpose: nohup, or a script's background.
    former = {number: signal.getsignal(number) for number in numbers}
    changed = {number: handler for number, handler in former.items() if handler is not signal.SIG_IGN}
    try:
        for number in changed:
            signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in changed.items():
            signal.signal(number, handler)
