"""What this machine has for an engine: cores and memory, a container's share where it has one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def rss_bytes() -> int:
    """Return the resident memory of this process, or its peak where the system tells only that."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


CGROUP = Path("/sys/fs/cgroup")


def free_bytes() -> int:
    """Return the memory that can be had without swapping, or 4 GiB where the system does not tell."""
    limit = None
    with contextlib.suppress(OSError, ValueError):  # a container's own limit, where it has one
        limit = int((CGROUP / "memory.max").read_text()) - int((CGROUP / "memory.current").read_text())
        limit += _idle_file_cache()
    free = _free_on_machine()
    return free if limit is None else max(0, min(limit, free))


def _idle_file_cache() -> int:
    """Return the bytes of files that a container keeps in memory and would give up first; they count as its use."""
    for line in (CGROUP / "memory.stat").read_text().splitlines():
        if line.startswith("inactive_file "):
            return int(line.split()[1])
    return 0


def _free_on_machine() -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return 4 << 30


def physical_cores() -> int:
    """Return the number of cores this process may use, hyper-threads counted once where the system tells."""
    cores = _cores_of_machine()
    with contextlib.suppress(OSError, ValueError):  # a container may have a share of the machine's time only
        quota, period = (CGROUP / "cpu.max").read_text().split()
        cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


def _cores_of_machine() -> int:
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    siblings = set()
    for cpu in usable:
        try:
            path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
            siblings.add(path.read_text().strip())
        except OSError:
            return max(1, len(usable))
    return max(1, len(siblings))
