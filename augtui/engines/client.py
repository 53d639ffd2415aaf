"""A local engine as its users see it: a supervised child process.

A crash, a hang or the end of memory takes the child only. It is started again and what was in flight is queued again;
requests that were being computed when it died are run alone first, and one that kills it alone twice is set aside.
"""

from __future__ import annotations

import contextlib
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import augtui
from augtui.engines import wire
from augtui.engines.base import Event, Failure, ModelInfo, Progress, Restarted, Work
from augtui.engines.options import EngineOptions
from augtui.errors import EngineError, ModelError

BEAT_LIMIT_S = 10.0
"""A child that says nothing for so long is taken for dead; it beats twice a second."""
START_LIMIT_S = 60.0
"""The same until it serves: a cold disk or a virus scanner may hold up the loading of the library."""
STALL_LIMIT_S = 600.0
"""A child that beats but finishes no decode for so long, with work to do, is taken for hung."""
CLOSE_LIMIT_S = 2.0
LONELY_KILLS = 2
"""A request that ends the child so often while alone in it is set aside."""
DEATHS_IN_A_ROW = 4
"""So many deaths without any finished request between them, and the engine is given up."""
SET_ASIDE_IN_A_ROW = 3
"""So many requests set aside by an engine that never finished one, and it is the model that is to blame."""
TAIL_BYTES = 8192
WINDOW = 3
"""The child holds at most this many requests per slot; the rest wait here, where nothing can kill them."""


