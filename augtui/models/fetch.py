"""Fetches a model, or files of a data set, into the hub's cache: resumes, proves, links. Only a child imports this.

`huggingface_hub` (2.4, measured) begins a killed download from zero and leaves an orphan behind; so the bytes are
fetched by its `http_get` into `ETAG.incomplete`, which is resumed, under the client's own lock; a proven file is moved
to `blobs/ETAG`, and `hf_hub_download` links it into its snapshot. The Xet way is not taken: it cannot be resumed by
offset, and may stand still for ever (https://github.com/huggingface/xet-core/issues/898).
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants, file_download, hf_hub_download, snapshot_download
from huggingface_hub.utils._fixes import WeakFileLock
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import hf_request_event_hook, set_client_factory

from augtui import __version__
from augtui.engines import gguf_header
from augtui.models import cache
from augtui.models.faults import LATER, Fault, PullError, classify, damaged, inconsistent
from augtui.models.listing import Order, choose, is_tame, listing_of
from augtui.models.part import Part, proof_of, sums
from augtui.models.quantizations import RemoteFile

CHUNK_BYTES = 32 << 10
"""The client hands over 10 MiB at a time: so much would be lost and fetched again at every break."""
TRIES = 6
"""So many failures in a row without a byte between them, and it is given up."""
LISTING_TRIES = 3
"""The same before anything has come: without a network nobody likes to wait."""
LONGEST_BACKOFF_S = 30.0
LONGEST_WAIT_S = 120.0
"""A hub that asks for more patience than that gets the user's instead."""
PROGRESS_S = 0.1
SPARE_BYTES = 64 << 20
"""Room that must be left on the disk."""
ORPHAN_S = 3600.0
"""Other programs' parts (`ETAG.UUID.incomplete`) that nobody has written to for so long, and whose lock is free."""
ETAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""What may be a file's name in the cache: a hub that says `../../x` is not obeyed."""
Tell = Callable[[dict[str, Any]], None]


