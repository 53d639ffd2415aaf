"""Peak memory of another process, by name of the kernel's high-water mark (proc_pid_status(5), VmHWM)."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from types import TracebackType

LOOK_EVERY_S = 0.05


def peak_rss_bytes(pid: int) -> int | None:
    """Return the most resident memory that a running process ever had; None where the system does not tell."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found.group(1)) * 1024 if found else None


class PeakMemory:
    """Follows a process that ends by itself, and keeps the last peak seen."""

    def __init__(self, pid: int) -> None:
        self.peak_bytes: int | None = None
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._ended.is_set():
            self.peak_bytes = peak_rss_bytes(self._pid) or self.peak_bytes
            self._ended.wait(LOOK_EVERY_S)
