"""JSON that comes from anybody: strict parsing with a short reason for whatever is refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, Final, Never

import msgspec

DEPTH_LIMIT: Final = 100
"""The most levels of lists and objects in one row; deeper ones would exhaust the stack when written again."""

BROKEN: Final = "broken JSON"
TOO_DEEP: Final = "nested too deeply"
NOT_FINITE: Final = "NaN or infinity"
HUGE_NUMBER: Final = "number too long"
SURROGATE: Final = "lone surrogate"
NOT_UTF8: Final = "not UTF-8"

_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")


class Refused(ValueError):
    """The text is no JSON that a record can be made of; `reason` says why in a few words."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


def _constant(_: str) -> Never:
    raise Refused(NOT_FINITE)


def _finite(literal: str) -> float:
    number = float(literal)
    if math.isinf(number):
        raise Refused(NOT_FINITE)
    return number


DECODER: Final = json.JSONDecoder(parse_constant=_constant, parse_float=_finite)

_SCAN: Final[Callable[[str, int], tuple[Any, int]]] = DECODER.scan_once  # type: ignore[attr-defined]

SHAPE_DECODER: Final = json.JSONDecoder(
    parse_constant=lambda _: None, parse_float=lambda _: None, parse_int=lambda _: None
)
"""Reads every number as None, so that it finds the end of a text that `DECODER` refuses for a number."""


_DECODE: Final = msgspec.json.Decoder().decode


def parse_line(line: bytes) -> Any:
    """Return the value of a JSON text in UTF-8, as `parse` does, at a quarter of its time. Raises Refused.

    What msgspec accepts, `parse` reads as the same value (so the laws in tests/pipelines/test_jsontext.py say); what it
    refuses, lone surrogates and a byte order mark among it, is judged by `parse`. Unlike others of its kind, msgspec
    keeps whole numbers of more than 64 bits.
    """
    try:
        value = _DECODE(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise Refused(NOT_UTF8) from None
        return parse(text.removeprefix("\ufeff"))
    if line.count(b"[") + line.count(b"{") > DEPTH_LIMIT and _too_deep(value):
        raise Refused(TOO_DEEP)
    return value


def parse(text: str) -> Any:
    """Return the value of a JSON text. Raises Refused."""
    try:
        value, end = _SCAN(text, 0) if text[:1] == "{" else (None, 0)
        if end != len(text):  # there may be space around it, or something that does not belong there
            value = DECODER.decode(text)
    except StopIteration:
        raise Refused(BROKEN) from None
    except (ValueError, RecursionError) as error:
        raise Refused(reason(error)) from None
    inspect(text, value)
    return value


def reason(error: ValueError | RecursionError) -> str:
    """Return the short reason for an error that `DECODER` raised."""
    if isinstance(error, Refused):
        return error.reason
    if isinstance(error, json.JSONDecodeError):
        return BROKEN
    # The one other ValueError: an integer with more digits than the interpreter converts.
    return TOO_DEEP if isinstance(error, RecursionError) else HUGE_NUMBER


def inspect(text: str, value: Any) -> None:
    """Raise Refused where a parsed `value` cannot be stored: too deep, or with text that is not Unicode."""
    if text.count("[") + text.count("{") > DEPTH_LIMIT and _too_deep(value):
        raise Refused(TOO_DEEP)
    if not text.isascii() and not encodable(text):
        raise Refused(NOT_UTF8)
    if "\\u" in text and _SURROGATE_ESCAPE.search(text) and not encodable(json.dumps(value, ensure_ascii=False)):
        raise Refused(SURROGATE)


def encodable(text: str) -> bool:
    """Return whether UTF-8 can hold the text, that is whether it has no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH_LIMIT + 1):
        level = [
            child
            for parent in level
            if isinstance(parent, list | dict)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return False
    return True
