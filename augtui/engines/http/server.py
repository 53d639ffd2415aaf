"""One server over HTTP: a request and its whole reply, within a deadline and a size, or a reason why not.

Redirects are never followed, so a key never leaves for another host. Compression is declined, so a small body cannot
become a large one. The key goes into the header of each request, and into nothing else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from augtui import __version__
from augtui.engines.http import answers, credentials
from augtui.engines.http.answers import ListedModel, Nonsense
from augtui.engines.http.credentials import Key
from augtui.engines.http.endpoint import Endpoint
from augtui.engines.http.retry import Clock, asked_wait_s, backoff_s
from augtui.errors import EngineError, ModelError

if TYPE_CHECKING:
    import httpx2

CONNECT_S = 10.0
CLOSE_S = 0.5
TIMEOUT_S = 300.0
LARGEST_BODY = 16 << 20
"""Bytes of a reply; the longest answer is far shorter."""
LARGEST_ERROR = 64 << 10
FIRST_TRIES = 4
"""Connections tried before a server counts as not there."""
READY_TRIES = 12
"""Tries while a server is there but not ready: llama-server answers 503 while it loads a model."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotSent(Exception):
    """There was no connection: the server has not seen the request."""


class Lost(Exception):
    """The request went out and no whole reply came back: the server may have done the work, and bill it."""


