"""The child process of a download: one order from stdin, events to what was stdout. `python -m augtui.models.fetcher`.

It ends when its stdin ends, and with its parent. What the hub's client prints goes to stderr, which is a log.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, BinaryIO

from augtui.engines import wire
from augtui.engines.worker import Output, claim_standard_streams, die_with_parent

if TYPE_CHECKING:
    from augtui.models.fetch import Fetcher

BEAT_S = 0.5


def _leave_with(source: BinaryIO) -> None:
    """End this process when its parent has no more to say."""
    source.read()
    os._exit(0)


def main() -> int:
    """Fetch what the first line orders; returns the exit code."""
    source, target = claim_standard_streams()
    die_with_parent()
    output = Output(target)
    order: dict[str, Any] = wire.decode(source.readline())
    threading.Thread(target=_leave_with, args=(source,), daemon=True).start()
    fetcher: Fetcher | None = None

    def beat() -> None:
        while True:
            time.sleep(BEAT_S)
            output.send({"event": "beat", "bytes": fetcher.bytes if fetcher is not None else 0})

    # Before the imports: from a cold disk they can take a while.
    threading.Thread(target=beat, daemon=True).start()
    # Imported here: the environment decides what the client does, and half a second is not the parent's to spend.
    from augtui.models.faults import classify
    from augtui.models.fetch import Fetcher
    from augtui.models.listing import Order

    try:
        fetcher = Fetcher(Order(**order), output.send)
        output.send({"event": "done", **fetcher.run()})
        code = 0
    except Exception as error:
        fault = classify(error, str(order["repo"]), kind=str(order["kind"]))
        if fault.kind == "unexpected":
            import traceback

            traceback.print_exc()
        output.send({"event": "failed", "kind": fault.kind, "message": fault.message, "hint": fault.hint})
        code = 3
    target.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
