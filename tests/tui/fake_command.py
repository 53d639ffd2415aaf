"""A command as the app starts it, without a model: it tells events, obeys words, and may be slow, loud or broken."""

from __future__ import annotations

import json
import queue
import sys
import threading
import time


def send(event: str, **values: object) -> None:
    print(json.dumps({"event": event, **values}), flush=True)


def main() -> int:
    kind = sys.argv[1]
    if kind == "broken":
        print("augtui: \x1b[31mno such file\x07", file=sys.stderr)
        return 2
    if kind == "plain":
        print("one line \x1b]0;title\x07")
        return 0
    words: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            words.put(line.strip())
        words.put("stop")

    threading.Thread(target=listen, daemon=True).start()
    total = int(sys.argv[2])
    send("begin", run=7, total=total, counts={}, resumed=False)
    send("loaded", model={})
    resting = False
    done = 0
    while done < total:
        while not words.empty() or resting:
            word = words.get()
            if word == "stop":
                return 130
            resting = word == "pause"
            send("paused" if resting else "resumed")
        done += 1
        send(
            "tick", counts={"accepted": done}, reasons={"number lost": 1}, speed=100.0, progress=None,
            latest=[{"position": done, "status": "accepted", "reason": None, "instruction": f"original {done}",
                     "text": f"text {done}", "tries": 1}],
        )  # fmt: skip
        time.sleep(0.02)
    send("finish", summary={"run": 7}, output=None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
