"""An OpenAI-compatible server on loopback that does what a test says: answers, refusals, faults.

It counts what a provider would bill: the tokens of each request that it worked on, even if the answer was lost on its
way; and how many chat requests it had at a time.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "fake-7b"


@dataclass(frozen=True)
class Ask:
    """A request as the server saw it."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    nth: int
    """How often the same prompt was asked before."""
    server: FakeServer

    @property
    def prompt(self) -> str:
        return str(self.body["messages"][-1]["content"]) if "messages" in self.body else str(self.body.get("input"))


Deed = Callable[["_Handler", Ask], None]


def answer(text: str = "fine", *, finish: str = "stop", delay_s: float = 0.0, **changes: Any) -> Deed:
    """Answer with a text; `changes` replace fields of the whole answer."""

    def do(handler: _Handler, ask: Ask) -> None:
        time.sleep(delay_s)
        handler.reply(200, completion(ask, text, finish) | changes)

    return do


def completion(ask: Ask, text: str = "fine", finish: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": ask.server.bill(ask, text),
    }


def status(code: int, body: object = "", headers: Mapping[str, str] | None = None) -> Deed:
    """Answer with an error."""
    content = body if isinstance(body, dict | list) else {"error": {"message": str(body) or f"status {code}"}}
    return lambda handler, ask: handler.reply(code, content, headers)


def raw(data: bytes, content_type: str = "application/json", code: int = 200, *, billed: bool = True) -> Deed:
    """Answer with these bytes."""

    def do(handler: _Handler, ask: Ask) -> None:
        if billed:
            ask.server.bill(ask, "")
        handler.send(code, data, {"Content-Type": content_type})

    return do


def reset() -> Deed:
    """Do the work, send half of the answer, and reset the connection."""

    def do(handler: _Handler, ask: Ask) -> None:
        data = json.dumps(completion(ask)).encode()
        handler.begin(200, {"Content-Length": str(len(data))})
        handler.write(data[: len(data) // 2])
        # Closed with data unsent and no time to linger: TCP says RST, not FIN.
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True
        handler.rfile.close()
        handler.connection.close()

    return do


def cut_short() -> Deed:
    """Do the work, send half of the answer, and end the connection politely."""

    def do(handler: _Handler, ask: Ask) -> None:
        data = json.dumps(completion(ask)).encode()
        handler.begin(200, {"Content-Length": str(len(data))})
        handler.write(data[: len(data) // 2])
        handler.hang_up()

    return do


def slam() -> Deed:
    """End the connection without a word."""
    return lambda handler, ask: handler.hang_up()


def drip() -> Deed:
    """Do the work and send a byte now and then, for ever."""

    def do(handler: _Handler, ask: Ask) -> None:
        data = json.dumps(completion(ask)).encode()
        handler.begin(200, {"Content-Length": str(len(data) + 10_000)})
        for byte in data:
            if ask.server.closing.wait(0.02):
                break
            handler.write(bytes([byte]))
        handler.hang_up()

    return do


def hang() -> Deed:
    """Say nothing until the server is closed."""

    def do(handler: _Handler, ask: Ask) -> None:
        ask.server.bill(ask, "")
        ask.server.closing.wait(30)
        handler.hang_up()

    return do


def flood(megabytes: int = 20) -> Deed:
    """Send an answer with much more white space than anybody wants to read."""

    def do(handler: _Handler, ask: Ask) -> None:
        data = json.dumps(completion(ask)).encode()
        handler.begin(200, {"Content-Length": str(len(data) + (megabytes << 20))})
        for _ in range(megabytes):
            handler.write(b" " * (1 << 20))
        handler.write(data)

    return do


@dataclass
class FakeServer:
    """The server; used as a context."""

    behave: Callable[[Ask], Deed] = lambda ask: answer()
    models: object = field(default_factory=lambda: {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
    models_status: int = 200
    asks: list[Ask] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    most_at_once: int = 0
    billed_prompt: int = 0
    billed_completion: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._asking: set[_Handler] = set()
        self._asked: Counter[str] = Counter()

    def __enter__(self) -> FakeServer:
        owner = self

        class Handler(_Handler):
            server_of_test = owner

        self._http = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def bill(self, ask: Ask, text: str) -> dict[str, int]:
        """Count a request as worked on; every word is a token, as is every message."""
        prompt = sum(len(str(message["content"]).split()) + 1 for message in ask.body.get("messages", []))
        words = min(len(text.split()) or int(ask.body.get("max_tokens", 0)), int(ask.body.get("max_tokens", 1 << 30)))
        with self._lock:
            self.billed_prompt += prompt
            self.billed_completion += words
        return {"prompt_tokens": prompt, "completion_tokens": words, "total_tokens": prompt + words}

    def note(self, path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Ask:
        name = json.dumps(body.get("messages", body.get("input", "")))
        with self._lock:
            ask = Ask(path, headers, body, self._asked[name], self)
            self._asked[name] += 1
            self.asks.append(ask)
        return ask

    def begin(self, handler: _Handler) -> None:
        """Count a request, and no longer those whose clients hung up while the server was still at them."""
        with self._lock:
            self._asking = {other for other in self._asking if not other.is_left()} | {handler}
            self.most_at_once = max(self.most_at_once, len(self._asking))

    def end(self, handler: _Handler) -> None:
        with self._lock:
            self._asking.discard(handler)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that leave are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_of_test: FakeServer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        server = self.server_of_test
        server.asks.append(Ask(self.path, dict(self.headers.items()), {}, 0, server))
        if isinstance(server.models, bytes):
            self.send(server.models_status, server.models, {})
        else:
            self.reply(server.models_status, server.models)

    def do_POST(self) -> None:
        server = self.server_of_test
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ask = server.note(self.path, dict(self.headers.items()), body)
        server.begin(self)
        server.behave(ask)(self, ask)
        self.leave()

    def leave(self) -> None:
        """Count no longer: once the first byte has gone out, the client may be gone before we know of it."""
        self.server_of_test.end(self)

    def is_left(self) -> bool:
        """Say whether the client has hung up; what it sent after its request, if anything, stays unread."""
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def reply(self, code: int, content: object, headers: Mapping[str, str] | None = None) -> None:
        self.send(code, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})

    def send(self, code: int, data: bytes, headers: Mapping[str, str]) -> None:
        self.begin(code, {**headers, "Content-Length": str(len(data))})
        self.write(data)

    def begin(self, code: int, headers: Mapping[str, str]) -> None:
        self.leave()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.wfile.write(data)
            self.wfile.flush()

    def hang_up(self) -> None:
        self.leave()
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
        self.connection.close()
