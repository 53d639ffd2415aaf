"""A hub on loopback with the endpoints that the real huggingface_hub client asks, and every fault that a hub can have.

Files are served at the hub's own address or, like large files on the real one, from another host (another port here)
through a signed address. What is served is counted, so that a test can tell what was fetched twice.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import socket
import struct
import termios
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

PIECE = 16 << 10
SEND_BUFFER = 64 << 10
"""Small, so that what the system holds for a killed client is little."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one answer: after `at` bytes of the body, or instead of it."""

    kind: str
    """reset, truncate, stall, flip, status, longer, shorter, whole, misplaced, page, endless, trickle"""
    at: int = 0
    status: int = 503
    seconds: float = 30.0
    headers: Mapping[str, str] = field(default_factory=dict)
    on: str = "GET"
    """Method of the file request that it hits: GET, HEAD, or API for the listing."""


@dataclass
class Served:
    """A request and what was sent for it."""

    method: str
    path: str
    host: str
    headers: dict[str, str]
    start: int = 0
    sent: int = 0
    fault: str | None = None


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class FakeHub:
    """Models and data sets by name, each a mapping of paths to bytes; `with FakeHub() as hub`."""

    def __init__(self, *, cdn: bool = False, lfs_from: int = 1 << 10) -> None:
        self.repos: dict[str, dict[str, bytes]] = {}
        self.branches: dict[tuple[str, str], str] = {}
        self.commits: dict[str, tuple[str, dict[str, bytes]]] = {}
        self.blobs: dict[str, bytes] = {}
        self.gated: set[str] = set()
        self.tokens: set[str] = set()
        self.licence = "apache-2.0"
        self.rate: float | None = None
        """Bytes a second of each answer; None: as fast as can be."""
        self.lfs_from = lfs_from
        self.etag: str | None = None
        """An ETag for all files, whatever they hold."""
        self.commit_header = True
        self.listing: list[dict[str, Any]] | None = None
        """A listing of its own, for hostile ones."""
        self.faults: deque[Fault] = deque()
        self.served: list[Served] = []
        self._lock = threading.Lock()
        self._server = _Server(self, "hub")
        self._cdn = _Server(self, "cdn") if cdn else None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def put(self, repo: str, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Add or replace files on a branch, and return the new commit."""
        before = self.repos.get(repo, {}) if branch == "main" else {}
        merged = {**before, **files}
        names = json.dumps({name: sha256(data) for name, data in sorted(merged.items())})
        commit = hashlib.sha1(f"{repo}{branch}{names}".encode()).hexdigest()
        self.repos[repo] = merged
        self.branches[repo, branch] = commit
        self.commits[commit] = (repo, merged)
        self.blobs |= {sha256(data): data for data in files.values()}
        return commit

    def fail(self, *faults: Fault) -> None:
        """Let the next answers of their kinds fail so, in this order."""
        with self._lock:
            self.faults.extend(faults)

    def take(self, on: str) -> Fault | None:
        with self._lock:
            fault = next((fault for fault in self.faults if fault.on == on), None)
            if fault is not None:
                self.faults.remove(fault)
            return fault

    def note(self, served: Served) -> Served:
        with self._lock:
            self.served.append(served)
        return served

    def bytes_of(self, suffix: str) -> int:
        """Return how many bytes of files whose path ends so were sent."""
        return sum(one.sent for one in self.served if one.method == "GET" and one.path.endswith(suffix))

    def requests(self, method: str = "GET") -> list[Served]:
        return [one for one in self.served if one.method == method]

    def __enter__(self) -> FakeHub:
        for server in (self._server, self._cdn):
            if server is not None:
                threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        for server in (self._server, self._cdn):
            if server is not None:
                server.shutdown()
                server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, hub: FakeHub, role: str) -> None:
        self.hub = hub
        self.role = role
        # Another host than the hub's: 127.0.0.2 is loopback as well (Linux).
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients are killed here


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *values: Any) -> None:
        pass

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub = self.server.hub
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.noted = hub.note(Served(self.command, path, self.server.role, headers))
        api = re.fullmatch(r"/api/(?:models|datasets)/([^/]+/[^/]+)(?:/revision/(.+))?", path)
        tree = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/tree/([^/]+)", path)
        resolve = re.fullmatch(r"/(?:datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if self.server.role == "cdn":
            # The file's own path is in the query, for the counting.
            self.noted.path = unquote(parts.query.partition("name=")[2].partition("&")[0])
            data = hub.blobs.get(path.removeprefix("/blob/"))
            if data is None:
                self._status(404, {})
            else:
                self._send_file(data, {})
        elif api:
            self._list(api.group(1), api.group(2) or "main")
        elif tree:
            self._tree(*tree.groups())
        elif resolve:
            self._resolve(*resolve.groups())
        else:
            self._status(404, {})

    def _refused(self, repo: str, revision: str) -> bool:
        hub = self.server.hub
        authorized = self.headers.get("Authorization", "").removeprefix("Bearer ") in hub.tokens
        if repo not in hub.repos:
            self._status(401 if not hub.tokens else 404, {"X-Error-Code": "RepoNotFound"})
        elif repo in hub.gated and not authorized:
            self._status(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
        elif self._commit(repo, revision) is None:
            self._status(404, {"X-Error-Code": "RevisionNotFound"})
        else:
            return False
        return True

    def _commit(self, repo: str, revision: str) -> str | None:
        hub = self.server.hub
        commit = hub.branches.get((repo, revision), revision)
        return commit if commit in hub.commits and hub.commits[commit][0] == repo else None

    def _list(self, repo: str, revision: str) -> None:
        hub = self.server.hub
        fault = hub.take("API")
        if fault is not None:
            self.noted.fault = fault.kind
            self._break(fault)
            return
        # Like the real one, a gated repository is listed for everybody.
        if repo in hub.repos and repo in hub.gated:
            pass
        elif self._refused(repo, revision):
            return
        commit = self._commit(repo, revision)
        if commit is None:
            self._status(404, {"X-Error-Code": "RevisionNotFound"})
            return
        siblings = []
        for name, data in sorted(hub.commits[commit][1].items()):
            sibling: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": git_sha1(data)}
            if self._is_lfs(data):
                sibling["lfs"] = {"size": len(data), "sha256": sha256(data), "pointerSize": 134}
            siblings.append(sibling)
        body = {
            "id": repo, "modelId": repo, "sha": commit, "private": False, "tags": [], "downloads": 0, "likes": 0,
            "gated": "auto" if repo in hub.gated else False, "cardData": {"license": hub.licence},
            "siblings": siblings if hub.listing is None else hub.listing,
        }  # fmt: skip
        self._body(json.dumps(body).encode(), {"Content-Type": "application/json"})
        return

    def _tree(self, repo: str, revision: str) -> None:
        if self._refused(repo, revision):
            return
        commit = self._commit(repo, revision)
        assert commit is not None
        rows: list[dict[str, Any]] = []
        for name, data in sorted(self.server.hub.commits[commit][1].items()):
            rows.append({"type": "file", "path": name, "size": len(data), "oid": git_sha1(data)})
            if self._is_lfs(data):
                rows[-1]["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 134}
        self._body(json.dumps(rows).encode(), {"Content-Type": "application/json"})

    def _is_lfs(self, data: bytes) -> bool:
        return len(data) >= self.server.hub.lfs_from

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        hub = self.server.hub
        if self._refused(repo, revision):
            return
        commit = self._commit(repo, revision)
        assert commit is not None
        data = hub.commits[commit][1].get(name)
        if data is None:
            self._status(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        etag = hub.etag or (sha256(data) if self._is_lfs(data) else git_sha1(data))
        headers = {"ETag": f'"{etag}"'}
        if hub.commit_header:
            headers["X-Repo-Commit"] = commit
        if self.command == "HEAD":
            fault = hub.take("HEAD")
            if fault is not None:
                self.noted.fault = fault.kind
                self._break(fault)
                return
        if hub._cdn is not None and self._is_lfs(data):
            location = f"http://localhost:{hub._cdn.server_port}/blob/{sha256(data)}?name=/{name}&signature=abc"
            linked = {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(data)), "Location": location}
            self._status(302, {**headers, **linked})
            return
        if self.command == "HEAD":
            self.send_response(200)
            for key, value in {**headers, "Content-Length": str(len(data)), "Accept-Ranges": "bytes"}.items():
                self.send_header(key, value)
            self.end_headers()
            return
        self._send_file(data, headers)
        return

    # -- bodies and their faults --------------------------------------------------------------------------------------

    def _send_file(self, data: bytes, headers: dict[str, str]) -> None:
        hub = self.server.hub
        fault = hub.take("GET") if self.command == "GET" else None
        self.noted.fault = fault.kind if fault else None
        if fault is not None and fault.kind in ("status", "page"):
            self._break(fault)
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked.group(1)) if asked else 0
        if start >= len(data) and start:
            self._status(416, {"Content-Range": f"bytes */{len(data)}"})
            return
        if fault is not None and fault.kind == "whole":
            start = 0
            asked = None
        self.noted.start = start
        if fault is not None and fault.kind == "misplaced" and asked:
            start = max(0, start - 7)
        body = data[start:]
        if fault is not None and fault.kind == "flip":
            # `at` is a bit of the whole file; one that was sent before cannot be hit any more.
            at = max(fault.at // 8, start)
            body = bytearray(body)
            body[at - start] ^= 1 << fault.at % 8
            body = bytes(body)
        length = len(body)
        if fault is not None and fault.kind in ("longer", "shorter"):
            length += max(1, fault.at) if fault.kind == "longer" else -min(max(1, fault.at), len(body) - 1)
        self.send_response(206 if asked else 200)
        if fault is None or fault.kind != "endless":
            self.send_header("Content-Length", str(length))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self._stream(body[:length], fault)
        if fault is not None and fault.kind == "longer":
            self.close_connection = True

    def _stream(self, body: bytes, fault: Fault | None) -> None:
        hub = self.server.hub
        breaks = fault is not None and fault.kind in ("reset", "truncate", "stall", "trickle")
        limit = min(fault.at, len(body)) if fault is not None and breaks else len(body)
        begun = time.monotonic()
        place = 0
        while place < limit:
            piece = body[place : min(place + PIECE, limit)]
            self.wfile.write(piece)
            place += len(piece)
            self.noted.sent += len(piece)
            if hub.rate is not None and (ahead := place / hub.rate - (time.monotonic() - begun)) > 0:
                time.sleep(ahead)
        if fault is None:
            return
        if fault.kind == "reset":
            self._await_arrival()  # a reset throws away what is under way
            self._reset()
        elif fault.kind == "truncate":
            self.close_connection = True
        elif fault.kind == "stall":
            time.sleep(fault.seconds)
            self.close_connection = True
        elif fault.kind == "trickle":
            ends = time.monotonic() + fault.seconds
            while time.monotonic() < ends and place < len(body):
                self.wfile.write(body[place : place + 1])
                place += 1
                self.noted.sent += 1
                time.sleep(0.05)
            self.close_connection = True
        elif fault.kind == "endless":
            for _ in range(2000):
                self.wfile.write(bytes(PIECE))
                self.noted.sent += PIECE

    def _await_arrival(self) -> None:
        """Wait until the client's system has everything that was sent."""
        ends = time.monotonic() + 10
        while time.monotonic() < ends:
            (under_way,) = struct.unpack("i", fcntl.ioctl(self.connection, termios.TIOCOUTQ, bytes(4)))
            if not under_way:
                return
            time.sleep(0.005)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())  # at once: `close` would wait for the files made of it

    def _break(self, fault: Fault) -> None:
        if fault.kind == "status":
            self._status(fault.status, dict(fault.headers))
        elif fault.kind == "page":
            page = b"<html><body>Please log in to the hotel's network.</body></html>" * 20
            self._body(page, {"Content-Type": "text/html"})
        else:
            self.close_connection = True
            if fault.kind == "reset":
                self._reset()
            elif fault.kind == "stall":
                time.sleep(fault.seconds)

    def _status(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(key, value)
        self.end_headers()

    def _body(self, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
