"""The reading side of an import: rows found, named, their language told; in this process or in one of its own.

On a machine with two cores or more a large file is read by a child process while this one writes the database. The
child ends with its parent, whose end of the pipe is then gone.
"""

from __future__ import annotations

import gc
import marshal
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import augtui
from augtui.domain.records import Quarantined
from augtui.errors import InputError
from augtui.pipelines import collect, languages
from augtui.pipelines.turns import Choice
from augtui.store import db
from augtui.store.imports import PreparedRecord, prepared

LARGE: Final = 8 * 2**20
"""Files from so many bytes are read by a child: its start takes as long as to read a few MB."""
FRAME_ROWS: Final = 500
_LENGTH: Final = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read: see `collect.read`."""

    field: str | None = None
    format: str | None = None
    shape: str | None = None
    choice: Choice = "first"
    encoding: str | None = None
    limit: int | None = None


Outcome = PreparedRecord | Quarantined


def outcomes(path: Path, name: str, reading: Reading) -> Iterator[Outcome]:
    """Yield what becomes of each row of a file that is called `name`. Raises InputError."""
    if path.stat().st_size < LARGE or (os.cpu_count() or 1) < 2:
        yield from _read(path, name, reading)
        return
    with _child(path, name, reading) as child:
        yield from _received(cast(BinaryIO, child.stdout), child, name)


def _read(path: Path, name: str, reading: Reading) -> Iterator[Outcome]:
    storable = db.storable(name)
    for outcome in collect.read(path, **asdict(reading)):
        if isinstance(outcome, Quarantined):
            yield outcome
        else:
            yield prepared(outcome, languages.detect(outcome.instruction), storable)


@contextmanager
def without_collector() -> Iterator[None]:
    """Let the garbage collector rest: rows hold no cycles, and it would go through a batch of them again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


# ---------------------------------------------------------------------------------------------- the two ends


@contextmanager
def _child(path: Path, name: str, reading: Reading) -> Iterator[subprocess.Popen[bytes]]:
    environment = dict(os.environ)
    package_root = str(Path(augtui.__file__).parent.parent)
    inherited = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([package_root, inherited] if inherited else [package_root])
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # ctrl-c is for the parent
    )
    try:
        assert child.stdin is not None
        with suppress(BrokenPipeError):
            child.stdin.write(marshal.dumps((os.fspath(path), name, asdict(reading))))
            child.stdin.close()
        yield child
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def _received(pipe: BinaryIO, child: subprocess.Popen[bytes], name: str) -> Iterator[Outcome]:
    """Yield the outcomes that the child found. Raises InputError: the child's, or its sudden end."""
    while True:
        head = pipe.read(_LENGTH.size)
        length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
        data = pipe.read(length)
        # A child that is killed may have sent a part of its last piece.
        if not length or len(data) < length:
            status = child.wait()
            how = f"by signal {-status}" if status < 0 else f"with status {status}"
            raise InputError(
                f"{name} could not be read to its end: the process that read it ended {how}",
                hint="What was imported stays; run the same command again to go on.",
            )
        kind, content = marshal.loads(data)
        if kind == "end":
            return
        if kind == "refused":
            raise InputError(content[0], hint=content[1])
        for row in content:
            yield row if len(row) > 3 else Quarantined(*row)


def _send(pipe: BinaryIO, kind: str, content: Any) -> None:
    data = marshal.dumps((kind, content))
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def _serve(source: BinaryIO, pipe: BinaryIO) -> None:
    path, name, reading = marshal.loads(source.read())
    frame: list[Any] = []
    size = 0
    try:
        for outcome in _read(Path(path), name, Reading(**reading)):
            row = outcome if isinstance(outcome, tuple) else (outcome.line, outcome.reason, outcome.excerpt)
            frame.append(row)
            size += len(row[1]) + len(row[2] or "")
            if len(frame) >= FRAME_ROWS or size > 2**20:
                _send(pipe, "rows", frame)
                frame, size = [], 0
    except InputError as error:
        _send(pipe, "rows", frame)
        _send(pipe, "refused", (error.message, error.hint))
        return
    _send(pipe, "rows", frame)
    _send(pipe, "end", None)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with without_collector(), suppress(BrokenPipeError):
        _serve(sys.stdin.buffer, sys.stdout.buffer)
    # What is still buffered has no reader any more; the interpreter would try again, and say so.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
