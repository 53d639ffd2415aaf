"""Pulls a model: fetches it in a child process that is watched, and registers it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from augtui.errors import AugtuiError
from augtui.models import checksums, registry
from augtui.models.download import STALL_S, Download, MissingError, NoGgufError, See
from augtui.models.reference import Reference
from augtui.models.registry import Kind, Pulled, StoredFile


def pull(
    wanted: Reference,
    *,
    kind: Kind = "gguf",
    see: See = lambda event: None,
    stall_s: float = STALL_S,
    backoff_s: float | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Pulled:
    """Fetch a model, prove and register it; of a reference's repositories, the first that has it is taken.

    Raises ModelError with the reason in one line (NoGgufError, UnreachableError), OutputError where the disk is full or
    cannot be written, and StoreError or OutputError where it cannot be registered. Whatever came stays, and the same
    call goes on from there. KeyboardInterrupt ends the child and passes. For callers in a thread: it ends in
    StoppedError soon after `stop` says so, and Linux ties the child to that thread.
    """
    error: AugtuiError | None = None
    for repo in wanted.repos:
        order: dict[str, Any] = {
            "repo": repo, "kind": kind, "quantization": wanted.quantization, "revision": wanted.revision,
        }  # fmt: skip
        if backoff_s is not None:
            order["backoff_s"] = backoff_s
        try:
            facts = Download(order, see, stall_s, stop).run()
        except NoGgufError:
            raise
        except MissingError as missing:  # an entry's next repository may have it
            error = error or missing
            continue
        pulled = _pulled(wanted, kind, facts)
        for file in pulled.files:
            with contextlib.suppress(OSError):
                checksums.remember(pulled.path_of(file), file.sha256)
        registry.put(pulled)
        return pulled
    assert error is not None
    raise error


def _pulled(wanted: Reference, kind: Kind, facts: dict[str, Any]) -> Pulled:
    files = tuple(StoredFile(**file) for file in facts["files"])
    moment = registry.now()
    return Pulled(
        wanted.name, kind, facts["quantization"], files, moment, moment, repo=facts["repo"], commit=facts["commit"],
        revision=facts["revision"], cache=facts["cache"], licence=facts["licence"] or _known_licence(wanted),
        entry=wanted.entry.name if wanted.entry is not None else None,
    )  # fmt: skip


def _known_licence(wanted: Reference) -> str | None:
    return wanted.entry.licence if wanted.entry is not None else None
