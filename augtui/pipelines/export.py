"""Export: write a file whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from augtui.errors import OutputError

_DESCRIPTOR: Final = re.compile(r"/dev/(?:fd/(\d+)|(stdin|stdout|stderr))|/proc/self/fd/(\d+)")
_STANDARD: Final = {"stdin": 0, "stdout": 1, "stderr": 2}
_CAUSES: Final = {
    errno.ENOENT: "the folder does not exist",
    errno.ENOTDIR: "a part of its path is not a folder",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than allowed",
    errno.ELOOP: "its symbolic links form a loop",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EPIPE: "the reader has gone",
}


class WholeFile:
    """A text file that appears whole when the `with` block ends well, and else leaves its target as it was.

    The text goes to a hidden file in the target's folder, which is synchronised with the disk and then
    renamed over the target (POSIX rename is atomic). An existing file keeps its permission bits; a symbolic link is
    followed. A device or a pipe, such as /dev/stdout, is written directly.

    Raises OutputError from `with` and `write`: no folder, no permission, no space, a folder as the target.
    """

    def __init__(self, target: str | Path) -> None:
        """Keep the path to write to."""
        self._name = str(target)
        self._target = Path(target)
        self._file: BinaryIO | None = None
        self._temporary: Path | None = None

    def __enter__(self) -> Self:
        """Open the file to write to."""
        try:
            self._file = self._opened()
        except (OSError, ValueError) as error:
            self._discard()
            raise self._failure(error) from None
        return self

    @property
    def is_open(self) -> bool:
        """Return whether the file takes text."""
        return self._file is not None

    def write(self, text: str) -> None:
        """Add text, as UTF-8. Raises OutputError."""
        try:
            data = text.encode()
        except ValueError as error:
            raise self._failure(error) from None
        self.write_bytes(data)

    def write_bytes(self, data: bytes) -> None:
        """Add bytes. Raises OutputError."""
        if self._file is None:
            raise ValueError("the file is not open")
        try:
            self._file.write(data)
        except (OSError, ValueError) as error:
            raise self._failure(error) from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Put the file in its place, or throw it away if the block raised."""
        try:
            if kind is None:
                self._finish()
        except OSError as failure:
            raise self._failure(failure) from None
        finally:
            self._discard()

    def _opened(self) -> BinaryIO:
        if match := _DESCRIPTOR.fullmatch(self._name):
            number, word, process_number = match.groups()
            descriptor = _STANDARD[word] if word else int(number or process_number)
            return os.fdopen(os.dup(descriptor), "wb")
        self._target = Path(os.path.realpath(self._target))
        try:
            status = self._target.stat()
        except FileNotFoundError:
            return self._opened_temporary(None)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if not stat.S_ISREG(status.st_mode):
            return self._target.open("wb")
        if not os.access(self._target, os.W_OK):
            raise PermissionError(errno.EACCES, "permission denied")
        return self._opened_temporary(status)

    def _opened_temporary(self, status: os.stat_result | None) -> BinaryIO:
        # The name does not contain the target's, which may be as long as a name can be.
        temporary = self._target.parent / f".augtui-{secrets.token_hex(8)}.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._temporary = temporary
        if status is not None:
            # Only a privileged user can keep another's ownership; everybody can keep the permission bits.
            with suppress(PermissionError):
                os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
        return os.fdopen(descriptor, "wb")

    def _finish(self) -> None:
        assert self._file is not None
        self._file.flush()
        if self._temporary is None:
            self._file.close()
            return
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self._target)
        self._temporary = None
        self._sync_folder()

    def _sync_folder(self) -> None:
        """Make the new name last through a power cut, where the file system can."""
        with suppress(OSError):
            descriptor = os.open(self._target.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _discard(self) -> None:
        if self._file is not None:
            # Closing flushes what is buffered, which fails again where writing failed.
            with suppress(OSError):
                self._file.close()
            self._file = None
        if self._temporary is not None:
            with suppress(OSError):
                self._temporary.unlink()
            self._temporary = None

    def _failure(self, error: OSError | ValueError) -> OutputError:
        match error:
            case UnicodeEncodeError():
                cause = "its text has a lone surrogate, which UTF-8 cannot hold"
            case OSError(errno=int(number)):
                cause = _CAUSES.get(number) or str(error.strerror)
            case _:
                cause = str(error)
        return OutputError(f"{self._name} cannot be written: {cause}")


def require_writable(target: str | Path) -> None:
    """Refuse an output that cannot be written before long work is spent on it; raises OutputError."""
    path = Path(target)
    if path.is_dir():
        raise OutputError(f"{target} cannot be written: it is a folder")
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise OutputError(f"{target} cannot be written: the folder does not exist")
    # A file is replaced by another one in its folder; a device or a pipe is written to.
    replaced = path.is_file() or not path.exists()
    if (replaced and not os.access(folder, os.W_OK)) or (path.exists() and not os.access(path, os.W_OK)):
        raise OutputError(f"{target} cannot be written: permission denied")


def write_jsonl(rows: Iterable[Mapping[str, Any]], target: str | Path) -> int:
    """Write a JSON object a line to `target`, whole or not at all, and return the number of rows.

    Raises OutputError: see WholeFile, or a row that JSON cannot hold.
    """
    count = 0
    with WholeFile(target) as file:
        for count, row in enumerate(rows, start=1):
            file.write(json_line(row, target, count))
    return count


def json_line(row: Mapping[str, Any], target: str | Path, number: int | None = None) -> str:
    """Return a row as a line of JSON for `target`; raises OutputError for one that JSON cannot hold."""
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        which = "a row" if number is None else f"row {number}"
        raise OutputError(f"{target} cannot be written: {which} is no JSON: {error}") from None
