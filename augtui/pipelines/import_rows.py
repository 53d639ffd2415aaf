"""The reading side of an import: rows found, named, their language told; in this process or in one of its own.

A large file is read by a child process while this one writes the database. The child ends with its parent, whose end
of the pipe is then gone.
"""

from __future__ import annotations

import gc
import marshal
import os
import signal
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, cast

import augtui
from augtui.domain.records import Quarantined
from augtui.errors import InputError
from augtui.pipelines import collect, languages
from augtui.pipelines.readahead import ReadAhead
from augtui.pipelines.turns import Choice
from augtui.store import db
from augtui.store.imports import Batch, place_row

LARGE: Final = 8 * 2**20
"""Files from so many bytes are read by a child: its start takes as long as to read a few MB."""
BATCH_ROWS: Final = 10_000
BATCH_CHARACTERS: Final = 16 * 2**20
FRAME_ROWS: Final = 1_000
FRAME_CHARACTERS: Final = 2**20
"""A child's batches are smaller, so that this process seldom waits for one."""
READY_S: Final = 0.25
"""How long a batch may be on its way, in seconds, that counts as being at hand."""
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
    response: str | None = None


class Batches(Protocol):
    """The batches of a file, in order."""

    def next(self) -> Batch | None:
        """Return the next batch, None after the last one. Raises InputError, after what was read before it."""

    def ready(self) -> Batch | None:
        """Return the next batch if it is at hand, so that a transaction may stay open for it."""


@contextmanager
def batches(path: Path, name: str, reading: Reading, skip: int = 0) -> Iterator[Batches]:
    """Open the batches of a file that is called `name`, without its first `skip` outcomes. Raises InputError."""
    if path.stat().st_size < LARGE:
        yield _Here(_read(path, name, reading, skip, BATCH_ROWS, BATCH_CHARACTERS))
        return
    with _child(path, name, reading, skip) as child:
        yield child


def _read(path: Path, name: str, reading: Reading, skip: int, rows: int, characters: int) -> Iterator[Batch]:
    """Yield batches of `rows` outcomes, or of fewer with `characters` of text."""
    storable = db.storable(name)
    detect = languages.detect
    batch, count, size = Batch(), 0, 0
    outcomes = collect.read_named(path, **asdict(reading))
    try:
        for outcome in outcomes:
            if skip:
                skip -= 1
                continue
            count += 1
            if isinstance(outcome, Quarantined):
                batch.quarantined.append(outcome)
                size += len(outcome.excerpt)
            else:
                record_id, found, line, occurrence = outcome
                instruction, response = found.instruction, found.response
                place = place_row(len(batch.records), found.source_id, line, found.extra, storable)
                batch.records.append((record_id, instruction, response, occurrence, detect(instruction)))
                batch.places.append(place)
                size += len(instruction) + (len(response) if response else 0) + (len(place[4]) if place[4] else 0)
            if count >= rows or size >= characters:
                yield _counted(batch)
                batch, count, size = Batch(), 0, 0
    except InputError:
        if count:
            yield _counted(batch)
        raise
    if count:
        yield _counted(batch)


def _counted(batch: Batch) -> Batch:
    batch.languages = Counter(row[4] for row in batch.records)
    return batch


class _Here:
    """Batches that this process reads, each when it is asked for."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches

    def next(self) -> Batch | None:
        return next(self._batches, None)

    def ready(self) -> Batch | None:
        return None


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
def _child(path: Path, name: str, reading: Reading, skip: int) -> Iterator[Batches]:
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
    pipe = cast(BinaryIO, child.stdout)
    ahead = ReadAhead(lambda: _frame(pipe))
    try:
        assert child.stdin is not None
        with suppress(BrokenPipeError):
            child.stdin.write(marshal.dumps((os.fspath(path), name, asdict(reading), skip)))
            child.stdin.close()
        ahead.start()
        yield _There(ahead, child, name)
    finally:
        child.kill()
        child.wait()
        ahead.close()
        pipe.close()


def _frame(pipe: BinaryIO) -> bytes:
    """Return a frame as it was sent; b"" where the pipe ends, be it within a frame, as when its sender is killed."""
    head = pipe.read(_LENGTH.size)
    length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
    data = pipe.read(length)
    return data if len(data) == length else b""


class _There:
    """Batches that come from a child."""

    def __init__(self, ahead: ReadAhead, child: subprocess.Popen[bytes], name: str) -> None:
        self._ahead = ahead
        self._child = child
        self._name = name
        self._held: tuple[str, Any] | None = None

    def next(self) -> Batch | None:
        kind, content = self._held or self._received(cast(bytes, self._ahead.take()))
        self._held = None
        match kind:
            case "rows":
                return _batch(content)
            case "end":
                return None
            case "refused":
                raise InputError(content[0], hint=content[1])
        status = self._child.wait()
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        raise InputError(
            f"{self._name} could not be read to its end: the process that read it ended {how}",
            hint="What was imported stays; run the same command again to go on.",
        )

    def ready(self) -> Batch | None:
        data = None if self._held else self._ahead.take(READY_S)
        if data is None:
            return None
        kind, content = self._received(data)
        if kind == "rows":
            return _batch(content)
        self._held = kind, content
        return None

    @staticmethod
    def _received(data: bytes) -> tuple[str, Any]:
        return marshal.loads(data) if data else ("broken off", None)


def _batch(content: tuple[Any, ...]) -> Batch:
    records, places, quarantined, languages = content
    return Batch(records, places, [Quarantined(*line) for line in quarantined], Counter(languages))


def _send(pipe: BinaryIO, kind: str, content: Any) -> None:
    data = marshal.dumps((kind, content))
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def _serve(source: BinaryIO, pipe: BinaryIO) -> None:
    path, name, reading, skip = marshal.loads(source.read())
    try:
        for batch in _read(Path(path), name, Reading(**reading), skip, FRAME_ROWS, FRAME_CHARACTERS):
            aside = [(line.line, line.reason, line.excerpt) for line in batch.quarantined]
            _send(pipe, "rows", (batch.records, batch.places, aside, dict(batch.languages)))
    except InputError as error:
        _send(pipe, "refused", (error.message, error.hint))
        return
    _send(pipe, "end", None)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with without_collector(), suppress(BrokenPipeError):
        _serve(sys.stdin.buffer, sys.stdout.buffer)
    # What is still buffered has no reader any more; the interpreter would try again, and say so.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
