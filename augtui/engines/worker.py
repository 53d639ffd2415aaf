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
from pathlib import Path
from typing import Any, BinaryIO

from augtui.engines import wire
from augtui.engines.base import Failure, ModelInfo

PARENT = "AUGTUI_ENGINE_PARENT"
"""Environment variable with the process id of the parent."""
BEAT_S = 0.5
PROGRESS_S = 0.2
SEQUENCE_TOKENS = 4096
"""Longest prompt plus answer that is planned for, where the model and the memory allow it."""
SLOT_TOKENS = 768
"""Cells of KV cache planned for each slot: a usual prompt and its longest usual answer."""
BATCH_TOKENS = 512
MEMORY_SHARE = 0.4
"""The KV cache takes at most this share of the memory that is free."""


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


def rss_bytes() -> int:
    """Return the resident memory of this process, or its peak where the system tells only that."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


CGROUP = Path("/sys/fs/cgroup")


def free_bytes() -> int:
    """Return the memory that can be had without swapping, or 4 GiB where the system does not tell."""
    limit = None
    with contextlib.suppress(OSError, ValueError):  # a container's own limit, where it has one
        limit = int((CGROUP / "memory.max").read_text()) - int((CGROUP / "memory.current").read_text())
    free = _free_on_machine()
    return free if limit is None else max(0, min(limit, free))


def _free_on_machine() -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return 4 << 30


def physical_cores() -> int:
    """Return the number of cores this process may use, hyper-threads counted once where the system tells."""
    cores = _cores_of_machine()
    with contextlib.suppress(OSError, ValueError):  # a container may have a share of the machine's time only
        quota, period = (CGROUP / "cpu.max").read_text().split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


def _cores_of_machine() -> int:
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    siblings = set()
    for cpu in usable:
        try:
            path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
            siblings.add(path.read_text().strip())
        except OSError:
            return max(1, len(usable))
    return max(1, len(siblings))


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
            batcher, info = _load(load)
        except Exception as error:
            self.output.send({"event": "refused", "kind": type(error).__name__, "message": str(error)[:1000]})
            return 3
        self.output.send(wire.pack_event(info))
        reported = 0.0
        admitted: set[str] = set()
        while True:
            if not self._obey(batcher, block=not batcher.busy):
                return 0
            batcher.admit()
            active = batcher.active_ids()
            if not active <= admitted:
                # Sent before the decode: if the decode kills this process, the parent knows who was in it.
                self.output.send({"event": "admitted", "ids": sorted(active)})
            admitted = active
            for completion in batcher.step():
                self.output.send(wire.pack_event(completion))
            self.steps = batcher.steps
            now = time.monotonic()
            if now - reported >= PROGRESS_S or not batcher.busy:
                reported = now
                self.output.send(wire.pack_event(batcher.progress(rss_bytes())))

    def _obey(self, batcher: Any, *, block: bool) -> bool:
        while True:
            try:
                command = self.commands.get(block=block)
            except queue.Empty:
                return True
            block = False
            if command["op"] == "close":
                return False
            failures: list[Failure | None] = []
            if command["op"] == "submit":
                failures = [batcher.submit(request) for request in map(wire.unpack_request, command["requests"])]
            elif command["op"] == "cancel":
                failures = batcher.cancel(set(command["ids"]))
            for failure in failures:
                if failure is not None:
                    self.output.send(wire.pack_event(failure))


def _load(options: dict[str, Any]) -> tuple[Any, ModelInfo]:
    # Imported here: the library is loaded by this process only, and only when a model is wanted.
    from augtui.engines.batcher import Batcher
    from augtui.engines.chat import ChatTemplate
    from augtui.engines.native import Context, ContextPlan, Model
    from augtui.engines.prompts import PromptEncoder

    model = Model(Path(options["path"]), gpu_layers=options.get("gpu_layers", -1))
    template = ChatTemplate(model.chat_template(), bos=model.bos, eos=model.eos)
    slots = int(options["slots"])
    sequence_tokens = min(model.context_train, options.get("sequence_tokens") or SEQUENCE_TOKENS)
    affordable = max(512, int(free_bytes() * MEMORY_SHARE) // max(1, model.cell_bytes()))
    cells = options.get("cells") or min(max(slots * SLOT_TOKENS, sequence_tokens + 256), affordable)
    plan = ContextPlan(cells, slots + 1, BATCH_TOKENS, options.get("threads") or physical_cores())
    context = Context(model, plan)

    encode = PromptEncoder(model, template)
    batcher = Batcher(model, context, slots, min(sequence_tokens, context.cells), encode)
    info = ModelInfo(
        description=model.description,
        parameters=model.parameters,
        bytes=model.bytes,
        context_train=model.context_train,
        context_sequence=batcher.sequence_tokens,
        slots=slots,
        metadata={key: value for key, value in model.metadata().items() if len(value) <= 4096},
    )
    return batcher, info


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
