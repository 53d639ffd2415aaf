"""Checkpoint -> GGUF: plan the tensors, describe the model, write the file. After llama.cpp's convert_hf_to_gguf.py."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from quantize.architectures import ARCHITECTURES, Architecture, head_size, interleave
from quantize.checkpoint import Checkpoint, StoredTensor, open_checkpoint, read_json
from quantize.encoding import Rows, widen
from quantize.errors import ConversionError
from quantize.gguf_file import Progress, TensorSource, write_gguf
from quantize.importance import Importance
from quantize.lora import Adapter, LoraPair, open_adapter
from quantize.quantize import file_type, quantize_gguf
from quantize.vocabulary import Vocabulary, read_vocabulary
from quantize.whole_file import scratch_path, whole_file

# Types written from the checkpoint itself. llama.cpp makes the others from an exact copy of the weights.
DIRECT = {
    "F32": gguf.GGMLQuantizationType.F32,
    "F16": gguf.GGMLQuantizationType.F16,
    "BF16": gguf.GGMLQuantizationType.BF16,
    "Q8_0": gguf.GGMLQuantizationType.Q8_0,
}
# Buffers that some checkpoints carry and no runtime needs.
_IGNORED = (".attention.masked_bias", ".attention.bias", ".rotary_emb.inv_freq")
PROMPTS = "augtui_prompts"
"""In config.json: how augtui asks the model, where that is not the paper's way."""
Reader = Callable[[int, int], Rows]
EMBEDDINGS = "model.embed_tokens.weight"
_ROTATED = ("q_proj.weight", "q_proj.bias", "k_proj.weight", "k_proj.bias")


def convert(
    folder: Path,
    destination: Path,
    type_name: str = "Q8_0",
    name: str | None = None,
    progress: Progress | None = None,
    *,
    merge: Path | None = None,
    importance: Importance | Callable[[Path], Importance] | None = None,
) -> int:
    """Convert the checkpoint in `folder` to a GGUF file of any llama.cpp type, whole or not at all.

    Returns how many matrices got another type because their rows do not fill blocks of this one.
    `name` is the model's name in the file (default: from the checkpoint, as llama.cpp's converter finds it).
    `merge` is a PEFT LoRA adapter that is added to the weights. `importance` weighs columns for types below 8 bits; a
    function computes it from the exact weights, which it finds in a GGUF file.
    Raises `ConversionError` for a checkpoint or type that cannot be converted, `OSError` if the disk fails.
    """
    kind = type_name.upper()
    file_type(kind)
    if importance and kind in DIRECT:
        raise ConversionError(
            f"an importance matrix changes nothing for {kind}: leave it out, or choose a smaller type"
        )
    with strictly(folder):
        model = open_model(folder, merge)
    if kind in DIRECT:
        with whole_file(destination) as partial, strictly(folder):
            return model.write(partial, kind, name, progress)
    with scratch_path(destination) as exact:
        with strictly(folder):
            model.write(exact, model.exact_type, name, progress)
        if callable(importance):
            importance = importance(exact)
        return quantize_gguf(exact, destination, kind, progress=progress, importance=importance)


@contextmanager
def strictly(folder: Path) -> Iterator[None]:
    """Any surprise inside becomes a `ConversionError`: the gguf package trusts what it reads from a checkpoint."""
    try:
        yield
    except (ConversionError, OSError, MemoryError):
        raise
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        raise ConversionError(
            f"{folder}: a value in its JSON files or README.md is of the wrong kind ({cause})"
        ) from error


@dataclass(frozen=True)
class Model:
    """A checkpoint that can be written as GGUF: what it is, its vocabulary, and an adapter that is merged into it."""

    checkpoint: Checkpoint
    architecture: Architecture
    vocabulary: Vocabulary
    adapter: Adapter | None = None

    @property
    def exact_type(self) -> str:
        """The smallest type that holds every weight as it is; float32 for the sum of a weight and an adapter."""
        stored = {tensor.type for tensor in self.checkpoint.tensors.values() if len(tensor.shape) > 1}
        return stored.pop() if len(stored) == 1 and self.adapter is None else "F32"

    def write(self, path: Path, kind: str, name: str | None = None, progress: Progress | None = None) -> int:
        """Write a GGUF file of a type in `DIRECT`; returns how many matrices got another type."""

        def add_metadata(writer: gguf.GGUFWriter) -> None:
            writer.add_type(gguf.GGUFType.MODEL)
            general(self.checkpoint.folder, name, writer).set_gguf_meta_model(writer)
            if isinstance(prompts := self.checkpoint.config.get(PROMPTS), str):
                writer.add_string("augtui.prompts", prompts)
            self.architecture.add_parameters(writer, self.checkpoint.config)
            writer.add_file_type(file_type(kind))
            writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
            self.vocabulary.add_to(writer)

        tensors = list(self._plan(kind))
        write_gguf(path, self.architecture.name, add_metadata, tensors, progress)
        return sum(len(tensor.shape) > 1 and tensor.type != DIRECT[kind] for tensor in tensors)

    def _plan(self, kind: str) -> Iterator[TensorSource]:
        """Every tensor to write, in the checkpoint's order, once none is missing, foreign or misshapen."""
        tensors = self._checked()
        for name, values in self.architecture.computed(self.checkpoint.config).items():
            yield TensorSource(name, values.shape, DIRECT["F32"], _Held(values))
        new_names = TensorNames(self.architecture, self.checkpoint.config)
        for tensor in tensors:
            new_name = new_names[tensor.name]
            yield TensorSource(new_name, tensor.shape, tensor_type(tensor.shape, new_name, kind), self._rows(tensor))

    def _checked(self) -> list[StoredTensor]:
        """The tensors to write, once it is known that they are those that config.json describes."""
        checkpoint, architecture = self.checkpoint, self.architecture
        required = architecture.required(checkpoint.config)
        known = architecture.optional(checkpoint.config) | required
        if missing := [name for name in required if name not in checkpoint.tensors]:
            raise ConversionError(f"{checkpoint.folder} lacks {missing[0]} ({len(missing)} tensors missing)")
        tensors = [tensor for tensor in checkpoint.tensors.values() if not tensor.name.endswith(_IGNORED)]
        for tensor in tensors:
            if tensor.name not in known:
                raise ConversionError(
                    f"{checkpoint.folder} has {tensor.name}, for which {architecture.name} has no place"
                )
            if tensor.shape != known[tensor.name]:
                raise ConversionError(f"{tensor.name} is {tensor.shape}, but config.json makes it {known[tensor.name]}")
        if self.adapter:
            self.adapter.check(checkpoint, {tensor.name: tensor.shape for tensor in tensors})
        return tensors

    def _rows(self, tensor: StoredTensor) -> Reader:
        pair = self.adapter.pairs.get(tensor.name) if self.adapter else None
        read: Reader = _Merged(tensor, pair) if pair else tensor.stored_rows
        if self.architecture.rotary_halves and tensor.name.endswith(_ROTATED):
            return Interleaved(read, head_size(self.checkpoint.config))
        return read


