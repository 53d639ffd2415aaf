"""Which models were pulled or made here: `models.json` in the home, replaced whole, under a lock."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from augtui import locations
from augtui.errors import OutputError, StoreError
from augtui.models import cache
from augtui.store import locks

Kind = Literal["gguf", "safetensors"]
LOCK_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a model: its path in the repository (or on this machine), its size and its sums."""

    path: str
    bytes: int
    sha256: str
    etag: str | None = None
    """What the hub called it: a sha256 for large files, git's sha1 for small ones."""
    proof: str = "sha256"
    """What the bytes were compared with when they came: `sha256`, `git-sha1`, or `none` where the hub gave no sum."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model on this machine, verified when it came."""

    name: str
    kind: Kind
    quantization: str | None
    files: tuple[StoredFile, ...]
    """The GGUF file or its shards in order, or all files of a checkpoint."""
    pulled_at: str
    verified_at: str
    repo: str | None = None
    """None: it was made here."""
    commit: str | None = None
    revision: str | None = None
    """The branch or tag that was asked for."""
    cache: str | None = None
    licence: str | None = None
    entry: str | None = None
    """The catalogue's name of the model."""

    @property
    def key(self) -> str:
        """Return the name that is this model's alone: `qwen2-1.5b-refine:Q4_K_M`."""
        return f"{self.name}:{self.quantization}" if self.quantization else f"{self.name}:{self.kind}"

    @property
    def bytes(self) -> int:
        """Return the size of all its files."""
        return sum(file.bytes for file in self.files)

    def path_of(self, file: StoredFile) -> Path:
        """Return where a file is; in the present cache where the one it was pulled into has moved."""
        if self.repo is None or self.commit is None:
            return Path(file.path)
        first = Path(self.cache) if self.cache else cache.folder()
        for root in (first, cache.folder()):
            path = cache.snapshot(root, self.repo, self.commit) / file.path
            if path.exists():
                return path
        return cache.snapshot(first, self.repo, self.commit) / file.path

    @property
    def path(self) -> Path:
        """Return what an engine is given: the GGUF file (the first shard), or the checkpoint's folder."""
        first = self.path_of(self.files[0])
        if self.kind == "gguf":
            return first
        depth = self.files[0].path.count("/") if self.repo is not None else 0
        return first.parents[depth]

    @property
    def is_here(self) -> bool:
        """Return whether all its files are there, at their sizes."""
        with contextlib.suppress(OSError):
            return all(self.path_of(file).stat().st_size == file.bytes for file in self.files)
        return False


def now() -> str:
    """Return the time as the registry writes it (UTC, seconds)."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def load() -> list[Pulled]:
    """Return all models, the one that was pulled last at the end; raises StoreError for a registry that is damaged."""
    try:
        text = _file().read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(error) from None
    try:
        document = json.loads(text)
        if document["version"] != 1:
            raise ValueError(f"it is of version {document['version']}, written by a newer augtui")
        return [_unpack(packed) for packed in document["models"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(error) from None


def find(name: str, quantization: str | None = None) -> Pulled | None:
    """Return the model of a name, or of a name with its quantization; of several the one that was pulled last."""
    wanted = name.lower()
    found = None
    for pulled in load():
        fits = quantization is None or (pulled.quantization or pulled.kind).lower() == quantization.lower()
        names = (pulled.name.lower(), (pulled.repo or "").lower())
        if wanted == pulled.key.lower() or (fits and wanted in names):
            found = pulled
    return found


def put(pulled: Pulled) -> None:
    """Add a model, in place of one with the same key; raises StoreError or OutputError."""
    with _changing() as models:
        models[:] = [other for other in models if other.key != pulled.key] + [pulled]


def remove(key: str) -> None:
    """Forget a model; its files stay. Raises StoreError or OutputError."""
    with _changing() as models:
        models[:] = [other for other in models if other.key != key]


def confirm(key: str) -> None:
    """Note that a model's files were hashed again and are what they were; raises StoreError or OutputError."""
    with _changing() as models:
        models[:] = [replace(other, verified_at=now()) if other.key == key else other for other in models]


def made_here(name: str, quantization: str, path: Path, sha256: str, *, entry: str | None = None) -> Pulled:
    """Register a GGUF file that was made on this machine, and return it; raises OSError, StoreError or OutputError."""
    file = StoredFile(str(path.absolute()), path.stat().st_size, sha256)
    pulled = Pulled(name, "gguf", quantization, (file,), now(), now(), entry=entry)
    put(pulled)
    return pulled


def _file() -> Path:
    return locations.home() / "models.json"


def _unpack(packed: dict[str, Any]) -> Pulled:
    files = tuple(StoredFile(**file) for file in packed["files"])
    if not files or packed["kind"] not in ("gguf", "safetensors"):
        raise ValueError("a model without files, or of an unknown kind")
    if not all(isinstance(file.path, str) and isinstance(file.bytes, int) for file in files):
        raise ValueError("a file's path or size is of the wrong type")
    return Pulled(**{**packed, "files": files})


def _damaged(error: Exception) -> StoreError:
    return StoreError(
        f"the list of models {_file()} cannot be read: {error}",
        hint="Move it away and pull the models again: what is in the cache is not fetched twice.",
    )


@contextlib.contextmanager
def _changing() -> Iterator[list[Pulled]]:
    """Yield the list of models, which is written when the block ends, while nobody else can change it."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            lock = locks.acquire(_file(), "models", wait_s=0.5)
            break
        except locks.LockHeldError as held:
            if time.monotonic() > deadline:
                raise StoreError(f"the list of models is locked by process {held.pid}", hint="Try again.") from None
    with lock:
        models = load()
        yield models
        target = _file()
        temporary = target.with_name(f".models-{os.getpid()}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            document = {"version": 1, "models": [asdict(pulled) for pulled in models]}
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(document, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise OutputError(f"the list of models {target} cannot be written: {error.strerror}") from None
