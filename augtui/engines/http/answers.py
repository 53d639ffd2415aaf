"""What a server answered, read strictly: it may be anything, and nothing of it is trusted."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from augtui.domain.visible import visible
from augtui.engines.base import FinishReason
from augtui.engines.http.credentials import Key
from augtui.engines.http.endpoint import is_name
from augtui.engines.http.spending import MILLION, Prices

LONGEST_MESSAGE = 300
"""Characters of a server's own words that are shown."""
LONGEST_TEXT = 1 << 20
"""Characters of an answer; `max_tokens` would have to be thousands, and ignored, for more."""
MOST_TOKENS = 1 << 31
MOST_DOLLARS = 1_000_000.0
MOST_DIMENSIONS = 1 << 16
_SURROGATES = re.compile("[\ud800-\udfff]")
_TAGS = re.compile(r"<(?:style|script)\b.*?</(?:style|script)>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_OVERFLOW = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context length|context (?:size|window|length)|"
    r"exceeds? the (?:model'?s )?context",
    re.IGNORECASE,
)
_FORMATS = re.compile(r"response_format|json_?\s?schema|grammar|guided|structured", re.IGNORECASE)


class Nonsense(Exception):
    """An answer that is none; the message says why, in augtui's words. `usage` is what was billed, if it was told."""

    def __init__(self, message: str, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.usage = usage


class ServerTrouble(Exception):
    """An error inside an answer whose status says success (OpenRouter); `status` is the error's own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Usage:
    """What a server says that a request used; `cost` in US dollars, where it tells it."""

    prompt_tokens: int
    completion_tokens: int
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """A chat completion's one choice; `refusal` is why there is none (the server's words, not yet cleaned)."""

    text: str
    finish_reason: FinishReason
    usage: Usage | None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model as GET /models lists it."""

    name: str
    context: int | None = None
    """Longest prompt plus answer in tokens, where the server tells it (vLLM, llama-server, OpenRouter)."""
    prices: Prices | None = None
    """Where the server tells them (OpenRouter)."""


def read_chat(body: bytes) -> ChatAnswer:
    """Read a chat completion; raises Nonsense and ServerTrouble."""
    content = _object(body)
    _raise_error(content)
    usage = _usage(content)
    choices = content.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise Nonsense("an answer without its one choice", usage)
    choice = choices[0]
    message, reason = choice.get("message"), choice.get("finish_reason")
    if reason is not None and not isinstance(reason, str):
        raise Nonsense("a finish_reason that is no text", usage)
    if reason in ("abort", "error"):
        raise Nonsense("an answer that the server broke off", usage)
    if not isinstance(message, dict):
        raise Nonsense("a choice without a message", usage)
    if isinstance(refusal := message.get("refusal"), str) and refusal:
        return ChatAnswer("", "stop", usage, refusal)
    if reason == "content_filter":
        return ChatAnswer("", "stop", usage, "the server's content filter stopped the answer")
    text = message.get("content")
    if text is None and reason == "length":
        text = ""  # all of it went into reasoning
    if not isinstance(text, str):
        raise Nonsense("a message without text" if text is None else "a message whose content is no text", usage)
    if len(text) > LONGEST_TEXT:
        raise Nonsense("an answer far longer than was asked for", usage)
    return ChatAnswer(_SURROGATES.sub("\ufffd", text), "length" if reason == "length" else "stop", usage)


def read_embedding(body: bytes) -> tuple[tuple[float, ...], Usage | None]:
    """Read one embedding and scale it to length (L2 norm) 1; raises Nonsense and ServerTrouble."""
    content = _object(body)
    _raise_error(content)
    usage = _usage(content)
    data = content.get("data")
    if not isinstance(data, list) or len(data) != 1 or not isinstance(data[0], dict):
        raise Nonsense("an answer without its one embedding", usage)
    values = data[0].get("embedding")
    if not isinstance(values, list) or not 0 < len(values) <= MOST_DIMENSIONS:
        raise Nonsense("an embedding that is no list of numbers", usage)
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        raise Nonsense("an embedding that is no list of numbers", usage)
    try:
        vector = [float(value) for value in values]
        length = math.hypot(*vector)
    except OverflowError:
        raise Nonsense("an embedding of infinite length", usage) from None
    if not math.isfinite(length) or length == 0:
        raise Nonsense("an embedding without a direction", usage)
    return tuple(value / length for value in vector), usage