class Server:
    """An endpoint with its key and its connections; belongs to the event loop that uses it."""

    def __init__(self, endpoint: Endpoint, key: Key | None, *, timeout_s: float, connections: int = 1) -> None:
        """Prepare; nothing is sent yet."""
        import httpx2

        for name in ("httpcore2", "httpx2"):
            # They log what a server sends, in which it may repeat the key.
            logging.getLogger(name).setLevel(logging.WARNING)
        self.endpoint = endpoint
        self.key = key
        self._timeout_s = timeout_s
        self._client: httpx2.AsyncClient = httpx2.AsyncClient(
            headers={
                "User-Agent": f"augtui/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
            # The deadline of the whole exchange is kept below; a server that drips would slip past any other.
            timeout=httpx2.Timeout(None, connect=min(CONNECT_S, timeout_s / 2)),
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
            follow_redirects=False,
            trust_env=not endpoint.is_loopback,  # a proxy does not know this machine's own servers
        )

    async def close(self) -> None:
        """Close the connections."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._client.aclose()
        except Exception:  # what cannot be closed is gone with the process
            return

    async def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """Send a request (GET, or POST with a body) and return the reply; raises NotSent and Lost."""
        import httpx2

        content = None if body is None else _encoded(body)
        headers = {} if self.key is None else self.key.header()
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with asyncio.timeout(self._timeout_s):
                method = "GET" if content is None else "POST"
                url = f"{self.endpoint.base}/{path}"
                async with self._client.stream(method, url, content=content, headers=headers) as response:
                    return Reply(response.status_code, _lower(response.headers), await _whole(response))
        except TimeoutError:
            raise Lost(f"no whole answer within {self._timeout_s:g} s") from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError, httpx2.PoolTimeout) as error:
            raise NotSent(self._reason(error, "no connection")) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise Lost(self._reason(error, "the connection broke off")) from None

    async def listed(self, clock: Clock, draw: random.Random) -> list[ListedModel] | None:
        """Return the server's models, None if it does not tell; raises EngineError if it is not there or refuses."""
        unconnected = unready = 0
        while True:
            try:
                reply = await self.ask("models")
                self.require_welcome(reply)
                if reply.status not in (408, 429, 500, 502, 503, 504):
                    return self._read(reply) if reply.status == 200 else None
                unready += 1
                if unready >= READY_TRIES:
                    raise EngineError(
                        f"{self.endpoint.base} is not ready (HTTP {reply.status}: {self.words(reply)})",
                        hint="Run the same command again once it is.",
                    )
                asked = asked_wait_s(reply.headers, clock.wall())
                await clock.sleep(backoff_s(unready, draw) if asked is None else asked)
            except (NotSent, Lost) as error:
                unconnected += 1
                if unconnected >= FIRST_TRIES:
                    raise EngineError(
                        f"{self.endpoint.base} cannot be reached: {error}",
                        hint="Is the server running, and is that its address? Most end in /v1.",
                    ) from None
                await clock.sleep(backoff_s(unconnected, draw))

    def require_welcome(self, reply: Reply) -> None:
        """Raise EngineError for a reply after which no other request has a chance: a wrong key, no money, elsewhere."""
        status, base = reply.status, self.endpoint.base
        if status in (401, 403):
            advice = credentials.advice(self.endpoint, self.key)
            raise EngineError(f"{base} does not let us in (HTTP {status}: {self.words(reply)})", hint=advice)
        if status == 402 or (status == 429 and "insufficient_quota" in answers.error_code(reply.body)):
            raise EngineError(
                f"{base} wants to be paid (HTTP {status}: {self.words(reply)})",
                hint="Top up the account there, then run the same command again.",
            )
        if 300 <= status < 400:
            target = answers.cleaned(_host(reply.headers.get("location", "")), self.key)
            elsewhere = f" to {target}" if target else ""
            raise EngineError(
                f"{base} redirects{elsewhere} (HTTP {status}), and a key is not sent on",
                hint="Give --model the address that it redirects to, if you trust it.",
            )

    def words(self, reply: Reply) -> str:
        """Return what a reply's body says, fit to be shown."""
        return answers.said(reply.body, self.key) or "no message"

    def _read(self, reply: Reply) -> list[ListedModel] | None:
        try:
            models = answers.read_models(reply.body)
        except Nonsense:
            return None
        # A name that repeats the key would end up in the project.
        return [model for model in models if self.key is None or not self.key.is_in(model.name)]

    def _reason(self, error: Exception, otherwise: str) -> str:
        return answers.cleaned(str(error), self.key) or otherwise


def _host(location: str) -> str:
    """Return the host that a redirect names, without a user's name; it may name none, or be no address at all."""
    try:
        return urlsplit(location).netloc.rpartition("@")[2]
    except ValueError:
        return ""


async def _whole(response: httpx2.Response) -> bytes:
    # An error's reason stands at its beginning; of an answer all is needed.
    is_error = response.status_code >= 300
    most = LARGEST_ERROR if is_error else LARGEST_BODY
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise Lost("a compressed answer, though compression was declined")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > most:
            if is_error:
                return bytes(body[:most])
            raise Lost(f"an answer of more than {LARGEST_BODY >> 20} MiB")
    return bytes(body)


def _encoded(body: Mapping[str, Any]) -> bytes:
    # ASCII only, so that lone surrogates in a data set are no error here.
    return json.dumps(body, ensure_ascii=True, allow_nan=False).encode("ascii")


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class _ThreadPerCall(ThreadPoolExecutor):
    """Looks names up in daemon threads: a name server that does not answer holds up no end."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call `fn` in a thread of its own."""
        future: Future[T] = Future()

        def call() -> None:
            future.set_running_or_notify_cancel()  # from here on it cannot be cancelled, and has a result
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=call, name="name look-up", daemon=True).start()
        return future


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in an event loop of its own, which ends without waiting for look-ups."""

    async def promptly() -> T:
        asyncio.get_running_loop().set_default_executor(_ThreadPerCall(max_workers=1))
        return await main

    return asyncio.run(promptly())


def first_model(endpoint: Endpoint, key: Key | None, timeout_s: float = TIMEOUT_S) -> ListedModel:
    """Return the first model that a server lists; raises EngineError, and ModelError if it lists none."""

    async def ask() -> list[ListedModel] | None:
        server = Server(endpoint, key, timeout_s=timeout_s)
        try:
            return await server.listed(Clock(), random.Random())
        finally:
            await server.close()

    models = run(ask())
    if not models:
        raise ModelError(
            f"{endpoint.base} does not say which models it has",
            hint=f"Name one: --model '{endpoint.base}#model-name'. Most addresses end in /v1.",
        )
    return models[0]
