"""A GGUF file's header, read before llama.cpp sees it: what it announces must be in the file.

Nothing is kept and nothing is allocated by what the file says. The layout is that of
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; the tensors' own entries are left to llama.cpp.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

VERSIONS = (2, 3)
"""Others are laid out otherwise; llama.cpp says so."""
STRING, ARRAY = 8, 9
WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of each type of number."""
LEAST_VALUE_BYTES = 14
"""Of a metadata entry: key's length, a letter, type, a value of one byte."""
LEAST_TENSOR_BYTES = 32
"""Of a tensor's entry: name's length, number of sides, a side, type, offset."""
VOCABULARY_SIZE = b".vocab_size"

_LENGTH = struct.Struct("<Q")
_TYPE = struct.Struct("<I")
_ITEMS = struct.Struct("<IQ")


class HeaderError(Exception):
    """The header announces what is not in the file."""


def check(path: Path) -> None:
    """Read the metadata of a GGUF file through; raises HeaderError, or OSError where it cannot be read."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < 24:
            raise HeaderError(f"the file is cut short ({size} bytes)")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            magic, version, tensors, values = struct.unpack_from("<4sIQQ", data)
            if magic != b"GGUF" or version not in VERSIONS:
                return
            if values > size // LEAST_VALUE_BYTES:
                raise HeaderError(f"it announces {values} metadata entries in {size} bytes")
            if tensors > size // LEAST_TENSOR_BYTES:
                raise HeaderError(f"it announces {tensors} tensors in {size} bytes")
            try:
                _read_values(data, values, size)
            except (struct.error, OverflowError):  # beyond the end, or beyond what can be a place
                raise HeaderError("its metadata are cut short") from None


def _read_values(data: mmap.mmap, count: int, size: int) -> None:
    place = 24
    for _ in range(count):
        start = place + 8
        place = _after_string(data, place, size)
        key = data[start:place] if place - start < 1024 else b""
        (kind,) = _TYPE.unpack_from(data, place)
        place += 4
        if kind == STRING:
            place = _after_string(data, place, size)
        elif kind == ARRAY:
            items, length = _ITEMS.unpack_from(data, place)
            place = after_array(data, place + 12, items, length, size)
        elif kind not in WIDTHS:
            raise HeaderError(f"its metadata have a value of the unknown type {kind}")
        else:
            width = WIDTHS[kind]
            if place + width > size:
                raise HeaderError("its metadata are cut short")
            # llama.cpp makes room for so many tokens where the file has no list of them.
            if key.endswith(VOCABULARY_SIZE) and int.from_bytes(data[place : place + width], "little") > size:
                raise HeaderError("its vocabulary would be larger than the file")
            place += width


def _after_string(data: mmap.mmap, place: int, size: int) -> int:
    (length,) = _LENGTH.unpack_from(data, place)
    place += 8 + int(length)
    if place > size:
        raise HeaderError("a text in its metadata is longer than the file")
    return place


def after_array(data: mmap.mmap, place: int, items: int, length: int, size: int) -> int:
    """Return where a list ends that begins at `place`; raises HeaderError where it cannot be in `size` bytes."""
    width = 8 if items == STRING else WIDTHS.get(items)
    if width is None:
        raise HeaderError(f"its metadata have a list of the unknown type {items}")
    if length > (size - place) // width:
        raise HeaderError(f"a list in its metadata has {length} items, more than the file can hold")
    if items != STRING:
        return place + int(length) * width
    # Hundreds of thousands of tokens: no call for each.
    unpack = _LENGTH.unpack_from
    for _ in range(length):
        place += 8 + unpack(data, place)[0]
    if place > size:
        raise HeaderError("a text in its metadata is longer than the file")
    return place
