"""The sha256 of model files, computed once and remembered while the file stays the same."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from augtui import locations

MODEL_SUFFIXES = frozenset({".safetensors", ".json", ".jinja", ".model", ".txt"})
"""What of a folder decides how its model answers; the rest is somebody's notes, or a file manager's."""
CHUNK_BYTES = 1 << 20
REMEMBERED_FROM_BYTES = 64 << 20
"""Smaller files are hashed each time: that takes less than a human notices."""


def sha256(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """Return the sha256 of a file (64 hexadecimal digits); `progress` hears how many bytes were read.

    A large file's sum is remembered with its device, inode, size and time of change (nanoseconds), and computed
    again when any of them differs. A folder's is the sum of the names and sums of the files that make a model.
    Raises OSError.
    """
    if path.is_dir():
        return _folder(path, progress)
    status = path.stat()
    if status.st_size < REMEMBERED_FROM_BYTES:
        return _compute(path, progress)
    identity = _identity(status)
    known = _load()
    entry = known.get(str(path.absolute()))
    if isinstance(entry, dict) and entry.get("identity") == identity:
        return str(entry["sha256"])
    found = _compute(path, progress)
    known[str(path.absolute())] = {"identity": identity, "sha256": found}
    _save(known)
    return found


def fresh(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """Return the sha256 of a file as its bytes are now, whatever is remembered of it; raises OSError.

    A disk that goes bad changes bytes without changing a file's time.
    """
    found = _compute(path, progress)
    remember(path, found)
    return found


def remember(path: Path, found: str) -> None:
    """Note a file's sum, which somebody has just computed; raises OSError."""
    status = path.stat()
    if status.st_size >= REMEMBERED_FROM_BYTES:
        known = _load()
        known[str(path.absolute())] = {"identity": _identity(status), "sha256": found}
        _save(known)


def several(paths: Sequence[Path], progress: Callable[[int], None] | None = None) -> str:
    """Return the sum of the names and sums of a split model's files, or a single file's own; raises OSError."""
    if len(paths) == 1:
        return sha256(paths[0], progress)
    total = hashlib.sha256()
    for file in paths:
        total.update(f"{sha256(file, progress)}  {file.name}\n".encode())
    return total.hexdigest()


def _identity(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


def _folder(folder: Path, progress: Callable[[int], None] | None) -> str:
    total = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in MODEL_SUFFIXES and not file.name.startswith(".") and file.is_file():
            total.update(f"{sha256(file, progress)}  {file.name}\n".encode())
    return total.hexdigest()


def _compute(path: Path, progress: Callable[[int], None] | None) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            total.update(chunk)
            if progress is not None:
                progress(len(chunk))
    return total.hexdigest()


def _file() -> Path:
    return locations.home() / "checksums.json"


def _load() -> dict[str, object]:
    try:
        known = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _save(known: dict[str, object]) -> None:
    # What is remembered here saves time only: a home that cannot be written to is no reason to stop.
    with suppress(OSError):
        target = _file()
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".checksums-{os.getpid()}.tmp")
        temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")
        temporary.replace(target)
