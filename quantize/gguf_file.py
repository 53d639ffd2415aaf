"""Writing GGUF files: tensor by tensor in bounded memory, and whole or not at all."""

import math
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from quantize.errors import ConversionError

# Values held in memory at a time while a tensor is read, encoded and written: 64 MiB as float32.
CHUNK_VALUES = 1 << 24

# Called with a tensor's name, how much is done, and how much there is.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TensorSource:
    """A tensor to be written: its GGUF name, its shape (rows first), its GGML type, and where its rows come from.

    `rows(start, stop)` returns those entries of the first axis as float32 or float16.
    """

    name: str
    shape: tuple[int, ...]
    type: gguf.GGMLQuantizationType
    rows: Callable[[int, int], NDArray[np.floating]]

    @property
    def bytes(self) -> int:
        """Size of the encoded tensor."""
        return math.prod(gguf.quant_shape_to_byte_shape(self.shape, self.type))

    def chunks(self) -> Iterator[NDArray[np.generic]]:
        """The encoded tensor, some whole rows at a time: GGML blocks never cross a row, so the bytes are the same.

        Raises `ConversionError` for a value that float16 cannot hold.
        """
        step = max(1, CHUNK_VALUES // math.prod(self.shape[1:]))
        half = self.type == gguf.GGMLQuantizationType.F16
        for start in range(0, self.shape[0], step):
            values = self.rows(start, min(start + step, self.shape[0]))
            try:
                with np.errstate(over="raise" if half else "ignore"):
                    yield gguf.quants.quantize(values, self.type)
            except FloatingPointError as error:
                raise ConversionError(f"{self.name} holds values beyond float16: choose BF16 or F32") from error


@contextmanager
def scratch_path(destination: Path) -> Iterator[Path]:
    """An unused path beside `destination`; whatever is there at the end is removed."""
    path = destination.parent / f".{destination.name}.{secrets.token_hex(4)}.part"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def whole_file(destination: Path) -> Iterator[Path]:
    """A path whose file, synced to disk, is renamed to `destination` only if the block ends without an error."""
    with scratch_path(destination) as partial:
        yield partial
        _sync(partial)
        partial.replace(destination)
    if os.name == "posix":
        _sync(destination.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_gguf(
    path: Path,
    architecture: str,
    add_metadata: Callable[[gguf.GGUFWriter], None],
    tensors: Sequence[TensorSource],
    progress: Progress | None = None,
) -> None:
    """Write one GGUF file in the order of `tensors`, holding `CHUNK_VALUES` values at a time; progress is in bytes."""
    writer = gguf.GGUFWriter(path=None, arch=architecture)
    try:
        for tensor in tensors:
            writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.bytes, raw_dtype=tensor.type)
        add_metadata(writer)
        writer.write_header_to_file(path=path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        assert writer.fout is not None
        file = writer.fout[0]
        writer.write_padding(file, file.tell())
        done, total = 0, sum(tensor.bytes for tensor in tensors)
        for tensor in tensors:
            for chunk in tensor.chunks():
                file.write(chunk.data)
                done += chunk.nbytes
                if progress:
                    progress(tensor.name, done, total)
            writer.write_padding(file, tensor.bytes)
    finally:
        writer.close()
