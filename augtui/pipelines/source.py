"""The input of a run: a file or a pipe that can be read again, known by the sha256 of its bytes."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from augtui.errors import InputError
from augtui.pipelines.streams import CHUNK

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """An input as it was when the run began."""

    name: str
    """The path as the user gave it, or `-`."""
    path: Path
    """Where its bytes are; for a pipe a temporary copy."""
    sha256: str

    @property
    def shown(self) -> str:
        """Return the name for messages."""
        return "standard input" if self.name == STDIN else self.name


@contextmanager
def opened(name: str, stdin: BinaryIO | None = None) -> Iterator[Source]:
    """Open a file, or a pipe (`-`: standard input), which is kept in a temporary file as long as the block lasts.

    Raises InputError for what cannot be read.
    """
    with ExitStack() as stack:
        with _readable(name):
            path = Path(name).expanduser()
            stream = _piped_in(stdin) if name == STDIN else stack.enter_context(path.open("rb"))
            if name != STDIN and path.is_file():
                total = _copy(stream, None)
            else:  # a pipe, the shell's <(...) too, can be read but once
                copy = stack.enter_context(tempfile.NamedTemporaryFile(prefix="augtui-stdin-"))
                total = _copy(stream, copy.write)
                copy.flush()
                path = Path(copy.name)
        yield Source(name, path, total)


def require_readable(name: str) -> None:
    """Refuse a file that cannot be opened before anything is made for it; raises InputError."""
    if name != STDIN and not (path := Path(name).expanduser()).is_fifo():
        with _readable(name), path.open("rb"):
            pass


def _piped_in(stdin: BinaryIO | None) -> BinaryIO:
    stream = stdin or (None if sys.stdin is None else sys.stdin.buffer)
    if stream is None or stream.isatty():
        raise InputError(
            "--file - reads a pipe, and nothing is piped in", hint="cat prompts.txt | augtui refine --file -"
        )
    return stream


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{name} is a folder, not a file") from None
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from None


def _copy(stream: BinaryIO, write: Callable[[bytes], int] | None) -> str:
    total = hashlib.sha256()
    while chunk := stream.read(CHUNK):
        total.update(chunk)
        if write is not None:
            write(chunk)
    return total.hexdigest()
