"""Files that appear whole or not at all, whatever ends the process, and that leave nothing behind."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# The file system needs some room beside the data.
_SPARE_BYTES = 16 << 20


@contextmanager
def scratch_path(destination: Path) -> Iterator[Path]:
    """A new file beside `destination`; whatever is there at the end is removed.

    The file is locked as long as the block lasts, and files of earlier processes that were killed are removed first:
    the system lets go of a dead process's locks.
    """
    _sweep(destination)
    path = destination.parent / f".{destination.name}.{secrets.token_hex(4)}.part"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    try:
        if fcntl is not None:
            with suppress(OSError):  # some network file systems have no locks
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            os.close(descriptor)
            descriptor = -1
        yield path
    finally:
        path.unlink(missing_ok=True)
        if descriptor >= 0:
            os.close(descriptor)


def _sweep(destination: Path) -> None:
    if fcntl is None:
        return
    for path in destination.parent.iterdir():
        if not (path.name.startswith(f".{destination.name}.") and path.name.endswith(".part")):
            continue
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)


@contextmanager
def whole_file(destination: Path) -> Iterator[Path]:
    """A path whose file, synced to disk, is renamed to `destination` only if the block ends without an error."""
    with scratch_path(destination) as partial:
        yield partial
        _sync(partial)
        partial.replace(destination)
    if os.name == "posix":
        _sync(destination.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_space(folder: Path, size: int, what: str) -> None:
    """Raise `OSError` if `folder` has no room for `size` bytes of `what`, before minutes are spent on it."""
    free = shutil.disk_usage(folder).free
    if free < size + _SPARE_BYTES:
        raise OSError(f"{folder}: {what} takes {size / 1e9:.2f} GB, but only {free / 1e9:.2f} GB are free")
