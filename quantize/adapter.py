"""A PEFT LoRA adapter -> a GGUF adapter that llama.cpp adds to its base model. After convert_lora_to_gguf.py."""

from collections.abc import Callable, Iterator
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from quantize.architectures import Architecture, head_size
from quantize.checkpoint import Checkpoint, open_config
from quantize.convert import Interleaved, TensorNames, architecture_of, general, strictly, tensor_type
from quantize.encoding import Rows
from quantize.errors import ConversionError
from quantize.gguf_file import Progress, TensorSource, write_gguf
from quantize.lora import Adapter, LoraPair, open_adapter
from quantize.whole_file import whole_file

TYPES = ("F32", "F16", "BF16", "Q8_0")


def convert_adapter(
    folder: Path, base: Path, destination: Path, type_name: str = "F32", name: str | None = None,
    progress: Progress | None = None,
) -> int:  # fmt: skip
    """Convert the adapter in `folder` to a GGUF file, whole or not at all; returns how many weights it adapts.

    Of `base`, the checkpoint it was trained on, only config.json is read. llama.cpp scales every product by the file's
    alpha over the rank; adapters with several alphas have the difference multiplied into their second matrices.
    Raises `ConversionError` for what cannot be converted exactly, `OSError` if the disk fails.
    """
    kind = type_name.upper()
    if kind not in TYPES:
        raise ConversionError(f"unknown type {type_name!r} for an adapter: choose one of {', '.join(TYPES)}")
    with whole_file(destination) as partial, strictly(folder):
        adapter, checkpoint = open_adapter(folder), open_config(base)
        architecture = architecture_of(checkpoint)
        adapter.check(checkpoint, architecture.optional(checkpoint.config) | architecture.required(checkpoint.config))
        alpha = next(iter(adapter.pairs.values())).alpha

        def add_metadata(writer: gguf.GGUFWriter) -> None:
            writer.add_type(gguf.GGUFType.ADAPTER)
            writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
            general(folder, name, writer).set_gguf_meta_model(writer)
            writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
            writer.add_quantization_version(gguf.GGML_QUANT_VERSION)

        tensors = list(_plan(adapter, checkpoint, architecture, kind, alpha))
        write_gguf(partial, architecture.name, add_metadata, tensors, progress)
    return len(adapter.pairs)


def _plan(
    adapter: Adapter, base: Checkpoint, architecture: Architecture, kind: str, alpha: float
) -> Iterator[TensorSource]:
    new_names = TensorNames(architecture, base.config)
    for name, pair in adapter.pairs.items():
        new_name = new_names[name]
        if "_norm" in new_name or new_name.endswith(".bias"):
            raise ConversionError(f"{adapter.folder} adapts {name}, which llama.cpp's adapters cannot")
        a = _Transposed(pair) if pair.is_embedding else pair.a.stored_rows
        shape = (pair.a.shape[1], pair.rank) if pair.is_embedding else pair.a.shape
        b: Callable[[int, int], Rows] = pair.b.stored_rows
        if pair.alpha != alpha:
            b = _Scaled(pair, pair.alpha / alpha)
        if architecture.rotary_halves and name.endswith(("q_proj.weight", "k_proj.weight")):
            b = Interleaved(b, head_size(base.config))
        for end, sizes, read in ((".lora_a", shape, a), (".lora_b", pair.b.shape, b)):
            full_name = new_name + end
            yield TensorSource(full_name, sizes, tensor_type(sizes, full_name, kind), read)


class _Transposed:
    """Reads an embedding's first matrix as rows of tokens, (tokens, rank), as llama.cpp looks them up."""

    def __init__(self, pair: LoraPair) -> None:
        self._tensor = pair.a

    def __call__(self, start: int, stop: int) -> NDArray[np.floating]:
        return np.ascontiguousarray(self._tensor.rows(0, self._tensor.shape[0])[:, start:stop].T)


class _Scaled:
    """Reads a pair's second matrix multiplied by a factor, in float32."""

    def __init__(self, pair: LoraPair, factor: float) -> None:
        self._tensor, self._factor = pair.b, np.float32(factor)

    def __call__(self, start: int, stop: int) -> NDArray[np.float32]:
        return self._tensor.rows(start, stop).astype(np.float32) * self._factor
