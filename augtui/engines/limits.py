"""What a worker may take of the machine: no more memory than is free, and no core dump."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from augtui.engines.machine import free_bytes, rss_bytes
from augtui.engines.options import EngineOptions
from augtui.engines.shards import files_of

GPUS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Where one of these is, no limit is set: GPU drivers map memory of their own, which would count."""
SURE_BYTES = 1 << 30
"""Never less, whatever the system says is free: what it keeps of files can be freed too."""
LEAST_ROOM_BYTES = 4 << 30
ROOM_SHARE = 8
"""A model may take 4 GiB and eight times its file: the KV cache of a model is small beside its weights."""


def limit_memory(model: Path, options: EngineOptions) -> None:
    """Let allocations fail (Linux) where `model` wants more than is free now, or than a file of its size can need.

    Else a file of a few bytes may ask for terabytes, and the system kills some process. Weights that are mapped from
    their file do not count. A KV cache of a size that the user gave may take all that is free.
    """
    if sys.platform != "linux" or any(Path(device).exists() for device in GPUS):
        return
    import resource

    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        room = max(SURE_BYTES, free_bytes())
        if options.cells is None:
            weights = sum(path.stat().st_size for path in (*files_of(model), *options.adapters.values()))
            room = min(room, LEAST_ROOM_BYTES + ROOM_SHARE * weights)
        limit = rss_bytes() + room
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def forbid_core_dumps() -> None:
    """Let a crash end at once: a dump of gigabytes would hold up the restart."""
    if sys.platform == "win32":
        return
    import resource

    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        # Not 0: Linux ignores that where dumps go into a pipe, but takes 1 as "none" (core(5), fs/coredump.c).
        soft = 1 if hard == resource.RLIM_INFINITY or hard >= 1 else 0
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
