"""How the weights of a GGUF file are stored, by its own word: Q4_K_M, F16 and the like."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
}  # fmt: skip
"""`llama_ftype` (llama.h)."""
KEY = b"general.file_type"
UINT32, STRING, ARRAY = 4, 8, 9
WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
LONGEST = 1 << 20
"""Longest text or list that is passed over on the way; longer ones mean that the type is not to be found."""


def file_type(path: Path) -> str | None:
    """Return the type that the file names, or None if it names none, or is not a readable GGUF file.

    Converters write it before the vocabulary, so only the beginning is read.
    """
    try:
        with path.open("rb") as file:
            return _find(file)
    except (OSError, struct.error, ValueError, KeyError):
        return None


def _find(file: BinaryIO) -> str | None:
    magic, _version, _tensors, count = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF":
        return None
    for _ in range(min(count, 4096)):
        key = _text(file)
        kind = _number(file, "<I")
        if key == KEY and kind == UINT32:
            return FILE_TYPES.get(_number(file, "<I"))
        if kind == STRING:
            _text(file)
        elif kind == ARRAY:
            items, length = struct.unpack("<IQ", file.read(12))
            if length > LONGEST:
                return None
            if items == STRING:
                for _ in range(length):
                    _text(file)
            else:
                file.seek(WIDTHS[items] * length, 1)
        else:
            file.seek(WIDTHS[kind], 1)
    return None


def _number(file: BinaryIO, layout: str) -> int:
    return int(struct.unpack(layout, file.read(struct.calcsize(layout)))[0])


def _text(file: BinaryIO) -> bytes:
    length = _number(file, "<Q")
    if length > LONGEST:
        raise ValueError("too long a text")
    return file.read(length)
