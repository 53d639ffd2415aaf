"""GGUF headers: a sound file passes, one that announces more than it holds is refused in no time."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.engines.gguf_header import HeaderError, check
from tests.reliability.gguf_layout import ARRAY, STRING, U32, U64, Layout, Value, base_models

BASES = base_models()


@pytest.mark.parametrize("name", BASES)
def test_a_sound_file_passes(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(BASES[name].pack())
    check(path)


def test_the_default_model_passes(default_model: Path) -> None:
    check(default_model)


def bomb(body: bytes, *, tensors: int = 0, values: int = 1) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, values) + body


def entry(kind: int, rest: bytes) -> bytes:
    return struct.pack("<Q", 1) + b"a" + struct.pack("<I", kind) + rest


BOMBS = {
    "entries": (bomb(b"", values=2**40), "metadata entries"),
    "tensors": (bomb(b"", tensors=2**62), "tensors"),
    "key": (bomb(struct.pack("<Q", 2**63) + bytes(9)), "longer than the file"),
    "string": (bomb(entry(STRING, struct.pack("<Q", 2**31))), "longer than the file"),
    "numbers": (bomb(entry(ARRAY, struct.pack("<IQ", 0, 2**63))), "more than the file can hold"),
    "strings": (bomb(entry(ARRAY, struct.pack("<IQ", STRING, 2**60))), "more than the file can hold"),
    "lists in lists": (bomb(entry(ARRAY, struct.pack("<IQ", ARRAY, 1) * 1000)), "unknown type 9"),
    "unknown type": (bomb(entry(77, bytes(8))), "unknown type 77"),
    "cut in a number": (bomb(entry(U64, bytes(4))), "cut short"),
    "a string of a list": (bomb(entry(ARRAY, struct.pack("<IQQ", STRING, 1, 2**64 - 1))), "longer than the file"),
    "strings of a list": (
        bomb(entry(ARRAY, struct.pack("<IQQQ", STRING, 2, 2**64 - 1, 0))),
        "longer than the file|cut short",
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused(kind: str, tmp_path: Path) -> None:
    data, message = BOMBS[kind]
    path = tmp_path / "bomb.gguf"
    path.write_bytes(data)
    with pytest.raises(HeaderError, match=message):
        check(path)


def test_a_vocabulary_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    layout = BASES["llama-q4_0"].copy()
    layout.values.append(Value(b"llama.vocab_size", U32, 2**31))
    path = tmp_path / "model.gguf"
    path.write_bytes(layout.pack())
    with pytest.raises(HeaderError, match="vocabulary"):
        check(path)


def test_what_llama_cpp_explains_better_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    for data in (b"GGUF" + struct.pack("<IQQ", 99, 2**60, 2**60), b"GGML" + bytes(30)):
        path.write_bytes(data)
        check(path)


@given(st.binary(max_size=400), st.integers(0, 2**64 - 1), st.integers(0, 40))
def test_any_bytes_pass_or_are_refused(tmp_path_factory: pytest.TempPathFactory, body: bytes, t: int, v: int) -> None:
    path = tmp_path_factory.getbasetemp() / "any.gguf"
    path.write_bytes(bomb(body, tensors=t % 3 or t, values=v))
    try:
        check(path)
    except HeaderError as error:
        assert "\n" not in str(error)


def test_an_empty_layout_passes(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(Layout([], [], b"").pack())
    check(path)
