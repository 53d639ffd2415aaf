"""A download from a hub in a child process: this one watches, and starts it anew where it stands still.

The hub's client logs to the terminal, retries for minutes and can stand still; in a process of its own it can be ended
at any moment, and a part that came is never lost.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import augtui
from augtui.engines import wire
from augtui.engines.worker import PARENT
from augtui.errors import AugtuiError, ExitCode, ModelError, OutputError
from augtui.models import cache, offline

STALL_S = 30.0
"""A download without a byte for so long is ended and begun where it stopped."""
BEAT_LIMIT_S = 30.0
"""The same for a child that says nothing at all; it beats twice a second."""
FUTILE_STARTS = 4
"""So many starts in a row without a byte between them, and it is given up."""
WAIT_TOLD_S = 1.0
"""A user is told of another process's lock after so long."""
TAIL_BYTES = 4096
TICK_S = 0.25


@dataclass(frozen=True, slots=True)
class Planned:
    """What will be fetched: files of `total` bytes, of which `have` are here."""

    repo: str
    commit: str
    quantization: str | None
    files: tuple[str, ...]
    total: int
    have: int


@dataclass(frozen=True, slots=True)
class Fetching:
    """So many of all bytes are here."""

    bytes: int
    total: int


@dataclass(frozen=True, slots=True)
class Verifying:
    """So many of a file's bytes were hashed."""

    bytes: int
    total: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a user may want to know."""

    text: str


Event = Planned | Fetching | Verifying | Note
See = Callable[[Event], None]


class NoGgufError(ModelError):
    """The repository has a checkpoint in safetensors and no GGUF file."""


class MissingError(ModelError):
    """The hub has no such repository, revision or file."""


class UnreachableError(ModelError):
    """No hub can be reached."""


class StalledError(ModelError):
    """The download stood still, or its process died, again and again."""


class StoppedError(AugtuiError):
    """The download was stopped on request; what came is kept."""

    exit_code = ExitCode.INTERRUPTED


class Download:
    """One order, through as many children as it takes."""

    def __init__(
        self,
        order: dict[str, Any],
        see: See = lambda event: None,
        stall_s: float = STALL_S,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Fetch `order` (the fields of `augtui.models.listing.Order`); `stop` is asked several times a second."""
        self._order = order
        self._stop = stop
        self._see = see
        self._stall_s = stall_s
        self._phase = "starting"
        self._total = 0
        self._bytes = 0
        self._moved = 0.0
        self._told_waiting = False

    def run(self) -> dict[str, Any]:
        """Return the facts of the files that are in the cache, proven.

        Raises ModelError with the reason in one line (NoGgufError, MissingError, UnreachableError, StalledError),
        OutputError where the disk is full or cannot be written, StoppedError. KeyboardInterrupt ends the child and
        passes.
        """
        futile = 0
        while True:
            before = self._bytes
            with tempfile.TemporaryFile(prefix="augtui-pull-") as log:
                ended = self._converse(log)
                if isinstance(ended, dict):
                    return self._judge(ended)
                words = _last_words(log)
            futile = 1 if self._bytes > before else futile + 1
            if futile >= FUTILE_STARTS:
                hint = "Run the same command again: it goes on where it stopped." + (f" ({words})" if words else "")
                raise StalledError(f"the download of {self._order['repo']} {ended}", hint=hint)
            self._see(Note(f"the download {ended}; it goes on where it stopped"))

    def _converse(self, log: IO[bytes]) -> dict[str, Any] | str:
        """Hear one child until it ends; returns its last word, or why there is none."""
        with _child(self._order, log) as child:
            assert child.stdout is not None
            buffer = bytearray()
            self._moved = heard = time.monotonic()
            self._phase = "starting"
            with selectors.DefaultSelector() as selector:
                selector.register(child.stdout, selectors.EVENT_READ)
                while True:
                    if selector.select(timeout=min(TICK_S, self._stall_s / 4)):
                        chunk = os.read(child.stdout.fileno(), 1 << 16)
                        if not chunk:
                            return f"died (exit code {child.wait()})"
                        heard = time.monotonic()
                        *lines, rest = (buffer + chunk).split(b"\n")
                        buffer = bytearray(rest)
                        for line in lines:
                            message = wire.decode(bytes(line))
                            if message["event"] in ("done", "failed"):
                                return message
                            self._hear(message)
                    if self._stop():
                        raise StoppedError(f"the download of {self._order['repo']} was stopped")
                    now = time.monotonic()
                    if now - heard > BEAT_LIMIT_S:
                        return f"gave no sign of life for {BEAT_LIMIT_S:g} s"
                    if self._phase == "waiting" and now - self._moved > WAIT_TOLD_S and not self._told_waiting:
                        self._told_waiting = True
                        self._see(Note("another process fetches it; waiting for that"))
                    if self._phase == "fetching" and now - self._moved > self._stall_s:
                        return f"stood still for {self._stall_s:g} s"

    def _hear(self, message: dict[str, Any]) -> None:
        kind = message["event"]
        if kind == "plan":
            self._order["commit"] = message["commit"]
            self._total = message["total"]
            self._see(
                Planned(
                    message["repo"], message["commit"], message["quantization"], tuple(message["files"]),
                    message["total"], message["have"],
                )
            )  # fmt: skip
        elif kind == "phase":
            self._phase = message["phase"]
            self._moved = time.monotonic()
        elif kind == "progress" or (kind == "beat" and self._phase == "waiting"):
            if message["bytes"] != self._bytes:
                self._moved = self._moved if self._phase == "waiting" else time.monotonic()
                self._bytes = message["bytes"]
                self._see(Fetching(self._bytes, self._total))
        elif kind == "verified":
            self._see(Verifying(message["bytes"], message["total"]))
        elif kind == "retry":
            self._moved = time.monotonic() + message["wait_s"]
            later = f"; again in {message['wait_s']:.0f} s" if message["wait_s"] >= 1 else ""
            self._see(Note(f"{message['reason']}{later}"))
        elif kind == "note":
            self._see(Note(message["text"]))

    def _judge(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["event"] == "done":
            return message
        text, hint = message["message"], message["hint"]
        kinds: dict[str, type[AugtuiError]] = {
            "disk": OutputError, "missing": MissingError, "offline": MissingError, "no gguf": NoGgufError,
            "network": UnreachableError,
        }  # fmt: skip
        raise kinds.get(message["kind"], ModelError)(text, hint=hint)


@contextlib.contextmanager
def _child(order: dict[str, Any], log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a child at work on an order; it ends with the block."""
    environment = dict(os.environ)
    root = str(Path(augtui.__file__).parent.parent)
    inherited = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([root, inherited] if inherited else [root])
    environment[PARENT] = str(os.getpid())
    environment["HF_HUB_DISABLE_XET"] = "1"  # it cannot be resumed by offset, and may stand still for ever
    environment["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    environment["HF_HUB_DISABLE_TELEMETRY"] = "1"
    environment["HF_HUB_CACHE"] = str(cache.folder())
    environment.pop("HF_DEBUG", None)  # it would write every request to the log
    if offline.hub():
        environment["HF_HUB_OFFLINE"] = "1"
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "augtui.models.fetcher"],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        start_new_session=True,  # ctrl-c is for the parent
    )
    assert child.stdin is not None and child.stdout is not None
    try:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(wire.encode(order))
        yield child
    finally:
        child.kill()  # what it wrote is written: parts have no buffer
        child.wait()
        child.stdin.close()
        child.stdout.close()


def _last_words(log: IO[bytes]) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
    lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    # Without queries: an address of the hub's storage is signed there.
    last = re.sub(r"\?\S+", "?…", lines[-1]) if lines else ""
    return "".join(char for char in last if char.isprintable())[:300]
