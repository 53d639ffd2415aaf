"""The input of a run: a file or a pipe that can be read again, known by the sha256 of its bytes."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def opened(name: str, stdin: BinaryIO | None = None) -> Iterator[Source]:
    """Open a file, or standard input (`-`), which is kept in a temporary file as long as the block lasts.

    Raises InputError for what cannot be read.
    """
    if name != STDIN:
        path = Path(name).expanduser()
        try:
            with path.open("rb") as file:
                total = _copy(file, None)
        except FileNotFoundError:
            raise InputError(f"{name}: no such file") from None
        except IsADirectoryError:
            raise InputError(f"{name} is a folder, not a file") from None
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror}") from None
        yield Source(name, path, total)
        return
    stream = stdin or sys.stdin.buffer
    if stream.isatty():
        raise InputError(
            "--file - reads a pipe, and nothing is piped in", hint="cat prompts.txt | augtui refine --file -"
        )
    with tempfile.NamedTemporaryFile(prefix="augtui-stdin-") as copy:
        total = _copy(stream, copy.write)
        copy.flush()
        yield Source(STDIN, Path(copy.name), total)


def _copy(stream: BinaryIO, write: Callable[[bytes], int] | None) -> str:
    total = hashlib.sha256()
    while chunk := stream.read(CHUNK):
        total.update(chunk)
        if write is not None:
            write(chunk)
    return total.hexdigest()
