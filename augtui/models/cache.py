"""The Hugging Face cache on disk, where pulled models live: read here without the hub's client, written by it alone.

Layout (https://huggingface.co/docs/huggingface_hub/guides/manage-cache): `models--OWNER--REPO/` with `blobs/ETAG`,
`snapshots/COMMIT/PATH` (links to blobs), `refs/BRANCH` (a commit) and, where the client took a snapshot,
`trees/COMMIT.json` (the repository's listing). `datasets--OWNER--REPO/` is alike. What other programs fetched is there,
too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

COMMIT = re.compile(r"[0-9a-f]{40}")
RepoType = Literal["model", "dataset"]


def folder() -> Path:
    """Return the cache's folder: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, else `hub` in HF_HOME, as the client decides."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if chosen := os.environ.get(name):
            return _expanded(chosen)
    if chosen := os.environ.get("HF_HOME"):
        return _expanded(chosen) / "hub"
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return _expanded(chosen) / "huggingface" / "hub"
    return Path.home() / ".cache" / "huggingface" / "hub"


def _expanded(text: str) -> Path:
    return Path(os.path.expandvars(text)).expanduser().absolute()


def repo_folder(cache: Path, repo: str, repo_type: RepoType = "model") -> Path:
    """Return the folder of a repository."""
    return cache / (f"{repo_type}s--" + repo.replace("/", "--"))


def snapshot(cache: Path, repo: str, commit: str, repo_type: RepoType = "model") -> Path:
    """Return the folder of a revision's files."""
    return repo_folder(cache, repo, repo_type) / "snapshots" / commit


def commit_of(cache: Path, repo: str, revision: str | None, repo_type: RepoType = "model") -> str | None:
    """Return the commit that the cache knows for a branch or tag, or for a commit itself; None: it knows none."""
    if revision is not None and COMMIT.fullmatch(revision):
        return revision if snapshot(cache, repo, revision, repo_type).is_dir() else None
    try:
        commit = (repo_folder(cache, repo, repo_type) / "refs" / (revision or "main")).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return commit if COMMIT.fullmatch(commit) else None


def cached_files(cache: Path, repo: str, commit: str) -> Iterator[tuple[str, Path]]:
    """Yield the files of a revision that are there, by their paths in the repository."""
    root = snapshot(cache, repo, commit)
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield path.relative_to(root).as_posix(), path


def unfinished(cache: Path, repo: str) -> list[Path]:
    """Return the parts of downloads that never ended, our own (`ETAG.incomplete`) and other programs'."""
    blobs = repo_folder(cache, repo) / "blobs"
    return sorted(blobs.glob("*.incomplete")) if blobs.is_dir() else []
