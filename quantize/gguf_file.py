"""Writing GGUF files tensor by tensor, in bounded memory."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from quantize.encoding import Rows, encode
from quantize.whole_file import require_space

# Values that are read, encoded and written at a time: 16 MiB as float32. Small enough to stay near the processor.
CHUNK_VALUES = 1 << 22

# Called with a tensor's name, how much is done, and how much there is.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TensorSource:
    """A tensor to be written: its GGUF name, its shape (rows first), its GGML type, and where its rows come from.

    `rows(start, stop)` returns those entries of the first axis as float32, float16 or the bits of bfloat16 (uint16).
    """

    name: str
    shape: tuple[int, ...]
    type: gguf.GGMLQuantizationType
    rows: Callable[[int, int], Rows]

    @property
    def bytes(self) -> int:
        """Size of the encoded tensor."""
        return math.prod(gguf.quant_shape_to_byte_shape(self.shape, self.type))

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield the rows to be encoded at a time: GGML blocks never cross a row, so the bytes are the same."""
        step = max(1, CHUNK_VALUES // max(1, math.prod(self.shape[1:])))
        for start in range(0, self.shape[0], step):
            yield start, min(start + step, self.shape[0])

    def encoded(self, start: int, stop: int) -> NDArray[np.generic]:
        """Rows `start` to `stop` as they are written. Raises `ConversionError` for a value the type cannot hold."""
        return encode(self.rows(start, stop), self.type, self.name)


def write_gguf(
    path: Path,
    architecture: str,
    add_metadata: Callable[[gguf.GGUFWriter], None],
    tensors: Sequence[TensorSource],
    progress: Progress | None = None,
) -> None:
    """Write one GGUF file in the order of `tensors`, a few chunks of `CHUNK_VALUES` at a time; progress is in bytes.

    Raises `OSError` if the disk has no room, `ConversionError` for what a tensor's rows cannot be made from.
    """
    done, total = 0, sum(tensor.bytes for tensor in tensors)
    require_space(path.parent, total, path.name.lstrip(".").partition(".gguf")[0])
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
        for tensor, chunk, is_last in _encoded(tensors):
            file.write(chunk.data)
            done += chunk.nbytes
            if progress:
                progress(tensor.name, done, total)
            if is_last:
                writer.write_padding(file, tensor.bytes)
    finally:
        writer.close()


def _encoded(tensors: Iterable[TensorSource]) -> Iterator[tuple[TensorSource, NDArray[np.generic], bool]]:
    """Yield every tensor's chunks in order; numpy works on as many at a time as there are processors."""
    workers = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    waiting: deque[tuple[TensorSource, Future[NDArray[np.generic]], bool]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="encode") as pool:
        try:
            for tensor in tensors:
                for start, stop in tensor.spans():
                    waiting.append((tensor, pool.submit(tensor.encoded, start, stop), stop == tensor.shape[0]))
                    if len(waiting) > workers:
                        found, chunk, is_last = waiting.popleft()
                        yield found, np.ascontiguousarray(chunk.result()), is_last
            while waiting:
                found, chunk, is_last = waiting.popleft()
                yield found, np.ascontiguousarray(chunk.result()), is_last
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