class LocalEngine:
    """Runs one model in a child process; see `augtui.engines.base.Engine`."""

    def __init__(
        self,
        model_path: Path,
        options: EngineOptions | None = None,
        *,
        log_path: Path | None = None,
        command: Sequence[str] | None = None,
        beat_limit_s: float = BEAT_LIMIT_S,
    ) -> None:
        """Prepare an engine for `model_path`; nothing is started yet. `command` replaces the worker (for tests)."""
        self._path = model_path
        self._options = options or EngineOptions()
        self._log_path = log_path
        self._log_is_own = log_path is None
        self._command = list(command or [sys.executable, "-P", "-m", "augtui.engines.worker"])
        self._beat_limit_s = beat_limit_s
        self._lock = threading.RLock()
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._outstanding: dict[str, Work] = {}
        self._sent: set[str] = set()
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._admitted: set[str] = set()
        self._suspects: list[str] = []
        self._kills: dict[str, int] = {}
        self._deaths = 0
        self._finished = 0
        self._set_aside = 0
        self._info: ModelInfo | None = None
        self._ready = threading.Event()
        self._serving = False
        self._error: Exception | None = None
        self._closing = False
        self._child: subprocess.Popen[bytes] | None = None
        self._supervisor: threading.Thread | None = None

    @property
    def model(self) -> ModelInfo:
        """Load the model if it is not yet loaded and return what it is; raises ModelError or EngineError."""
        if self._supervisor is None:
            # This thread spawns every child and outlives them all: Linux ties a child to the thread that made it.
            self._supervisor = threading.Thread(target=self._supervise, name="engine", daemon=True)
            self._supervisor.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        assert self._info is not None
        return self._info

    @property
    def pid(self) -> int | None:
        """Return the child's process id, or None while there is none."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    def submit(self, requests: Sequence[Work]) -> None:
        """Queue requests, starting the engine if need be; raises ModelError or EngineError."""
        _ = self.model
        with self._lock:
            for request in requests:
                if request.id in self._outstanding:
                    raise ValueError(f"request {request.id!r} is under way already")
                self._outstanding[request.id] = request
            self._feed()

    def poll(self, timeout_s: float) -> Iterable[Event]:
        """Return what happened, waiting up to `timeout_s`; raises EngineError once the engine is given up."""
        events: list[Event] = []
        with contextlib.suppress(queue.Empty):
            event = self._events.get(timeout=timeout_s)
            while True:
                if event is not None:
                    events.append(event)
                event = self._events.get_nowait()
        if not events and self._error is not None:
            raise self._error
        return events

    def cancel(self, ids: Sequence[str]) -> None:
        """Give up requests; each ends in a `Failure` with code `cancelled`."""
        with self._lock:
            unsent = [name for name in ids if name in self._outstanding and name not in self._sent]
            for name in unsent:
                del self._outstanding[name]
                self._forgive(name)
                self._events.put(Failure(name, "cancelled", "cancelled"))
            sent = [name for name in ids if name in self._sent]
            if sent:
                self._send({"op": "cancel", "ids": sent})

    def close(self) -> None:
        """End the child, by force if it takes longer than two seconds."""
        with self._lock:
            self._closing = True
            child = self._child
            self._send({"op": "close"})
            self._outbox.put(None)
        if child is not None:
            _end(child, CLOSE_LIMIT_S)
        if self._supervisor is not None:
            self._supervisor.join(CLOSE_LIMIT_S)
        if self._log_is_own and self._log_path is not None:
            self._log_path.unlink(missing_ok=True)

    def kill(self) -> None:
        """End the child at once."""
        self._closing = True
        child = self._child
        if child is not None:
            _end(child, 0.0)

    # -- the supervisor's thread -------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        try:
            while not self._closing:
                child = self._spawn()
                self._converse(child)
                self._outbox.put(None)
                _end(child, 1.0)
                if self._closing or not self._bury(child):
                    break
        except Exception as error:
            self._give_up(EngineError(f"the engine could not be run: {error}"))
        finally:
            if self._info is None and self._error is None:
                self._error = EngineError("the engine was closed before it was ready")
            self._ready.set()

    def _spawn(self) -> subprocess.Popen[bytes]:
        environment = dict(os.environ)
        package_root = str(Path(augtui.__file__).parent.parent)
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([package_root, inherited] if inherited else [package_root])
        environment["GGML_NO_BACKTRACE"] = "1"  # else an abort starts a debugger
        # By default OpenMP's threads spin for milliseconds at every barrier: with anything else running on the machine
        # they wait for a thread that is not running, and generation is several times slower (docs/performance.md).
        environment.setdefault("GOMP_SPINCOUNT", "5000")
        environment["AUGTUI_ENGINE_PARENT"] = str(os.getpid())
        with self._open_log() as log:
            child = subprocess.Popen(
                self._command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,  # ctrl-c is for the parent, which ends the child in its own time
            )
        assert child.stdin is not None
        with self._lock:
            self._child = child
            self._serving = False
            self._outbox = queue.SimpleQueue()
            threading.Thread(target=_write, args=(child.stdin, self._outbox), name="engine input", daemon=True).start()
            if self._closing:  # meanwhile, by a thread that saw no child to end
                child.kill()
            else:
                self._send({"op": "load", "path": str(self._path), "options": self._options.pack()})
        return child

    def _open_log(self) -> IO[bytes]:
        if self._log_path is None:
            import tempfile

            handle, name = tempfile.mkstemp(prefix="augtui-engine-", suffix=".log")
            self._log_path = Path(name)
            return os.fdopen(handle, "wb")
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        # The first child begins the log anew: what a former process left there would be taken for its last words.
        return self._log_path.open("wb" if self._child is None else "ab")

    def _converse(self, child: subprocess.Popen[bytes]) -> None:
        """Read what the child says until it ends, or is silent or stuck for too long."""
        assert child.stdout is not None
        buffer = bytearray()
        heard = moved = time.monotonic()
        steps = -1
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while True:
                if selector.select(timeout=min(1.0, self._beat_limit_s / 4)):
                    chunk = os.read(child.stdout.fileno(), 1 << 16)
                    if not chunk:
                        return
                    heard = time.monotonic()
                    buffer += chunk
                    *lines, rest = buffer.split(b"\n")
                    buffer = bytearray(rest)
                    for line in lines:
                        message = wire.decode(bytes(line))
                        if message["event"] != "beat" or message["steps"] != steps:
                            moved = heard
                        steps = message.get("steps", steps)
                        self._hear(message)
                now = time.monotonic()
                limit = self._beat_limit_s if self._serving else max(START_LIMIT_S, self._beat_limit_s)
                stuck = self._serving and self._sent and now - moved > STALL_LIMIT_S
                # After a stop of this process itself (ctrl-z), what the child said meanwhile is still to be read.
                if (now - heard > limit or stuck) and not selector.select(timeout=0):
                    child.kill()
                    return

    def _hear(self, message: dict[str, Any]) -> None:
        kind = message["event"]
        if kind == "beat":
            return
        if kind == "refused":
            self._give_up(self._refusal(message))
            return
        if kind == "admitted":
            with self._lock:
                self._admitted = set(message["ids"])
            return
        event = wire.unpack_event(message)
        if isinstance(event, ModelInfo):
            with self._lock:
                self._info = event
                self._serving = True
                self._ready.set()
                self._feed()
            return
        if not isinstance(event, Progress):
            with self._lock:
                if self._outstanding.pop(event.id, None) is None:
                    return
                self._sent.discard(event.id)
                self._admitted.discard(event.id)
                self._forgive(event.id)
                self._deaths = 0
                self._finished += 1
                self._feed()
        self._events.put(event)

    def _bury(self, child: subprocess.Popen[bytes]) -> bool:
        """Decide what a death means; returns whether to start again."""
        if self._error is not None:
            return False
        reason = self._obituary(child)
        if self._info is None:
            self._give_up(ModelError(f"{self._path}: llama.cpp could not load this model ({reason})", hint=DAMAGED))
            return False
        with self._lock:
            self._deaths += 1
            # Where nothing was in a decode, reading the requests is what it died of: any that it had may be to blame.
            suspected = self._admitted or self._sent
            suspects = [name for name in self._outstanding if name in suspected]
            if len(suspects) == 1:
                name = suspects[0]
                self._kills[name] = self._kills.get(name, 0) + 1
                if self._kills[name] >= LONELY_KILLS:
                    del self._outstanding[name]
                    self._forgive(name)
                    self._set_aside += 1
                    self._deaths = 0
                    detail = f"the engine died {LONELY_KILLS} times on this record ({reason})"
                    self._events.put(Failure(name, "engine died", detail))
                    suspects = []
            self._suspects += [name for name in suspects if name not in self._suspects]
            requeued = len(self._sent & self._outstanding.keys())
            self._sent.clear()
            self._admitted.clear()
            self._serving = False
            if not self._finished and self._set_aside >= SET_ASIDE_IN_A_ROW:
                self._give_up(EngineError(f"the engine dies on every record ({reason})", hint="Try another model."))
                return False
            if self._deaths >= DEATHS_IN_A_ROW:
                died = f"the engine died {self._deaths} times in a row ({reason})"
                self._give_up(EngineError(died, hint=self._see()))
                return False
        self._events.put(Restarted(reason, requeued))
        time.sleep(min(2.0, 0.1 * 2**self._deaths))
        return True

    def _feed(self) -> None:
        """Send what the child has room for; while there are suspects, one of them at a time and nothing else."""
        if not self._serving:
            return
        if self._suspects:
            if self._sent:
                return
            chosen = [self._suspects[0]]
        else:
            room = self._options.slots * WINDOW - len(self._sent)
            chosen = []
            for name in self._outstanding:
                if len(chosen) >= room:
                    break
                if name not in self._sent:
                    chosen.append(name)
        if chosen:
            self._sent.update(chosen)
            packed = [wire.pack_work(self._outstanding[name]) for name in chosen]
            self._send({"op": "submit", "requests": packed})

    def _forgive(self, name: str) -> None:
        if name in self._suspects:
            self._suspects.remove(name)

    def _send(self, message: dict[str, Any]) -> None:
        self._outbox.put(wire.encode(message))

    def _give_up(self, error: Exception) -> None:
        with self._lock:
            if self._error is None:
                self._error = error
        self._ready.set()
        self._events.put(None)

    def _refusal(self, message: dict[str, Any]) -> Exception:
        if message["kind"] == "TemplateError":
            return ModelError(f"{self._path}: {message['message']}", hint="Try another model.")
        if message["message"] == NO_MEMORY:
            return ModelError(
                f"{self._path}: there is no memory for this model's context",
                hint="Try fewer --slots or a smaller model.",
            )
        if message["kind"] == "LoadError":
            return ModelError(f"{self._path}: llama.cpp refuses this model: {self._last_words()}", hint=DAMAGED)
        return EngineError(f"the engine could not start: {message['message']}", hint=self._see())

    def _obituary(self, child: subprocess.Popen[bytes]) -> str:
        code = child.returncode
        how = f"exit code {code}" if code is None or code >= 0 else signal.Signals(-code).name
        words = self._last_words()
        return f"{how}: {words}" if words else how

    def _last_words(self) -> str:
        """Return the log's last line that tells of an error, without control characters."""
        try:
            assert self._log_path is not None
            with self._log_path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
                lines = log.read().decode("utf-8", "replace").splitlines()
        except (OSError, AssertionError):
            return ""
        signs = ("error", "assert", "failed", "what()")
        telling = [line for line in lines if any(sign in line.lower() for sign in signs)]
        # llama.cpp closes with a general "failed to load model"; the line before it names the fault.
        specific = [line for line in telling if "failed to load model" not in line and "exception loading" not in line]
        for line in reversed(specific or telling):
            return "".join(char for char in line.strip() if char.isprintable())[:300]
        return ""

    def _see(self) -> str | None:
        return f"The engine's log is {self._log_path}." if self._log_path else None


DAMAGED = "The file may be damaged or cut short: fetch it again, or try another model."
NO_MEMORY = "no memory for the context"


def _write(target: IO[bytes], lines: queue.SimpleQueue[bytes | None]) -> None:
    """Write to a child in a thread of its own, up to the first None: one that does not read must hold up nobody."""
    # A child that just died is noticed by its supervisor; what was sent to it is queued again there.
    with contextlib.suppress(OSError), target:
        while (line := lines.get()) is not None:
            while line:
                line = line[os.write(target.fileno(), line) :]


def _end(child: subprocess.Popen[bytes], patience_s: float) -> None:
    """Wait for a child, then end it, first politely if there is patience."""
    if patience_s > 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience_s)
            return
    child.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(5.0)
