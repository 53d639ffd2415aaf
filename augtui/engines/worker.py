"""The engine's child process: owns llama.cpp, reads requests from stdin, writes events to what was stdout.

Run as `python -m augtui.engines.worker`. One thread owns the model; another reads commands, a third says every half
second that the process lives. It ends when its stdin ends, so it never outlives its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from augtui.engines import wire
from augtui.engines.backend import Backend
from augtui.engines.base import Failure
from augtui.engines.limits import forbid_core_dumps, limit_memory
from augtui.engines.machine import rss_bytes
from augtui.engines.options import EngineOptions

PARENT = "AUGTUI_ENGINE_PARENT"
"""Environment variable with the process id of the parent."""
BEAT_S = 0.5
PROGRESS_S = 0.2


class Output:
    """The line-wise way to the parent; several threads write, whole lines at a time."""

    def __init__(self, stream: BinaryIO) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Write one message at once; ends the process if nobody reads any more."""
        line = wire.encode(message)
        with self._lock:
            try:
                self._stream.write(line)
                self._stream.flush()
            except OSError:
                os._exit(0)


def claim_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep stdin and stdout for the parent alone; whatever native code prints goes to stderr, which is the log."""
    source = os.fdopen(os.dup(0), "rb")
    target = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    return source, target


def die_with_parent() -> None:
    """Ask the kernel to end this process with its parent, even while stopped (Linux; elsewhere stdin's end does)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    # The parent may have gone before the kernel was asked.
    if os.environ.get(PARENT, str(os.getppid())) != str(os.getppid()):
        os._exit(0)


class Worker:
    """Loads the model that the first command names and serves requests until stdin ends."""

    def __init__(self, commands: queue.SimpleQueue[dict[str, Any]], output: Output) -> None:
        """Read commands from `commands`, answer on `output`."""
        self.commands = commands
        self.output = output
        self.steps = 0

    def run(self) -> int:
        """Serve; returns the exit code."""
        load = self.commands.get()
        if load["op"] != "load":
            return 0
        try:
            backend = _load(Path(load["path"]), EngineOptions.unpack(load["options"]))
        except Exception as error:
            self.output.send({"event": "refused", "kind": type(error).__name__, "message": str(error)[:1000]})
            return 3
        self.output.send(wire.pack_event(backend.model))
        reported = 0.0
        admitted: set[str] = set()
        while True:
            if not self._obey(backend, block=not backend.busy):
                return 0
            backend.admit()
            active = backend.active_ids()
            if not active <= admitted:
                # Sent before the decode: if the decode kills this process, the parent knows who was in it.
                self.output.send({"event": "admitted", "ids": sorted(active)})
            admitted = active
            for completion in backend.step():
                self.output.send(wire.pack_event(completion))
            self.steps = backend.steps
            for partial in backend.partials():
                self.output.send(wire.pack_event(partial))
            now = time.monotonic()
            if now - reported >= PROGRESS_S or not backend.busy:
                reported = now
                self.output.send(wire.pack_event(backend.progress(rss_bytes())))

    def _obey(self, backend: Backend, *, block: bool) -> bool:
        while True:
            try:
                command = self.commands.get(block=block)
            except queue.Empty:
                return True
            block = False
            if command["op"] == "close":
                return False
            failures: Sequence[Failure | None] = []
            if command["op"] == "submit":
                failures = [backend.submit(request) for request in map(wire.unpack_work, command["requests"])]
            elif command["op"] == "cancel":
                failures = backend.cancel(set(command["ids"]))
            for failure in failures:
                if failure is not None:
                    self.output.send(wire.pack_event(failure))


def _load(path: Path, options: EngineOptions) -> Backend:
    # Imported here: a library is loaded by this process only, and only when a model is wanted.
    if options.library == "mlx":
        from augtui.engines.mlx import batcher

        return batcher.load(path, options)
    from augtui.engines import bindings, gguf_header, shards

    for file in shards.files_of(path):
        gguf_header.check(file)
    bindings.prepare()
    from augtui.engines.llama import loading

    limit_memory(path, options)
    return loading.load(path, options)


def _read(source: BinaryIO, commands: queue.SimpleQueue[dict[str, Any]]) -> None:
    try:
        for line in source:
            commands.put(wire.decode(line))
    finally:
        # The parent is gone (perhaps in the middle of a line), or wants no more: a decode is not worth waiting for.
        os._exit(0)


def _beat(worker: Worker, output: Output) -> None:
    while True:
        time.sleep(BEAT_S)
        output.send({"event": "beat", "steps": worker.steps})


def main() -> int:
    """Serve one parent over the standard streams; returns the exit code."""
    source, target = claim_standard_streams()
    die_with_parent()
    forbid_core_dumps()
    output = Output(target)
    commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    worker = Worker(commands, output)
    threading.Thread(target=_read, args=(source, commands), daemon=True).start()
    threading.Thread(target=_beat, args=(worker, output), daemon=True).start()
    code = worker.run()
    target.flush()
    # No interpreter shutdown: daemon threads may hold the streams, and native destructors have nothing to save.
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
