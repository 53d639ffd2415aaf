"""Importance matrices: how much each column of each weight matters, in llama.cpp's GGUF form of an imatrix file.

For every matrix, the mean square of each input over the tokens of a text. Quantization then rounds so that the columns
that see large inputs keep their values best. After llama.cpp's tools/imatrix and common/imatrix-loader.cpp.
"""

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from quantize.errors import ConversionError
from quantize.float_file import read_floats
from quantize.whole_file import whole_file

_DATASETS, _CHUNKS, _CHUNK_SIZE = "imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"
_SUMS, _COUNTS = ".in_sum2", ".counts"


@dataclass(frozen=True)
class Importance:
    """Mean squares of each matrix's inputs, (inputs,) float32, by the matrix's GGUF name; and where they are from."""

    columns: dict[str, NDArray[np.float32]]
    file: str
    dataset: str
    chunks: int


@dataclass
class Sums:
    """Sums of squares of a matrix's inputs, and over how many tokens."""

    squares: NDArray[np.float64]
    tokens: int = 0


def write_importance(path: Path, sums: dict[str, Sums], dataset: str, chunks: int, chunk_size: int) -> None:
    """Write an imatrix file, whole or not at all, that llama-quantize takes too."""
    with whole_file(path) as partial:
        writer = gguf.GGUFWriter(path=None, arch="imatrix")
        # llama.cpp's files of this kind name no architecture.
        writer.kv_data[0].pop(gguf.Keys.General.ARCHITECTURE, None)
        writer.add_type("imatrix")
        writer.add_array(_DATASETS, [dataset])
        writer.add_uint32(_CHUNKS, chunks)
        writer.add_uint32(_CHUNK_SIZE, chunk_size)
        for name, each in sorted(sums.items()):
            writer.add_tensor(name + _SUMS, each.squares.astype(np.float32))
            writer.add_tensor(name + _COUNTS, np.array([each.tokens], dtype=np.float32))
        try:
            writer.write_header_to_file(path=partial)
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()


def read_importance(path: Path) -> Importance:
    """Read an imatrix file in GGUF form. Raises `ConversionError` if it is none, or damaged."""
    if not path.is_file():
        raise ConversionError(f"{path}: no such file")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ConversionError(f"{path} is no imatrix file in GGUF form: make it again with `quantize imatrix`")
    values, tensors = read_floats(path)
    sums, counts = (
        {name.removesuffix(end): found for name, found in tensors.items() if name.endswith(end)}
        for end in (_SUMS, _COUNTS)
    )
    chunks, datasets = values.get(_CHUNKS), values.get(_DATASETS)
    if not sums or not isinstance(chunks, int) or not isinstance(datasets, list):
        raise ConversionError(f"{path} is not an imatrix file")
    columns = {}
    for name, found in sums.items():
        count = counts.get(name)
        if count is None or count.size == 0 or found.size == 0 or found.size % count.size:
            raise ConversionError(f"{path} lacks counts that fit the sums of {name}: it is damaged")
        columns[name] = _means(found, count)
        if not np.isfinite(columns[name]).all():
            raise ConversionError(f"{path} holds infinities or NaNs for {name}: it is damaged")
    return Importance(columns, path.name, str(datasets[0]) if datasets else "", chunks)


def _means(sums: NDArray[np.float32], counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums (matrices, inputs) by counts (matrices, 1); matrices that no token reached weigh all columns alike."""
    rows = sums.reshape(counts.size, -1)
    by = counts.reshape(-1, 1)
    means = np.where(by > 0, rows / np.where(by > 0, by, 1), 1)
    return np.ascontiguousarray(means.reshape(-1), dtype=np.float32)
