"""Removes a model's files from the hub's cache, which other programs and other models share: what they need stays."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from augtui.errors import OutputError
from augtui.models import cache, registry
from augtui.models.registry import Pulled


@dataclass(frozen=True, slots=True)
class Removable:
    """A file that would go."""

    path: Path
    bytes: int
    shared_with: tuple[str, ...]
    """Other revisions and models that have the same bytes; where there are any, the bytes stay and a link goes."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What the removal of a model would do."""

    pulled: Pulled
    files: tuple[Removable, ...]
    unfinished: tuple[Path, ...]
    freed_bytes: int
    kept_for: tuple[str, ...] = ()
    """Registered models that are the same files: nothing is removed then."""
    strategy: Any = field(default=None, repr=False)

    def execute(self) -> None:
        """Forget the model, then remove its files; raises OutputError, StoreError."""
        registry.remove(self.pulled.key)
        try:
            if self.strategy is not None:
                self.strategy.execute()
            for part in self.unfinished:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{error.filename} cannot be removed: {error.strerror}") from None


def plan(pulled: Pulled) -> Removal:
    """Return what the removal of a model would do; nothing is changed yet."""
    others = [other for other in registry.load() if other.key != pulled.key]
    ours = {pulled.path_of(file) for file in pulled.files}
    kept_for = tuple(other.key for other in others if ours & {other.path_of(file) for file in other.files})
    if pulled.repo is None or kept_for:
        return Removal(pulled, (), (), 0, kept_for)
    root = Path(pulled.cache) if pulled.cache else cache.folder()
    scan = _scan(root)
    mine, rest = [], []
    whole: list[str] = []
    for repo in scan.repos if scan is not None else ():
        for revision in repo.revisions:
            selected = [file for file in revision.files if file.file_path in ours]
            mine += selected
            rest += [(repo, revision, file) for file in revision.files if file.file_path not in ours]
            if selected and len(selected) == len(revision.files):
                whole.append(revision.commit_hash)
    files = tuple(
        Removable(
            file.file_path, file.size_on_disk,
            tuple(f"{repo.repo_id}@{revision.commit_hash[:8]}" for repo, revision, other in rest
                  if other.blob_path == file.blob_path),
        )
        for file in sorted(mine, key=lambda file: str(file.file_path))
    )  # fmt: skip
    strategy = None
    if scan is not None and mine:
        # A revision of which nothing would stay goes with its folder and branch, a repository with its last one.
        strategy = scan.delete_revisions(*whole) if whole else scan.delete_files(*mine)
    parts = () if any(other.repo == pulled.repo for other in others) else _idle(cache.unfinished(root, pulled.repo))
    freed = (strategy.expected_freed_size if strategy is not None else 0) + sum(part.stat().st_size for part in parts)
    return Removal(pulled, files, tuple(parts), freed, (), strategy)


def unfinished(repo: str) -> list[Path]:
    """Return the parts of a repository's interrupted downloads that nobody is writing to."""
    return list(_idle(cache.unfinished(cache.folder(), repo)))


def _scan(root: Path) -> Any:
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        return scan_cache_dir(root)
    except (CacheNotFound, ValueError):
        return None


def _idle(parts: Sequence[Path]) -> Sequence[Path]:
    """Return the parts that no process is writing to: their lock is free."""
    idle = []
    for part in parts:
        etag = part.name.split(".")[0]
        lock = part.parents[2] / ".locks" / part.parents[1].name / f"{etag}.lock"
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            idle.append(part)
            continue
        except OSError:
            continue
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            idle.append(part)
        os.close(descriptor)
    return idle
