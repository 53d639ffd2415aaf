"""Which engines run on this machine: each says so in a file of its own, which it holds locked while it lives."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from augtui import locations


@dataclass(frozen=True, slots=True)
class Running:
    """An engine at work."""

    owner: int
    """Process id of the augtui that it works for."""
    child: int | None
    """Its own, None while it is being started."""
    model: Path
    library: str
    started: str

    @property
    def memory_bytes(self) -> int | None:
        """Return its resident memory, or None where the system does not tell."""
        if self.child is None:
            return None
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(Path(f"/proc/{self.child}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        with contextlib.suppress(OSError, ValueError):
            command = ["ps", "-o", "rss=", "-p", str(self.child)]
            return int(subprocess.run(command, capture_output=True, text=True, check=False).stdout) * 1024
        return None


class Announcement:
    """An engine's file; it says nothing where the home cannot be written to."""

    def __init__(self, descriptor: int | None, model: Path, library: str) -> None:
        """Write to `descriptor`."""
        self._descriptor = descriptor
        self._facts = {
            "owner": os.getpid(), "child": None, "model": str(model), "library": library,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        self.tell(None)

    def tell(self, child: int | None) -> None:
        """Say which process the engine is now."""
        if self._descriptor is None:
            return
        self._facts["child"] = child
        with contextlib.suppress(OSError):
            written = json.dumps(self._facts).encode()
            os.pwrite(self._descriptor, written, 0)
            os.ftruncate(self._descriptor, len(written))


@contextlib.contextmanager
def announced(model: Path, library: str) -> Iterator[Announcement]:
    """Yield an announcement that stands until the block ends or this process dies."""
    path = _folder() / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
    descriptor = None
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield Announcement(descriptor, model, library)
    finally:
        if descriptor is not None:
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(descriptor)


def running() -> list[Running]:
    """Return the engines of this home that run now, the oldest first; what the dead left behind is removed."""
    found = []
    for path in _folder().glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    facts = json.loads(os.pread(descriptor, 1 << 16, 0))
                    child = facts["child"]
                    found.append(
                        Running(
                            int(facts["owner"]), None if child is None else int(child), Path(facts["model"]),
                            str(facts["library"]), str(facts["started"]),
                        )
                    )  # fmt: skip
                else:
                    path.unlink()
            finally:
                os.close(descriptor)
    return sorted(found, key=lambda engine: (engine.started, engine.owner))


def _folder() -> Path:
    return locations.home() / "running"
