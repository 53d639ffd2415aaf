"""Reading small GGUF files of float32 tensors, such as importance matrices, from anywhere.

The `gguf` package believes the lengths that a file announces, and a file of 51 bytes can exhaust the memory. Here every
length is compared with what is left of the file before anything is made of it. The layout is that of
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.errors import ConversionError

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_F32, _ALIGNMENT = 0, 32
_MOST_DIMENSIONS = 4


class _Bytes:
    """The file's bytes and a place in them."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.place:
            raise ValueError("a length beyond its end")
        self.place += size
        return self.data[self.place - size : self.place]

    def number(self, letter: str) -> Any:
        return struct.unpack(f"<{letter}", self.take(struct.calcsize(f"<{letter}")))[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            items, length = self.number("I"), self.number("Q")
            if items == _ARRAY:
                raise ValueError("a list of lists")
            least = 8 if items == _STRING else struct.calcsize(_NUMBERS[items])
            if length > (len(self.data) - self.place) // least:
                raise ValueError("a list longer than the file")
            return [self.value(items) for _ in range(length)]
        return self.number(_NUMBERS[kind])


def read_floats(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """The metadata and the tensors, rows first, of a GGUF file that holds float32 alone.

    Raises `ConversionError` for a file that is not one, or is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConversionError(f"{path} cannot be read: {error.strerror}") from error
    if data[:4] != b"GGUF":
        raise ConversionError(f"{path} is no GGUF file")
    try:
        return _read(_Bytes(data))
    except (ValueError, KeyError, TypeError, struct.error) as error:  # decoding errors are value errors
        raise ConversionError(f"{path} is damaged or of another kind: {error}") from error


def _read(file: _Bytes) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    file.take(8)  # magic and version
    tensor_count, value_count = file.number("Q"), file.number("Q")
    values: dict[str, Any] = {}
    for _ in range(value_count):  # each takes bytes of the file, so a false count ends at its end
        key = file.text()
        values[key] = file.value(file.number("I"))
    places: dict[str, tuple[tuple[int, ...], int]] = {}
    for _ in range(tensor_count):
        name, dimensions = file.text(), file.number("I")
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        shape = tuple(file.number("Q") for _ in range(dimensions))[::-1]
        if file.number("I") != _F32:
            raise ValueError(f"{name} is not float32")
        places[name] = shape, file.number("Q")
    start = file.place + -file.place % int(values.get("general.alignment", _ALIGNMENT) or _ALIGNMENT)
    tensors = {}
    for name, (shape, offset) in places.items():
        file.place = start + offset
        tensors[name] = np.frombuffer(file.take(4 * math.prod(shape)), "<f4").reshape(shape)
    return values, tensors
