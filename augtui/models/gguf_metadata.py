"""What a GGUF file says of itself: its metadata and its tensors' types, read without the weights.

`augtui.engines.gguf_header.check` comes first: only what is in the file is ever allocated, and lists (the vocabulary)
are counted, not kept. The layout is that of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import mmap
import struct
from collections import Counter
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from augtui.engines import gguf_header
from augtui.engines.shards import files_of

NUMBERS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
STRING, ARRAY = gguf_header.STRING, gguf_header.ARRAY
LONGEST_TEXT = 1 << 20
"""Of a text that is kept, in bytes: the longest chat templates are a hundredth of it."""
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
}  # fmt: skip
"""`general.file_type` (llama.h, llama_ftype)."""
TENSOR_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K",
    13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL",
    21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip
"""ggml.h, ggml_type."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of a model."""

    values: dict[str, Any]
    """Texts and numbers by their keys; of lists the number of items."""
    tensors: Counter[str] = field(default_factory=Counter)
    """How many tensors there are of each type."""
    parameters: int = 0

    def of_architecture(self, key: str) -> Any:
        """Return a value whose key begins with the architecture's name, or None."""
        return self.values.get(f"{self.values.get('general.architecture')}.{key}")

    @property
    def quantization(self) -> str | None:
        """Return the type that the file says it is of, or None."""
        return FILE_TYPES.get(self.values.get("general.file_type", -1))

    @property
    def cell_bytes(self) -> int:
        """Return the bytes that one token's keys and values take in f16; 0 where the file does not tell."""
        layers, heads = self.of_architecture("block_count"), self.of_architecture("attention.head_count")
        shared = self.of_architecture("attention.head_count_kv") or heads
        width = self.of_architecture("embedding_length")
        if not all(isinstance(number, int) and number > 0 for number in (layers, heads, shared, width)):
            return 0
        size = self.of_architecture("attention.key_length") or width // heads
        return int(2 * 2 * layers * shared * size)


def read(path: Path) -> Metadata:
    """Return the metadata of a GGUF file, and the tensors of all shards where it is a split model's first.

    Raises HeaderError for a file that announces what is not in it or is no GGUF file, and OSError.
    """
    values: dict[str, Any] = {}
    tensors: Counter[str] = Counter()
    parameters = 0
    for number, file in enumerate(files_of(path)):
        gguf_header.check(file)
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            magic, version, tensor_count, value_count = struct.unpack_from("<4sIQQ", data)
            if magic != b"GGUF" or version not in gguf_header.VERSIONS:
                raise gguf_header.HeaderError("it is no GGUF file of version 2 or 3")
            found, place = _values(data, value_count)
            try:
                place = _tensors(data, place, tensor_count, tensors)
            except (struct.error, OverflowError):
                raise gguf_header.HeaderError("its list of tensors is cut short") from None
            parameters += tensors.pop("", 0)
        if number == 0:
            values = found
    return Metadata(values, tensors, parameters)


def early_text(path: Path, wanted: str) -> str | None:
    """Return a text that stands before the vocabulary in a file's metadata, or None; never raises for a bad file.

    The vocabulary, which may be megabytes, is not read.
    """
    try:
        with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            (count,) = struct.unpack_from("<Q", data, 16)
            place = 24
            for _ in range(count):
                key, place = _text(data, place)
                if key.startswith("tokenizer."):
                    return None
                (kind,) = struct.unpack_from("<I", data, place)
                value, place = _value(data, kind, place + 4)
                if key == wanted:
                    return value if isinstance(value, str) else None
    except (OSError, ValueError, struct.error, OverflowError, KeyError, gguf_header.HeaderError):
        return None
    return None


def _values(data: mmap.mmap, count: int) -> tuple[dict[str, Any], int]:
    values: dict[str, Any] = {}
    place = 24
    for _ in range(count):
        key, place = _text(data, place)
        (kind,) = struct.unpack_from("<I", data, place)
        place += 4
        values[key], place = _value(data, kind, place)
    return values, place


def _value(data: mmap.mmap, kind: int, place: int) -> tuple[Any, int]:
    """Return a value of a type, of a list its length, and where it ends."""
    if kind == STRING:
        return _text(data, place)
    if kind == ARRAY:
        items, length = struct.unpack_from("<IQ", data, place)
        return length, gguf_header.after_array(data, place + 12, items, length, len(data))
    (value,) = struct.unpack_from(NUMBERS[kind], data, place)
    return value, place + struct.calcsize(NUMBERS[kind])


def _tensors(data: mmap.mmap, place: int, count: int, tensors: Counter[str]) -> int:
    """Count the tensors by type, and their elements under the empty name; returns where the list ends."""
    for _ in range(count):
        (length,) = struct.unpack_from("<Q", data, place)
        place += 8 + length
        (sides,) = struct.unpack_from("<I", data, place)
        if sides > 8:
            raise gguf_header.HeaderError(f"a tensor has {sides} sides")
        shape = struct.unpack_from(f"<{sides}Q", data, place + 4)
        (kind,) = struct.unpack_from("<I", data, place + 4 + 8 * sides)
        place += 4 + 8 * sides + 4 + 8
        tensors[TENSOR_TYPES.get(kind, f"type {kind}")] += 1
        tensors[""] += prod(shape)
    return place


def _text(data: mmap.mmap, place: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", data, place)
    end = place + 8 + length
    return data[place + 8 : min(end, place + 8 + LONGEST_TEXT)].decode("utf-8", "replace"), end