def read_models(body: bytes) -> list[ListedModel]:
    """Read GET /models; entries that make no sense are left out. Raises Nonsense."""
    content = _object(body)
    data = content.get("data")
    if not isinstance(data, list):
        raise Nonsense("a list of models that is none")
    found = []
    for entry in data:
        if isinstance(entry, dict) and isinstance(name := entry.get("id"), str) and is_name(name):
            found.append(ListedModel(name, _context(entry), _prices(entry.get("pricing"))))
    return found


def said(body: bytes, key: Key | None) -> str:
    """Return a server's error message, fit to be shown: without the key, without control characters, cut."""
    return cleaned(_message(body), key)


def cleaned(text: str, key: Key | None) -> str:
    """Return a server's words fit to be shown: one line without the key or control characters, cut."""
    text = text[: 64 * LONGEST_MESSAGE]
    if key is not None:
        text = key.redact(text)  # before it is cut, else the beginning of a key would be left
    shown = visible(" ".join(text.split()))
    return shown if len(shown) <= LONGEST_MESSAGE else f"{shown[: LONGEST_MESSAGE - 1]}…"


def faulted_fields(body: bytes) -> set[str]:
    """Return the request's fields that an error names: OpenAI's `param`, FastAPI's `loc`."""
    try:
        content = _object(body)
    except Nonsense:
        return set()
    error, detail = content.get("error"), content.get("detail")
    names: list[object] = [error.get("param")] if isinstance(error, dict) else []
    if isinstance(detail, list):
        for fault in detail:
            location = fault.get("loc") if isinstance(fault, dict) else None
            names += location if isinstance(location, list) else []
    return {name for name in names if isinstance(name, str)}


def error_code(body: bytes) -> str:
    """Return an error's own code, such as `insufficient_quota`; empty if it has none."""
    try:
        error = _object(body).get("error")
    except Nonsense:
        return ""
    codes = [error.get("code"), error.get("type")] if isinstance(error, dict) else []
    return " ".join(code for code in codes if isinstance(code, str))


def tells_of_overflow(text: str) -> bool:
    """Return whether an error message says that prompt and answer do not fit into the context."""
    return _OVERFLOW.search(text) is not None


def tells_of_formats(text: str) -> bool:
    """Return whether an error message is about a schema or a grammar."""
    return _FORMATS.search(text) is not None


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise Nonsense("an answer that is not JSON") from None
    if not isinstance(content, dict):
        raise Nonsense("an answer that is no JSON object")
    return content


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


def _raise_error(content: Mapping[str, Any]) -> None:
    error = content.get("error")
    if error is None:
        return
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code <= 599 else 500
    raise ServerTrouble(status, _words(error))


def _usage(content: Mapping[str, Any]) -> Usage | None:
    usage = content.get("usage")
    if usage is None:
        return None
    if not isinstance(usage, dict):
        raise Nonsense("a usage that is no object")
    prompt, completion = (_tokens(usage.get(name, 0)) for name in ("prompt_tokens", "completion_tokens"))
    cost = usage.get("cost")
    if cost is not None:
        if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost <= MOST_DOLLARS:
            raise Nonsense("a cost that is no sum of money")
        cost = float(cost)
    return Usage(prompt, completion, cost)


def _tokens(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
        raise Nonsense("a usage that is no number of tokens")
    return value


def _context(entry: Mapping[str, Any]) -> int | None:
    meta = entry.get("meta")
    told = [entry.get("max_model_len"), entry.get("context_length")]
    told += [meta.get("n_ctx"), meta.get("n_ctx_train")] if isinstance(meta, dict) else []
    for value in told:
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_TOKENS:
            return value
    return None


def _prices(pricing: object) -> Prices | None:
    """Read OpenRouter's prices: US dollars for one token, as text (https://openrouter.ai/docs/models)."""
    if not isinstance(pricing, dict):
        return None
    try:
        prompt, completion = float(pricing["prompt"]) * MILLION, float(pricing["completion"]) * MILLION
        request = float(pricing.get("request") or 0)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    # Negative prices are OpenRouter's sign for "it depends".
    if not all(0 <= price <= MOST_DOLLARS for price in (prompt, completion, request)):
        return None
    return Prices(prompt, completion, request)


def _message(body: bytes) -> str:
    try:
        return _words(json.loads(body))
    except (ValueError, RecursionError):
        return _TAGS.sub(" ", body.decode("utf-8", "replace"))


def _words(content: object) -> str:
    """Return the message in an error, wherever servers put it."""
    if isinstance(content, dict):
        for name in ("error", "message", "detail", "msg"):
            if content.get(name):
                return _words(content[name])
        return json.dumps(content)
    if isinstance(content, list):
        return "; ".join(_words(entry) for entry in _first(content))
    return str(content)


def _first(entries: Iterable[object]) -> list[object]:
    return list(entries)[:3]
