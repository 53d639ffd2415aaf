"""The beginning of a file that is being fetched: kept through kills and broken connections, and never too long."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

READ_BYTES = 1 << 20
SHA256 = re.compile(r"[0-9a-f]{64}")
GIT_SHA1 = re.compile(r"[0-9a-f]{40}")


class TooLong(Exception):
    """More bytes came than the file has."""


class Part:
    """A file that grows at its end; what `huggingface_hub.file_download.http_get` writes to.

    Written without a buffer, so that whatever was written is there after a kill. Nothing past `expected` bytes is
    taken: a server that sends for ever does not fill the disk.
    """

    def __init__(self, path: Path, expected: int | None, progress: Callable[[int], None] | None = None) -> None:
        """Open `path`, or make it; what it holds beyond `expected` bytes cannot be the file's and is thrown away."""
        self.path = path
        self.expected = expected
        self._progress = progress or (lambda size: None)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        self._descriptor = os.open(path, flags, 0o666)
        self._size = os.fstat(self._descriptor).st_size
        if expected is not None and self._size > expected:
            self.discard()
        self.seek(self._size)

    @property
    def size(self) -> int:
        """Return how many bytes are there."""
        return self._size

    def write(self, chunk: bytes) -> int:
        """Append `chunk`; raises TooLong, or OSError where there is no room."""
        if self.expected is not None and self._size + len(chunk) > self.expected:
            raise TooLong(f"more than the {self.expected} bytes that were announced")
        view = memoryview(chunk)
        while view:
            written = os.write(self._descriptor, view)
            self._size += written
            view = view[written:]
        self._progress(self._size)
        return len(chunk)

    def seek(self, position: int) -> int:
        """Go to a position in bytes from the beginning; the client does so where a server begins anew."""
        return os.lseek(self._descriptor, position, os.SEEK_SET)

    def tell(self) -> int:
        """Return the position in bytes."""
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def truncate(self, size: int | None = None) -> int:
        """Cut the file off at `size`, or where the position is."""
        self._size = self.tell() if size is None else size
        os.ftruncate(self._descriptor, self._size)
        self._progress(self._size)
        return self._size

    def discard(self) -> None:
        """Throw away all that is there."""
        self.seek(0)
        self.truncate(0)

    def settle(self) -> None:
        """Have the system write it all to the disk; raises OSError."""
        os.fsync(self._descriptor)

    def __enter__(self) -> Part:
        """Return the part."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, which stays."""
        os.close(self._descriptor)


def sums(path: Path, progress: Callable[[int], None] | None = None) -> tuple[str, str]:
    """Return a file's sha256 and the sha1 that git knows its content by; `progress` hears how many bytes were read.

    Git's is the sha1 of `blob SIZE`, a zero byte, and the content: the hub names small files by it. Raises OSError.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        first, second = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        # Of a large file git's sum is never asked for, and would double the time.
        git = size <= READ_BYTES * 64
        while chunk := file.read(READ_BYTES):
            first.update(chunk)
            if git:
                second.update(chunk)
            if progress is not None:
                progress(len(chunk))
    return first.hexdigest(), second.hexdigest() if git else ""


def proof_of(etag: str, sha256: str, git_sha1: str) -> str | None:
    """Return what proves a file by its ETag: `sha256`, `git-sha1`, or `none` if that is no sum; None: it is not."""
    if SHA256.fullmatch(etag):
        return "sha256" if etag == sha256 else None
    if GIT_SHA1.fullmatch(etag) and git_sha1:
        return "git-sha1" if etag == git_sha1 else None
    return "none"