def open_model(folder: Path, merge: Path | None = None) -> Model:
    """Read everything about a checkpoint but its weights. Raises `ConversionError` if it cannot be converted."""
    checkpoint = open_checkpoint(folder)
    architecture = architecture_of(checkpoint)
    size = checkpoint.config.get("vocab_size")
    if (embeddings := checkpoint.tensors.get(EMBEDDINGS)) is None or not embeddings.shape:
        raise ConversionError(f"{folder} lacks {EMBEDDINGS}")
    if size != embeddings.shape[0]:
        # Before a vocabulary is padded to a size that no model has.
        raise ConversionError(f"{EMBEDDINGS} is {embeddings.shape}, but config.json has a vocab_size of {size!r}")
    vocabulary = read_vocabulary(folder, embeddings.shape[0])
    return Model(checkpoint, architecture, vocabulary, open_adapter(merge) if merge else None)


def architecture_of(checkpoint: Checkpoint) -> Architecture:
    """The architecture that config.json names. Raises `ConversionError` for one that is not known."""
    if (architecture := ARCHITECTURES.get(checkpoint.architecture)) is None:
        known = ", ".join(ARCHITECTURES)
        named = checkpoint.architecture or "model of unknown architecture"
        raise ConversionError(f"{checkpoint.folder} is a {named}; known: {known}")
    return architecture


class TensorNames:
    """GGUF names of tensors by their Hugging Face names."""

    def __init__(self, architecture: Architecture, config: dict[str, Any]) -> None:
        """Prepare the map of an architecture with the layers that `config` says."""
        self._map = gguf.get_tensor_name_map(architecture.gguf, config["num_hidden_layers"])

    def __getitem__(self, name: str) -> str:
        """The GGUF name. Raises `ConversionError` if there is none."""
        found = self._map.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise ConversionError(f"{name} has no name in GGUF files of this architecture")
        return str(found)


def general(folder: Path, name: str | None, writer: gguf.GGUFWriter) -> gguf.Metadata:
    """The general.* metadata: from model card, generation defaults and folder name, plus the size."""
    parameters, shared, experts, expert_count = writer.get_total_parameter_count()
    found = gguf.Metadata.load(None, folder, name, parameters)
    if (generation := folder / "generation_config.json").is_file() and found.sampling_penalty_repeat is None:
        found.sampling_penalty_repeat = read_json(generation).get("repetition_penalty")
    found.name = found.name or folder.resolve().name
    if found.size_label is None and parameters > 0:
        found.size_label = gguf.size_label(parameters, shared, experts, expert_count)
    return found


def tensor_type(shape: tuple[int, ...], new_name: str, kind: str) -> gguf.GGMLQuantizationType:
    """Norms and vectors stay F32; a matrix whose rows do not fill blocks becomes F16 (llama.cpp's converter too)."""
    if len(shape) < 2 or new_name.endswith("_norm.weight"):
        return gguf.GGMLQuantizationType.F32
    block, _ = gguf.GGML_QUANT_SIZES[DIRECT[kind]]
    return DIRECT[kind] if shape[-1] % block == 0 else gguf.GGMLQuantizationType.F16


class Interleaved:
    """Reads rows of a query or key projection in llama.cpp's order, whole heads at a time."""

    def __init__(self, read: Reader, head: int) -> None:
        """Read through `read` what has heads of `head` rows."""
        self._read, self._head = read, head

    def __call__(self, start: int, stop: int) -> Rows:
        """Rows `start` to `stop` of the reordered tensor."""
        first, last = start // self._head, math.ceil(stop / self._head)
        heads = interleave(self._read(first * self._head, last * self._head), self._head)
        return heads[start - first * self._head : stop - first * self._head]


class _Held:
    """Reads rows of an array that is in memory."""

    def __init__(self, values: NDArray[np.float32]) -> None:
        self._values = values

    def __call__(self, start: int, stop: int) -> NDArray[np.float32]:
        return self._values[start:stop]


class _Merged:
    """Reads rows of a weight with what an adapter adds to them, in float32."""

    def __init__(self, tensor: StoredTensor, pair: LoraPair) -> None:
        self._tensor, self._pair = tensor, pair

    def __call__(self, start: int, stop: int) -> NDArray[np.float32]:
        weight = widen(self._tensor.stored_rows(start, stop)).astype(np.float32)
        return weight + self._pair.delta(start, stop)
