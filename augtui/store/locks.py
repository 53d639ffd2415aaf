"""Locks between processes: `flock` on a small file; the operating system frees it when its process dies."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from augtui import locations
from augtui.domain.records import digest
from augtui.errors import StoreError

PROBE_PAUSE_S = 0.02
"""Pause between two tries in seconds; a try that `holder` disturbed succeeds on the next."""


class LockHeldError(Exception):
    """Another living process (or another part of this one) holds the lock."""

    def __init__(self, pid: int | None) -> None:
        """Keep the holder's process id, None when it could not be read."""
        super().__init__(f"lock held by process {pid}")
        self.pid = pid


class FileLock:
    """A lock that this process holds until `release`, or until it dies."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """Keep the lock's file and its open, locked descriptor."""
        self._path = path
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Remove the lock's file and let go of it; nothing happens the second time."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        # Unlinked while still locked: whoever locks the orphan next sees that and opens anew.
        with suppress(OSError):
            self._path.unlink()
        os.close(descriptor)

    def __enter__(self) -> FileLock:
        """Return the lock."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
        self.release()


def acquire(database: Path, subject: str, *, wait_s: float = 0.2) -> FileLock:
    """Lock `subject` (a run's key, or `migration`) of a database, waiting at most `wait_s` seconds.

    Raises LockHeldError when somebody else holds it, StoreError when the folder of locks cannot be used.
    """
    path = _lock_path(database, subject)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _names(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
                return FileLock(path, descriptor)
            os.close(descriptor)
        except BlockingIOError:
            pid = _read_pid(descriptor)
            os.close(descriptor)
            if time.monotonic() >= deadline:
                raise LockHeldError(pid) from None
            time.sleep(PROBE_PAUSE_S)
        except OSError as error:
            os.close(descriptor)
            raise _unusable(path, error) from error


def holder(database: Path, subject: str) -> int | None:
    """Return the id of the living process that holds the lock, None when nobody does."""
    try:
        descriptor = os.open(_lock_path(database, subject), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_pid(descriptor) or 0
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _lock_path(database: Path, subject: str) -> Path:
    name = digest({"database": str(database.resolve()), "subject": subject})[:32]
    return locations.locks() / f"{name}.lock"


def _names(path: Path, descriptor: int) -> bool:
    """Say whether the path still leads to the open file, which its last holder may have unlinked."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _read_pid(descriptor: int) -> int | None:
    try:
        return int(os.pread(descriptor, 20, 0))
    except (OSError, ValueError):
        return None


def _unusable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"The folder of locks {path.parent} cannot be used: {error.strerror}.",
        hint="Make room or give AUGTUI_HOME a folder that you may write to.",
    )
