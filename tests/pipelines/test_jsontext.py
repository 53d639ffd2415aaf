"""Lines of JSON: the quick way and the careful way agree on every text, be it JSON or not."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from augtui.pipelines import jsontext


class Pairs(tuple[Any, ...]):
    """The members of an object, of which two may have one name."""


TEXTS = st.text(st.characters(), max_size=20)
"""Lone surrogates, control characters and all planes among them."""
NAMES = st.sampled_from(["a", "b", "\xe4", ""]) | TEXTS
NUMBERS = st.integers(-(10**40), 10**40) | st.floats() | st.sampled_from([2**63, 2**64, -(2**63) - 1, 5e-324, 1.7e308])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.lists(st.tuples(NAMES, inner), max_size=4).map(Pairs),
    max_leaves=12,
)


def written(value: Any, escaped: bool) -> str:
    """Return a value as JSON, NaN and infinities as Python writes them."""
    if isinstance(value, Pairs):
        members = (f"{written(name, escaped)}:{written(one, escaped)}" for name, one in value)
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(one, escaped) for one in value) + "]"
    return json.dumps(value, ensure_ascii=escaped)


def careful(line: bytes) -> Any:
    """Return what the standard library's parser reads, or why it refuses it."""
    try:
        return jsontext.parse(line.decode().removeprefix("\ufeff"))
    except UnicodeDecodeError:
        return jsontext.Refused(jsontext.NOT_UTF8)
    except jsontext.Refused as refused:
        return refused


def agree(line: bytes) -> None:
    """Check that both ways read the same value, to the bit and in the same order, or refuse it for the same reason."""
    expected = careful(line)
    if isinstance(expected, jsontext.Refused):
        with pytest.raises(jsontext.Refused) as caught:
            jsontext.parse_line(line)
        assert caught.value.reason == expected.reason
    else:
        assert exact(jsontext.parse_line(line)) == exact(expected)


def exact(value: Any) -> Any:
    """Return a value so that equality is that of types, of the order of members and of the sign of zeros."""
    if isinstance(value, dict):
        return [(name, exact(one)) for name, one in value.items()]
    if isinstance(value, list):
        return ("list", [exact(one) for one in value])
    if isinstance(value, float):
        assert math.isfinite(value)
        return ("float", value.hex())
    return (type(value).__name__, value)


@given(VALUES, st.booleans())
def test_all_of_json_is_read_alike(value: Any, escaped: bool) -> None:
    agree(written(value, escaped).encode("utf-8", "surrogatepass"))


@given(VALUES, st.booleans(), st.data())
def test_damaged_json_is_read_or_refused_alike(value: Any, escaped: bool, data: st.DataObject) -> None:
    line = written(value, escaped).encode("utf-8", "surrogatepass")
    at = data.draw(st.integers(0, len(line)))
    until = data.draw(st.integers(at, min(len(line), at + 3)))
    agree((line[:at] + data.draw(st.binary(max_size=3)) + line[until:]).replace(b"\n", b" ") or b"x")


@given(st.from_regex(rb"\A[ \t]?-?[0-9]{1,400}(\.[0-9]{0,400})?([eE][-+]?[0-9]{0,4})?\Z"))
@example(b"1e309")
@example(b"-0")
@example(b"-0.0")
@example(b"2.4703282292062328e-324")
@example(b"0." + b"0" * 400 + b"1e400")
@example(b"9" * 4300)
@example(b"9" * 4301)
@example(b"1" + b"0" * 5000 + b".5")
def test_numbers_are_read_alike(line: bytes) -> None:
    agree(line)


@pytest.mark.parametrize("depth", [99, 100, 101, 102, 900, 5000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depths_are_refused_alike(depth: int, opening: bytes, closing: bytes) -> None:
    agree(opening * depth + b"1" + closing * depth)
    agree(opening * depth + b"1")


@pytest.mark.parametrize(
    "line",
    [b"\xef\xbb\xbf{}", b"\xef\xbb\xbf\xef\xbb\xbf{}", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xed\xa0\x80"', b"NaN",
     b'{"a":"\\ud800","a":1}', b'{"a":1,"b":2,"a":3}', b'"\x7f\xc2\x85\xe2\x80\xa8"', b'"\t"', b"[1,]", b"{'a':1}",
     b"{} {}", b"\x0c{}", b"\xc2\xa0{}", b'"\\u0000"', b"'", b'"\\', b"[" * 101 + b'"\\ud800"' + b"]" * 101],
)  # fmt: skip
def test_usual_suspects_are_read_or_refused_alike(line: bytes) -> None:
    agree(line)
