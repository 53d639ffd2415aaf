"""Files of a data set, brought into the hub's cache as models are: by a child that is watched; resumed, and proven."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from augtui.models import cache
from augtui.models.download import STALL_S, Download, See


def fetch(
    repo: str,
    files: Sequence[str],
    *,
    commit: str,
    revision: str,
    see: See = lambda event: None,
    stall_s: float = STALL_S,
) -> Path:
    """Return the folder of a commit's files with `files` in it, fetched unless they are there.

    Once all of them are there, the cache knows `revision` (a branch or tag, or the commit) as this commit; until then
    what it knew before stays. Raises what `Download.run` raises; whatever came stays, and the same call goes on from
    there.
    """
    root = cache.folder()
    folder = cache.snapshot(root, repo, commit, "dataset")
    known = cache.commit_of(root, repo, revision, "dataset") == commit
    tree = cache.repo_folder(root, repo, "dataset") / "trees" / f"{commit}.json"
    if not (known and tree.is_file() and all((folder / file).is_file() for file in files)):
        order: dict[str, Any] = {
            "repo": repo, "kind": "dataset", "files": list(files), "revision": revision, "commit": commit,
        }  # fmt: skip
        Download(order, see, stall_s).run()
    return folder
