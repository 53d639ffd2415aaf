"""What a repository holds, and which of its files an order means; only the download's child process imports this."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import HfApi, constants

from augtui import __version__
from augtui.engines.machine import free_bytes
from augtui.models import cache, quantizations
from augtui.models.faults import Fault, PullError, inconsistent
from augtui.models.part import SHA256
from augtui.models.quantizations import RemoteFile

BACKOFF_S = 1.0
CHECKPOINT = re.compile(
    r"(?:config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|adapter_config"
    r"|model\.safetensors\.index)\.json|merges\.txt|tokenizer\.model|chat_template\.(?:jinja|json)|[\w.-]+\.safetensors",
    re.ASCII,
)
"""All that `quantize` reads of a checkpoint: no pickles, no code."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be fetched."""

    repo: str
    kind: str
    """`gguf` or `safetensors`, or `dataset` for the `files` of a data set."""
    quantization: str | None = None
    revision: str | None = None
    commit: str | None = None
    """Where a former try found the revision: all files are of one commit."""
    backoff_s: float = BACKOFF_S
    files: Collection[str] = ()

    @property
    def repo_type(self) -> cache.RepoType:
        """Return what the hub calls such a repository."""
        return "dataset" if self.kind == "dataset" else "model"


@dataclass(frozen=True, slots=True)
class Listing:
    """What a repository holds at a commit."""

    commit: str
    files: tuple[RemoteFile, ...]
    licence: str | None


def listing_of(order: Order, root: Path) -> Listing:
    """Return what the hub has of an order's repository, or in offline mode the cache at `root`.

    Raises PullError, or what `augtui.models.faults.classify` knows.
    """
    revision = order.commit or order.revision
    if constants.is_offline_mode():
        return _cached(order, root, revision)
    api = HfApi(library_name="augtui", library_version=__version__)
    timeout = float(constants.HF_HUB_ETAG_TIMEOUT)
    asked = api.dataset_info if order.kind == "dataset" else api.model_info
    info = asked(order.repo, revision=revision, files_metadata=True, timeout=timeout)
    if not isinstance(info.sha, str) or not cache.COMMIT.fullmatch(info.sha):
        raise inconsistent("it names no commit")
    files = tuple(
        RemoteFile(sibling.rfilename, _size(sibling), _sha256(sibling))
        for sibling in info.siblings or ()
        if is_tame(sibling.rfilename)
    )
    licence = getattr(info.card_data, "license", None) if info.card_data is not None else None
    return Listing(info.sha, files, str(licence)[:100] if licence else None)


def _cached(order: Order, root: Path, revision: str | None) -> Listing:
    commit = cache.commit_of(root, order.repo, revision, order.repo_type)
    if commit is None:
        hint = "Leave offline mode to pull it."
        raise PullError(Fault("offline", f"{order.repo} is not in the cache, and offline mode is on", hint))
    found = cache.cached_files(root, order.repo, commit)
    return Listing(commit, tuple(RemoteFile(name, path.stat().st_size) for name, path in found), None)


def choose(order: Order, listing: Listing) -> tuple[str | None, Sequence[RemoteFile]]:
    """Return the quantization (None: no GGUF files) and the files that an order means; raises PullError."""
    repo = order.repo
    if order.kind == "dataset":
        there = {file.path: file for file in listing.files}
        if missing := [path for path in order.files if path not in there]:
            raise PullError(Fault("missing", f"{repo} has no file {missing[0]}", "Has the data set changed?"))
        return None, [there[path] for path in order.files]
    if order.kind == "safetensors":
        files = [file for file in listing.files if CHECKPOINT.fullmatch(file.path)]
        if not any(file.path.endswith(".safetensors") for file in files):
            hint = "Only safetensors are fetched: pickles can run code."
            raise PullError(Fault("missing", f"{repo} has no weights in safetensors", hint))
        return None, files
    found = quantizations.variants(listing.files)
    if not found:
        raise _no_gguf(order, listing)
    if order.quantization is None:
        chosen = quantizations.best(found, free_bytes())
    else:
        chosen = quantizations.named(order.quantization, found)
    if chosen is None:
        others = ", ".join(dict.fromkeys(variant.quantization for variant in found))
        message = f"{repo} has no {order.quantization}"
        raise PullError(Fault("no file", message, f"It has {others}."))
    return chosen.quantization, chosen.files


def _no_gguf(order: Order, listing: Listing) -> PullError:
    repo = order.repo
    weights = [file for file in listing.files if CHECKPOINT.fullmatch(file.path)]
    if any(file.path.endswith(".safetensors") for file in weights):
        gigabytes = sum(file.bytes or 0 for file in weights) / 1e9
        message = f"{repo} has no GGUF file, but a checkpoint in safetensors ({gigabytes:.1f} GB)"
        hint = "augtui pull --safetensors fetches it, augtui quantize makes a GGUF of it."
        return PullError(Fault("no gguf", message, hint))
    message = f"{repo} has neither GGUF files nor safetensors"
    return PullError(Fault("missing", message, f"See {constants.ENDPOINT}/{repo}."))


def _size(sibling: Any) -> int | None:
    size = sibling.lfs.size if sibling.lfs is not None else sibling.size
    return size if isinstance(size, int) and size >= 0 else None


def is_tame(path: str) -> bool:
    """Return whether a path stays within its folder and is fit to be shown."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\\" not in path and path.isprintable()


def _sha256(sibling: Any) -> str | None:
    found = sibling.lfs.sha256 if sibling.lfs is not None else None
    return found if isinstance(found, str) and SHA256.fullmatch(found) else None