class Fetcher:
    """Fetches what an order wants, telling what it does."""

    def __init__(self, order: Order, tell: Tell) -> None:
        """Fetch `order` into the client's cache."""
        self.order = order
        self.tell = tell
        self.cache = Path(constants.HF_HUB_CACHE).expanduser().absolute()
        self._folder = cache.repo_folder(self.cache, order.repo, order.repo_type)
        self._told = 0.0
        self._done = 0
        self._expecting: tuple[int, int] | None = None
        """Offset and whole size of the file that the next answer must be of, in bytes."""
        self._part: Path | None = None
        """Where the present file grows, in this process or, while its lock is waited for, in another."""
        constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES
        set_client_factory(self._client)

    def run(self) -> dict[str, Any]:
        """Fetch, and return the facts for the registry; raises PullError, or what `classify` knows."""
        self.tell({"event": "phase", "phase": "listing"})
        listing = self._persist(lambda: listing_of(self.order, self.cache), lambda: 0, tries=LISTING_TRIES)
        quantization, files = choose(self.order, listing)
        sizes = [file.bytes for file in files]
        here = [self._size_here(listing.commit, file) for file in files]
        total = sum(size or 0 for size in sizes)
        self.tell(
            {
                "event": "plan", "repo": self.order.repo, "commit": listing.commit, "quantization": quantization,
                "files": [file.path for file in files], "total": total, "have": sum(here),
            }
        )  # fmt: skip
        self._require_room(total - sum(here))
        stored = []
        for file in files:
            stored.append(self._fetch(listing.commit, file))
            self._done += stored[-1]["bytes"]
        if self.order.kind == "dataset":
            self._keep_tree(listing.commit)
        self._write_ref(listing.commit)
        return {
            "repo": self.order.repo, "commit": listing.commit, "revision": self.order.revision or "main",
            "quantization": quantization, "cache": str(self.cache), "licence": listing.licence, "files": stored,
        }  # fmt: skip

    def _snapshot(self, commit: str) -> Path:
        return cache.snapshot(self.cache, self.order.repo, commit, self.order.repo_type)

    # -- one file -----------------------------------------------------------------------------------------------------

    def _fetch(self, commit: str, file: RemoteFile) -> dict[str, Any]:
        """Bring a file into the cache, proven; returns its path, size and sums."""
        target = self._snapshot(commit) / file.path
        if target.exists():
            etag = _blob_name(target) or file.sha256 or ""
            facts = self._proven(file, target, etag)
            if facts is not None:
                return facts
            self.tell({"event": "note", "text": f"{file.path} in the cache is damaged and is fetched anew"})
            target.unlink()  # the blob is replaced below
        if constants.is_offline_mode():
            message = f"{file.path} of {self.order.repo} is not whole in the cache, and offline mode is on"
            raise PullError(Fault("offline", message, "Leave offline mode to pull it."))
        self._part = None
        fetched: dict[str, Any] = self._persist(lambda: self._attempt(commit, file), self.part_bytes)
        return fetched

    def _attempt(self, commit: str, file: RemoteFile) -> dict[str, Any]:
        url = file_download.hf_hub_url(self.order.repo, file.path, repo_type=self.order.repo_type, revision=commit)
        timeout = float(constants.HF_HUB_ETAG_TIMEOUT)
        headers = build_hf_headers(library_name="augtui", library_version=__version__)
        metadata = file_download.get_hf_file_metadata(url, headers=headers, timeout=timeout)
        etag, size = metadata.etag, metadata.size if metadata.size is not None else file.bytes
        if etag is None or metadata.commit_hash is None:
            raise inconsistent("it gives no ETag or no commit")
        if not ETAG.fullmatch(etag) or metadata.commit_hash != commit:
            raise inconsistent("its ETag or its commit is not one")
        if size is None or (file.bytes is not None and size != file.bytes):
            raise inconsistent(f"it is said to have {size} bytes here and {file.bytes} there")
        if file.sha256 is not None and file.sha256 != etag:
            raise inconsistent("its sha256 is said to be another one here than there")
        if _origin(metadata.location) != _origin(constants.ENDPOINT):
            headers.pop("authorization", None)  # a signed address of another host: the token is the hub's alone
        headers["Accept-Encoding"] = "identity"  # an offset into a compressed answer would be another one
        blob = self._folder / "blobs" / etag
        blob.parent.mkdir(parents=True, exist_ok=True)
        self._part = blob.with_name(f"{etag}.incomplete")
        with self._locked(etag):
            self._sweep(blob)
            facts = self._proven(file, blob, etag) if blob.exists() else None
            if facts is None:
                facts = self._download(metadata.location, headers, file, blob, size)
        if self.order.kind == "gguf":
            self._require_gguf(file, blob)
        self._link(commit, file, blob)
        return facts

    def _download(self, url: str, headers: dict[str, str], file: RemoteFile, blob: Path, size: int) -> dict[str, Any]:
        with Part(blob.with_name(f"{blob.name}.incomplete"), size, self._progress) as part:
            self._progress(part.size, force=True)
            if part.size < size:
                self.tell({"event": "phase", "phase": "fetching"})
                self._expecting = (part.size, size)
                try:
                    file_download.http_get(
                        url, cast(BinaryIO, part), resume_size=part.size, headers=headers, expected_size=size,
                        displayed_filename=file.path,
                    )  # fmt: skip
                finally:
                    self._expecting = None
            self._progress(part.size, force=True)
            part.settle()
            facts = self._proven(file, part.path, blob.name)
            if facts is None:
                part.discard()
                part.path.unlink()
                raise damaged(file.path, "sha256" if len(blob.name) == 64 else "sum")
        part.path.replace(blob)
        _settle_folder(blob.parent)
        return facts

    def _proven(self, file: RemoteFile, path: Path, etag: str) -> dict[str, Any] | None:
        """Return a file's facts if its bytes are those that the hub's sum tells of, else None."""
        size = path.stat().st_size
        if file.bytes is not None and size != file.bytes:
            return None
        self.tell({"event": "phase", "phase": "verifying"})
        read = 0

        def progress(count: int) -> None:
            nonlocal read
            read += count
            if time.monotonic() - self._told >= PROGRESS_S:
                self._told = time.monotonic()
                self.tell({"event": "verified", "bytes": read, "total": size})

        sha256, git_sha1 = sums(path, progress)
        proof = proof_of(etag, sha256, git_sha1)
        if proof == "none" and file.sha256 is not None:
            proof = "sha256" if file.sha256 == sha256 else None
        if proof is None:
            return None
        return {"path": file.path, "bytes": size, "sha256": sha256, "etag": etag or None, "proof": proof}

    def _require_gguf(self, file: RemoteFile, blob: Path) -> None:
        try:
            gguf_header.check(blob)
            with blob.open("rb") as opened:
                magic = opened.read(4)
        except gguf_header.HeaderError as error:
            raise _no_model(file, str(error)) from None
        if magic != b"GGUF":
            raise _no_model(file, "it does not begin like one")

    def _link(self, commit: str, file: RemoteFile, blob: Path) -> None:
        """Have the client put the file into its snapshot; the blob is there, so that nothing is fetched."""
        self.tell({"event": "phase", "phase": "linking"})
        linked = Path(
            hf_hub_download(
                self.order.repo, file.path, repo_type=self.order.repo_type, revision=commit, cache_dir=self.cache,
                library_name="augtui", library_version=__version__,
            )
        )  # fmt: skip
        if linked.is_symlink():
            if not linked.samefile(blob):
                raise inconsistent("it changed while it was fetched")
        elif blob.exists():
            blob.unlink()  # no links on this disk: the file is in the snapshot, and one copy is enough

    def _keep_tree(self, commit: str) -> None:
        """Have the client keep the repository's listing: by it an import chooses files offline. No file is fetched."""
        self._persist(
            lambda: snapshot_download(
                self.order.repo, repo_type=self.order.repo_type, revision=commit, cache_dir=self.cache,
                allow_patterns=[glob.escape(file) for file in self.order.files],
                library_name="augtui", library_version=__version__,
            ),
            lambda: 0, tries=LISTING_TRIES,
        )  # fmt: skip

    def _write_ref(self, commit: str) -> None:
        """Note in the cache which commit the branch or tag is, as the client does."""
        revision = self.order.revision or "main"
        if cache.COMMIT.fullmatch(revision) or not is_tame(revision):
            return
        path = self._folder / "refs" / revision
        with suppress(OSError):  # a cache that is read-only: it was whole already
            if path.is_file() and path.read_text() == commit:
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
            temporary.write_text(commit)
            temporary.replace(path)

    # -- patience, locks, room ----------------------------------------------------------------------------------------

    def _persist(self, work: Callable[[], Any], progress: Callable[[], int], tries: int = TRIES) -> Any:
        """Return what `work` returns, tried again after what may pass, from where it broke off."""
        futile = 0
        while True:
            before = progress()
            try:
                return work()
            except Exception as error:
                fault = classify(error, self.order.repo, kind=self.order.kind)
                if not fault.transient:
                    raise
                futile = 0 if progress() > before else futile + 1
                if futile >= tries or (fault.wait_s or 0) > LONGEST_WAIT_S:
                    raise
                wait = fault.wait_s
                if wait is None:
                    wait = min(LONGEST_BACKOFF_S, self.order.backoff_s * 2.0 ** max(0, futile - 1)) if futile else 0.0
                self.tell({"event": "retry", "reason": fault.message, "wait_s": wait})
                time.sleep(wait)

    def _locked(self, etag: str) -> Any:
        """Return the client's own lock of a blob: two processes, ours or others', share one download."""
        folder = self.cache / ".locks" / self._folder.name
        folder.mkdir(parents=True, exist_ok=True)
        self.tell({"event": "phase", "phase": "waiting"})
        return WeakFileLock(folder / f"{etag}.lock")

    def part_bytes(self) -> int:
        """Return how much of the present file has come, to this process or to the one that is waited for."""
        part = self._part
        try:
            return part.stat().st_size if part is not None else 0
        except OSError:
            return 0

    @property
    def bytes(self) -> int:
        """Return how much of the order has come."""
        return self._done + self.part_bytes()

    def _sweep(self, blob: Path) -> None:
        """Remove what killed clients left of this file; they cannot go on with it, and its lock is ours."""
        for orphan in blob.parent.glob(f"{blob.name}.*.incomplete"):
            with suppress(OSError):
                if time.time() - orphan.stat().st_mtime > ORPHAN_S:
                    orphan.unlink()

    def _size_here(self, commit: str, file: RemoteFile) -> int:
        target = self._snapshot(commit) / file.path
        with suppress(OSError):
            return target.stat().st_size
        if file.sha256 is None:
            return 0
        blob = self._folder / "blobs" / file.sha256
        for path in (blob, blob.with_name(f"{blob.name}.incomplete")):
            with suppress(OSError):
                return path.stat().st_size
        return 0

    def _require_room(self, wanted: int) -> None:
        if wanted <= 0:
            return
        folder = self.cache
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        free = shutil.disk_usage(folder).free
        if wanted + SPARE_BYTES > free:
            there = f"{self.cache} has {free / 1e9:.2f} GB free"
            message = f"{self.order.repo} needs {wanted / 1e9:.2f} GB more, and {there}"
            raise PullError(Fault("disk", message, f"Make room, or give HF_HOME a larger disk. {LATER}"))

    def _progress(self, size: int, *, force: bool = False) -> None:
        if force or time.monotonic() - self._told >= PROGRESS_S:
            self._told = time.monotonic()
            self.tell({"event": "progress", "bytes": self._done + size})

    # -- HTTP ---------------------------------------------------------------------------------------------------------

    def _client(self) -> httpx2.Client:
        """Return the client's own HTTP client, with a look at every answer before a byte of it is kept."""
        return httpx2.Client(
            event_hooks={"request": [hf_request_event_hook], "response": [self._require_same_file]},
            follow_redirects=True,
            timeout=float(constants.HF_HUB_ETAG_TIMEOUT),  # of requests that name none of their own
        )

    def _require_same_file(self, response: httpx2.Response) -> None:
        """Refuse an answer that cannot be the file from the offset that was asked for: it would spoil what is there."""
        if self._expecting is None or response.request.method != "GET" or response.status_code not in (200, 206):
            return
        _, size = self._expecting
        asked = response.request.headers.get("Range")
        if response.status_code == 206:
            found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
            offset = re.fullmatch(r"bytes=(\d+)-", asked or "")
            if found is None or offset is None or found.group(1) != offset.group(1):
                raise inconsistent("a piece that was not asked for")
            whole = found.group(3)
        else:
            whole = response.headers.get("Content-Length", "*")
        if whole not in ("*", str(size)):
            raise inconsistent(f"{whole} bytes where {size} were announced")


def _no_model(file: RemoteFile, why: str) -> PullError:
    return PullError(Fault("no model", f"{file.path} is no GGUF model: {why}", "Try another file or repository."))


def _blob_name(target: Path) -> str | None:
    """Return the ETag of a cached file: its blob's name, which is a link's target."""
    with suppress(OSError):
        if target.is_symlink():
            return target.readlink().name
    return None


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _settle_folder(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
