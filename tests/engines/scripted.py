"""Scripted engines: one in the process, for the runner; one as a worker process, for its supervisor.

The worker speaks the real protocol. What it does with a request is written in the request's prompt: `echo TEXT`,
`die` (SIGSEGV), `choke` (the same, before it says what it decodes), `die once FILE` (only while FILE does not exist),
`babble once FILE` (says what is no message), `hang` (stops beating), `stall` (beats, but takes no step), `sleep
SECONDS`. On its command line: `refuse`, `abort`, `raise SIGNAL [FILE]` (dies while loading, only while FILE does not
exist), `load for ever`, `idle steps` (its beats tell of no step).
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from augtui.engines import wire, worker
from augtui.engines.base import Completion, Event, Failure, ModelInfo, Request

INFO = ModelInfo("scripted", 0, 0, 4096, 4096, 4)


class ScriptedEngine:
    """An engine whose answers a function gives: text, `(text, finish reason)`, or a failure."""

    def __init__(self, answer: Callable[[Request], str | tuple[str, str] | Failure], per_poll: int = 3) -> None:
        self.answer = answer
        self.per_poll = per_poll
        self.queue: deque[Request] = deque()
        self.asked: list[Request] = []
        self.cancelled: list[str] = []
        self.closed = False

    @property
    def model(self) -> ModelInfo:
        return INFO

    def submit(self, requests: Sequence[Request]) -> None:
        self.asked.extend(requests)
        self.queue.extend(requests)

    def poll(self, timeout_s: float) -> Iterable[Event]:
        events: list[Event] = []
        while self.queue and len(events) < self.per_poll:
            request = self.queue.popleft()
            answer = self.answer(request)
            if isinstance(answer, Failure):
                events.append(answer)
                continue
            text, reason = (answer, "stop") if isinstance(answer, str) else answer
            words = len(text.split())
            events.append(Completion(request.id, text, reason, 10, 5, words, 0.0, 0.1, 0.2))  # type: ignore[arg-type]
        return events

    def cancel(self, ids: Sequence[str]) -> None:
        self.cancelled.extend(ids)

    def close(self) -> None:
        self.closed = True


def command() -> list[str]:
    """The command line of the scripted worker."""
    return [sys.executable, str(Path(__file__).resolve())]


def main() -> None:
    source, target = worker.claim_standard_streams()
    worker.die_with_parent()
    output = worker.Output(target)
    commands: queue.SimpleQueue[dict[str, object]] = queue.SimpleQueue()
    hung, stalled = threading.Event(), threading.Event()

    def read() -> None:
        for line in source:
            commands.put(wire.decode(line))
        os._exit(0)

    def beat() -> None:
        while not hung.is_set():
            output.send({"event": "beat", "steps": 0 if stalled.is_set() else int(time.monotonic() * 10)})
            time.sleep(0.1)

    threading.Thread(target=read, daemon=True).start()
    commands.get()
    if sys.argv[1:] == ["refuse"]:
        output.send({"event": "refused", "kind": "LoadError", "message": "x"})
        os._exit(3)
    if sys.argv[1:] == ["abort"]:
        os.write(2, b"GGML_ASSERT(false) failed\n")
        os.kill(os.getpid(), signal.SIGABRT)
    if sys.argv[1:] == ["idle steps"]:
        stalled.set()
    if sys.argv[1:] == ["load for ever"]:
        beat()
    if sys.argv[1:2] == ["raise"]:
        mark = Path(sys.argv[3]) if len(sys.argv) > 3 else None
        if mark is None or not mark.exists():
            if mark is not None:
                mark.touch()
            os.kill(os.getpid(), signal.Signals[sys.argv[2]])
    output.send(wire.pack_event(INFO))
    threading.Thread(target=beat, daemon=True).start()
    while True:
        message = commands.get()
        if message["op"] == "close":
            os._exit(0)
        if message["op"] != "submit":
            continue
        requests = [wire.unpack_work(packed) for packed in message["requests"]]  # type: ignore[attr-defined]
        if any(request.messages[-1].content == "choke" for request in requests):
            os.kill(os.getpid(), signal.SIGSEGV)
        output.send({"event": "admitted", "ids": [request.id for request in requests]})
        for request in requests:
            verb, *words = request.messages[-1].content.split()
            if verb == "die" and (not words or not Path(words[1]).exists()):
                if words:
                    Path(words[1]).touch()
                os.kill(os.getpid(), signal.SIGSEGV)
            if verb == "babble" and not Path(words[1]).exists():
                Path(words[1]).touch()
                output.send({"nothing": "of the kind"})
                time.sleep(60)
            if verb == "stall":
                stalled.set()
                time.sleep(60)
            if verb == "hang":
                hung.set()
                time.sleep(60)
            if verb == "sleep":
                time.sleep(float(words[0]))
            completion = Completion(request.id, " ".join(words), "stop", 10, 5, len(words), 0.0, 0.0, 0.0)
            output.send(wire.pack_event(completion))


if __name__ == "__main__":
    main()
