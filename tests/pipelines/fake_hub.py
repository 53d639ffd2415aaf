"""A Hub on loopback that the real huggingface_hub talks to: data sets as mappings of file names to bytes."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "1234567890abcdef1234567890abcdef12345678"
CONVERTED = "refs/convert/parquet"
CONVERTED_COMMIT = "f" * 40


@dataclass
class FakeHub:
    repos: Mapping[str, Mapping[str, bytes]]
    """Name of a data set (`owner/name`, or `owner/name@revision` for another branch than main) -> its files."""
    gated: frozenset[str] = frozenset()
    url: str = ""
    requests: list[str] = field(default_factory=list)

    def find(self, repo: str, revision: str) -> Mapping[str, bytes] | None:
        if revision in ("main", COMMIT):
            return self.repos.get(repo)
        return self.repos.get(f"{repo}@{CONVERTED if revision == CONVERTED_COMMIT else revision}")


def _commit(revision: str) -> str:
    return CONVERTED_COMMIT if revision in (CONVERTED, CONVERTED_COMMIT) else COMMIT


@contextmanager
def running(hub: FakeHub) -> Iterator[FakeHub]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            from urllib.parse import unquote

            path = unquote(self.path.split("?")[0])
            hub.requests.append(f"{self.command} {path}")
            if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/revision/(.+))?", path):
                self._info(match[1], match[2] or "main")
            elif match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/tree/([^/]+)", path):
                self._tree(match[1], match[2])
            elif match := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/(refs/convert/parquet|[^/]+)/(.+)", path):
                self._file(match[1], match[2], match[3], body)
            else:
                self._send(404, b"{}")

        def _send(self, status: int, data: bytes, headers: Mapping[str, str] = {}, *, body: bool = True) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)

        def _refused(self, repo: str, revision: str) -> bool:
            if repo in hub.gated:
                self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
                return True
            if not any(name.split("@")[0] == repo for name in hub.repos):
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                return True
            if hub.find(repo, revision) is None:
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return True
            return False

        def _info(self, repo: str, revision: str) -> None:
            if self._refused(repo, revision):
                return
            files = hub.find(repo, revision) or {}
            siblings = [{"rfilename": name} for name in files]
            answer = {"id": repo, "sha": _commit(revision), "siblings": siblings, "tags": [], "downloads": 0,
                      "likes": 0, "private": False, "disabled": False, "gated": False}  # fmt: skip
            self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

        def _tree(self, repo: str, revision: str) -> None:
            files = hub.find(repo, revision) or {}
            rows = [{"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for name, data in files.items()]  # fmt: skip
            self._send(200, json.dumps(rows).encode(), {"Content-Type": "application/json"})

        def _file(self, repo: str, revision: str, name: str, body: bool) -> None:
            if self._refused(repo, revision):
                return
            data = (hub.find(repo, revision) or {}).get(name)
            if data is None:
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            etag = hashlib.sha256(data).hexdigest()
            self._send(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": _commit(revision)}, body=body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
