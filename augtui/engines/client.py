"""A local engine as its users see it: a supervised child process.

A crash, a hang or the end of memory takes the child only. It is started again and what was in flight is queued again;
which of it the death may be blamed on, and is set aside at last, is for `augtui.engines.suspects` to say.
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
from augtui.engines import running, wire
from augtui.engines.base import Event, Failure, ModelInfo, Partial, Progress, Restarted, Work
from augtui.engines.events import Events
from augtui.engines.options import EngineOptions, Library
from augtui.engines.shards import files_of
from augtui.engines.suspects import Suspects
from augtui.errors import EngineError, ModelError

BEAT_LIMIT_S = 10.0
"""A child that says nothing for so long is taken for dead; it beats twice a second."""
START_LIMIT_S = 60.0
"""The same until it serves: a cold disk or a virus scanner may hold up the loading of the library."""
LOAD_BYTES_PER_S = 10e6
"""A model must be loaded `START_LIMIT_S` and the time to read its file at this speed after the start."""
STALL_LIMIT_S = 600.0
"""A child that beats but finishes no step for so long, with work to do, is taken for hung."""
KNOWN_STALL_LIMIT_S, SLOWEST_STEPS = 60.0, 20
"""The same once it has shown how long its steps take: for so long, and for so many of the slowest of them."""
STOPPED_LIMIT_S = 2.0
"""A child that somebody stops is let go on at once; one that stays stopped for so long all the same is replaced."""
TICK_S = 0.5
"""How often a silent child is looked at."""
CLOSE_LIMIT_S = 2.0
LOAD_DEATHS = 2
"""So many faults while it is first loaded, and a model is taken for damaged: one may be a chance."""
LOAD_KILLS = 3
"""So many signals from outside at that time, and the engine is given up."""
PATIENCE_S = 60.0
"""An engine that dies again and again is started again for so long without any finished request in between."""
FUTILE_DEATHS = 5
"""And at least so many times."""
LONGEST_WAIT_S = 5.0
"""Before such a start; the first one comes at once."""
SET_ASIDE_IN_A_ROW = 3
"""So many requests condemned by an engine that never finished one, and it is the model that is to blame."""
MOST_SET_ASIDE_IN_A_ROW = 8
"""The same for an engine that did finish some."""
OUTSIDE = frozenset(
    getattr(signal, name)
    for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGXCPU")
    if hasattr(signal, name)
)
"""Signals that the system or a person sends; all others are faults of the child's own."""
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
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Prepare an engine for `model_path`; nothing is started yet. `command` replaces the worker (for tests)."""
        self._path = model_path
        self._options = options or EngineOptions()
        self._log_path = log_path
        self._log_is_own = log_path is None
        self._command = list(command or [sys.executable, "-P", "-m", "augtui.engines.worker"])
        self._beat_limit_s = beat_limit_s
        self._patience_s = patience_s
        self._lock = threading.RLock()
        self._events = Events()
        self._outstanding: dict[str, Work] = {}
        self._sent: set[str] = set()
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._admitted: set[str] = set()
        self._cancelled: set[str] = set()
        self._suspects = Suspects()
        self._condemned: list[Failure] = []
        self._deaths = 0
        self._dying_since = 0.0
        self._load_deaths = 0
        self._finished = 0
        self._moved = 0.0
        self._slowest_s = 0.0
        self._sentence: str | None = None
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
        events = self._events.take(timeout_s)
        if not events and self._error is not None:
            raise self._error
        return events

    def cancel(self, ids: Sequence[str]) -> None:
        """Give up requests; each ends in a `Failure` with code `cancelled`."""
        with self._lock:
            unsent = [name for name in ids if name in self._outstanding and name not in self._sent]
            for name in unsent:
                self._drop(name)
            sent = [name for name in ids if name in self._sent]
            if sent:
                self._cancelled.update(sent)
                self._send({"op": "cancel", "ids": sent})
            if not self._outstanding:
                self._convict()
            self._feed()

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
            with running.announced(self._path, self._options.library) as announcement:
                while not self._closing:
                    child = self._spawn()
                    announcement.tell(child.pid)
                    self._sentence = self._converse(child)
                    if self._sentence is not None:
                        child.kill()
                    self._outbox.put(None)
                    _end(child, 1.0)
                    announcement.tell(None)
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

    def _converse(self, child: subprocess.Popen[bytes]) -> str | None:
        """Hear the child until it ends; returns why it must be ended where it does not by itself."""
        assert child.stdout is not None
        buffer = bytearray()
        started = heard = self._moved = time.monotonic()
        steps = -1
        tick = min(TICK_S, self._beat_limit_s / 4)
        stopped: float | None = None
        found = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while True:
                if selector.select(timeout=tick):
                    chunk = os.read(child.stdout.fileno(), 1 << 16)
                    if not chunk:
                        return None
                    heard = time.monotonic()
                    if heard - found > tick / 2:  # it does more than speak once between two stops
                        stopped = None
                    buffer += chunk
                    *lines, rest = buffer.split(b"\n")
                    buffer = bytearray(rest)
                    for line in lines:
                        try:
                            message = wire.decode(bytes(line))
                            if message["event"] != "beat" or message["steps"] != steps:
                                if self._serving and self._sent:
                                    self._slowest_s = max(self._slowest_s, heard - self._moved)
                                self._moved = heard
                            steps = message.get("steps", steps)
                            self._hear(message)
                        except (ValueError, KeyError, TypeError):  # its memory is damaged
                            return "it no longer speaks sense"
                elif _is_stopped(child):  # by somebody's SIGSTOP
                    found = time.monotonic()
                    stopped = stopped or found
                    if found - stopped > STOPPED_LIMIT_S:
                        return STOPPED
                    child.send_signal(signal.SIGCONT)
                # After a stop of this process itself (ctrl-z), what the child said meanwhile is still to be read.
                hung = self._hung(started, heard)
                if hung is not None and not selector.select(timeout=0):
                    return hung

    def _hung(self, started: float, heard: float) -> str | None:
        """Return why the child is taken for hung, by when it was started and last spoke (monotonic)."""
        now = time.monotonic()
        limit = self._beat_limit_s if self._serving else max(START_LIMIT_S, self._beat_limit_s)
        if now - heard > limit:
            return f"no sign of life for {limit:g} s"
        if self._serving:
            longest = max(KNOWN_STALL_LIMIT_S, SLOWEST_STEPS * self._slowest_s) if self._finished else STALL_LIMIT_S
            longest = min(longest, STALL_LIMIT_S)
            return f"no progress for {longest:.0f} s" if self._sent and now - self._moved > longest else None
        longest = START_LIMIT_S + self._model_bytes() / LOAD_BYTES_PER_S
        return f"not loaded after {longest:.0f} s" if now - started > longest else None

    def _model_bytes(self) -> int:
        try:
            if not self._path.is_dir():
                return sum(file.stat().st_size for file in files_of(self._path))
            return sum(file.stat().st_size for file in self._path.iterdir())
        except OSError:
            return 0

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
        if not isinstance(event, Progress | Partial):
            with self._lock:
                if self._outstanding.pop(event.id, None) is None:
                    return
                self._sent.discard(event.id)
                self._admitted.discard(event.id)
                self._cancelled.discard(event.id)
                self._suspects.release(event.id)
                if not isinstance(event, Failure):
                    self._deaths = 0
                    self._finished += 1
                if not isinstance(event, Failure) or not self._outstanding:
                    self._convict()
                self._feed()
        self._events.put(event)

    def _bury(self, child: subprocess.Popen[bytes]) -> bool:
        """Decide what a death means; returns whether to start again."""
        if self._error is not None:
            return False
        fault = self._is_fault(child)
        reason = self._obituary(child)
        if self._info is None:
            return self._bury_unborn(reason, fault)
        with self._lock:
            for name in self._cancelled & self._outstanding.keys():
                self._drop(name)
            # Where nothing was in a decode, reading the requests is what it died of: any that it had may be to blame.
            present = self._admitted or self._sent
            narrowed, condemned = self._suspects.blame(
                [name for name in self._outstanding if name in present], self._way(child), fault=fault
            )
            if condemned is not None:
                del self._outstanding[condemned]
                detail = f"the engine dies of this record alone ({reason})"
                self._condemned.append(Failure(condemned, "engine died", detail))
            requeued = len(self._sent & self._outstanding.keys())
            self._sent.clear()
            self._admitted.clear()
            self._serving = False
            futile = not (fault and narrowed)
            hopeless = self._hopeless(reason, fault=fault, narrowed=narrowed)
            if hopeless is not None:
                self._give_up(hopeless)
                return False
            if not self._outstanding:
                self._convict()
        self._events.put(Restarted(reason, requeued))
        if futile:
            self._pause()
        return True

    def _bury_unborn(self, reason: str, fault: bool) -> bool:
        """Decide what a death before the model was ever loaded means; returns whether to start again."""
        self._load_deaths += 1
        if reason.startswith(TEMPLATE_HANGS):
            self._give_up(ModelError(f"{self._path}: {reason}", hint="Try another model."))
            return False
        if self._load_deaths < (LOAD_DEATHS if fault else LOAD_KILLS) and self._sentence is None:
            self._events.put(Restarted(reason, 0))
            return True
        if fault:
            library = LIBRARIES[self._options.library]
            self._give_up(ModelError(f"{self._path}: {library} could not load this model ({reason})", hint=DAMAGED))
        else:
            self._give_up(EngineError(f"the engine was ended while it loaded the model ({reason})", hint=NO_ROOM))
        return False

    def _way(self, child: subprocess.Popen[bytes]) -> str:
        """Return what kind of death it was, without its particulars."""
        return self._sentence or str(child.returncode)

    def _is_fault(self, child: subprocess.Popen[bytes]) -> bool:
        """Return whether the child died of itself rather than by a signal from outside."""
        if self._sentence is not None:
            return self._sentence != STOPPED
        return child.returncode is None or -child.returncode not in OUTSIDE

    def _hopeless(self, reason: str, *, fault: bool, narrowed: bool) -> Exception | None:
        """Return the error to give up with, if another start is not worth it."""
        now = time.monotonic()
        self._deaths += 1
        if self._deaths == 1:
            self._dying_since = now
        enough = self._deaths >= FUTILE_DEATHS and now - self._dying_since >= self._patience_s
        # Nobody is condemned by an engine that does not finish anything else: then it is not the records.
        most = MOST_SET_ASIDE_IN_A_ROW if self._finished else SET_ASIDE_IN_A_ROW
        if len(self._condemned) >= most and (fault or enough):
            return EngineError(f"the engine dies on every record ({reason})", hint="Try another model.")
        if narrowed or not enough:
            return None
        hint = self._see() if fault else NO_ROOM
        return EngineError(f"the engine died {self._deaths} times in a row ({reason})", hint=hint)

    def _pause(self) -> None:
        """Wait before a start that may be futile, longer each time, but not once it is to be closed."""
        if self._deaths < 2:
            return
        until = time.monotonic() + min(LONGEST_WAIT_S, 0.1 * 2 ** min(self._deaths - 2, 10))
        while not self._closing and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def _convict(self) -> None:
        """Report the condemned: the engine has shown that it works for others, or there are no others."""
        for failure in self._condemned:
            self._events.put(failure)
        self._condemned.clear()

    def _drop(self, name: str) -> None:
        """End a request that is with no child as cancelled."""
        del self._outstanding[name]
        self._cancelled.discard(name)
        self._suspects.release(name)
        self._events.put(Failure(name, "cancelled", "cancelled"))

    def _feed(self) -> None:
        """Send what the child has room for; while there are suspects, those on trial and nothing else."""
        if not self._serving:
            return
        if self._suspects.trial:
            if self._sent:
                return
            chosen = list(self._suspects.trial)
        else:
            room = self._options.slots * WINDOW - len(self._sent)
            chosen = []
            for name in self._outstanding:
                if len(chosen) >= room:
                    break
                if name not in self._sent:
                    chosen.append(name)
        if chosen:
            if not self._sent:
                self._moved = time.monotonic()  # until now it had nothing to get on with
            self._sent.update(chosen)
            packed = [wire.pack_work(self._outstanding[name]) for name in chosen]
            self._send({"op": "submit", "requests": packed})

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
        if message["kind"] == "HeaderError":
            return ModelError(f"{self._path}: augtui refuses this model: {message['message']}", hint=DAMAGED)
        if message["message"] == NO_MEMORY:
            return ModelError(
                f"{self._path}: there is no memory for this model's context",
                hint="Try fewer --slots or a smaller model.",
            )
        if message["kind"] == "AdapterError":
            return ModelError(message["message"], hint="Is it a LoRA adapter in GGUF, made for this model?")
        if message["kind"] == "LoadError" and self._options.library == "mlx":
            missing = "pip install" in message["message"]
            return ModelError(f"{self._path}: {message['message']}", hint=None if missing else MLX_FOLDER)
        if message["kind"] == "LoadError":
            return ModelError(f"{self._path}: llama.cpp refuses this model: {self._last_words()}", hint=DAMAGED)
        return EngineError(f"the engine could not start: {message['message']}", hint=self._see())

    def _obituary(self, child: subprocess.Popen[bytes]) -> str:
        code = child.returncode
        if code == -signal.SIGPROF:  # see augtui.engines.chat
            return TEMPLATE_HANGS
        how = self._sentence or (f"exit code {code}" if code is None or code >= 0 else signal.Signals(-code).name)
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


LIBRARIES: dict[Library, str] = {"llama": "llama.cpp", "mlx": "MLX"}
MLX_FOLDER = "An MLX model is a folder with config.json, tokenizer.json and model*.safetensors."
DAMAGED = "The file may be damaged or cut short: fetch it again, or try another model."
NO_ROOM = "Perhaps the system has no memory left: try fewer --slots or a smaller model."
STOPPED = "it was stopped"
TEMPLATE_HANGS = "the model's chat template takes too long"
NO_MEMORY = "no memory for the context"


def _write(target: IO[bytes], lines: queue.SimpleQueue[bytes | None]) -> None:
    """Write to a child in a thread of its own, up to the first None: one that does not read must hold up nobody."""
    # A child that just died is noticed by its supervisor; what was sent to it is queued again there.
    with contextlib.suppress(OSError), target:
        while (line := lines.get()) is not None:
            while line:
                line = line[os.write(target.fileno(), line) :]


def _is_stopped(child: subprocess.Popen[bytes]) -> bool:
    """Return whether the child is held by SIGSTOP, where the system tells; it is not reaped."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13: silence will tell
        return False
    with contextlib.suppress(OSError):
        return os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    return False


def _end(child: subprocess.Popen[bytes], patience_s: float) -> None:
    """Wait for a child, then end it, first politely if there is patience."""
    if patience_s > 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience_s)
            return
    child.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(5.0)
