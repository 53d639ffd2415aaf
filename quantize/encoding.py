"""Rows of weights to the bytes of a GGML type, exactly as llama.cpp's converter makes them."""

from functools import cache

import gguf
import numpy as np
from numpy.typing import NDArray

from quantize.errors import ConversionError

# Rows as they are stored: float32, float16, or the bits of bfloat16 (numpy has no such type) as uint16.
Rows = NDArray[np.floating] | NDArray[np.uint16]

_BFLOAT16 = np.dtype("<u2")
# Magnitudes of bfloat16 from here on are infinities and NaNs.
_BFLOAT16_INFINITE = 0x7F80


def widen(rows: Rows) -> NDArray[np.floating]:
    """The rows as floats: bfloat16 is the upper half of a float32."""
    floats: NDArray[np.floating] = rows  # type: ignore[assignment]
    if rows.dtype == _BFLOAT16:
        floats = (rows.astype("<u4") << 16).view("<f4")
    return floats


def is_finite(rows: Rows) -> bool:
    """Whether no value is infinite or a NaN."""
    if rows.dtype == _BFLOAT16:
        return rows.size == 0 or int((rows.view("<u2") & 0x7FFF).max()) < _BFLOAT16_INFINITE
    return bool(np.isfinite(rows).all())


def encode(rows: Rows, kind: gguf.GGMLQuantizationType, name: str) -> NDArray[np.generic]:
    """The encoded rows of the tensor `name`. Raises `ConversionError` for a value that float16 cannot hold."""
    if kind == gguf.GGMLQuantizationType.BF16 and rows.dtype == _BFLOAT16:
        return rows
    if kind != gguf.GGMLQuantizationType.F16:
        encoded: NDArray[np.generic] = gguf.quants.quantize(widen(rows), kind)
        return encoded
    halves = _halves()[rows] if rows.dtype == _BFLOAT16 else _as_half(widen(rows))
    if not is_finite(halves):
        raise ConversionError(f"{name} holds values beyond float16: choose BF16 or F32")
    return halves


def _as_half(rows: NDArray[np.floating]) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        return rows.astype(np.float16, copy=False)


@cache
def _halves() -> NDArray[np.float16]:
    """The float16 of every bfloat16: looking it up is many times faster than computing it."""
    return _as_half(widen(np.arange(1 << 16, dtype=_BFLOAT16)))
