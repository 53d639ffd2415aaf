"""Checkpoint -> GGUF: plan the tensors, describe the model, write the file. After llama.cpp's convert_hf_to_gguf.py."""

from collections.abc import Iterator
from pathlib import Path

import gguf

from quantize.architectures import ARCHITECTURES, Architecture
from quantize.checkpoint import Checkpoint, StoredTensor, open_checkpoint, read_json
from quantize.errors import ConversionError
from quantize.gguf_file import Progress, TensorSource, scratch_path, whole_file, write_gguf
from quantize.quantize import file_type, quantize_gguf
from quantize.vocabulary import Vocabulary, read_vocabulary

# Types written from the checkpoint itself. llama.cpp makes the others from an exact copy of the weights.
DIRECT = {
    "F32": gguf.GGMLQuantizationType.F32,
    "F16": gguf.GGMLQuantizationType.F16,
    "BF16": gguf.GGMLQuantizationType.BF16,
    "Q8_0": gguf.GGMLQuantizationType.Q8_0,
}
# Buffers that some checkpoints carry and no runtime needs.
_IGNORED = (".attention.masked_bias", ".attention.bias", ".rotary_emb.inv_freq")


def convert(
    folder: Path, destination: Path, type_name: str = "Q8_0", name: str | None = None, progress: Progress | None = None
) -> int:
    """Convert the checkpoint in `folder` to a GGUF file of any llama.cpp type, whole or not at all.

    Returns how many matrices got another type because their rows do not fill blocks of this one.
    `name` is the model's name in the file (default: from the checkpoint, as llama.cpp's converter finds it).
    Raises `ConversionError` for a checkpoint or type that cannot be converted, `OSError` if the disk fails.
    """
    kind = type_name.upper()
    file_type(kind)
    try:
        return _convert(folder, destination, kind, name, progress)
    except (ConversionError, OSError, MemoryError):
        raise
    except Exception as error:
        # The gguf package trusts what it reads, and a checkpoint may come from anywhere.
        cause = f"{type(error).__name__}: {error}"
        raise ConversionError(
            f"{folder}: a value in its JSON files or README.md is of the wrong kind ({cause})"
        ) from error


def _convert(folder: Path, destination: Path, kind: str, name: str | None, progress: Progress | None) -> int:
    checkpoint = open_checkpoint(folder)
    if (architecture := ARCHITECTURES.get(checkpoint.architecture)) is None:
        known = ", ".join(ARCHITECTURES)
        raise ConversionError(
            f"{folder} is a {checkpoint.architecture or 'model of unknown architecture'}; known: {known}"
        )
    vocabulary = read_vocabulary(folder, checkpoint.config.get("vocab_size") or 0)
    if kind in DIRECT:
        with whole_file(destination) as partial:
            return _write(partial, checkpoint, architecture, vocabulary, kind, name, progress)
    with scratch_path(destination) as exact:
        _write(exact, checkpoint, architecture, vocabulary, _exact_type(checkpoint), name, progress)
        return quantize_gguf(exact, destination, kind, progress=progress)


def _exact_type(checkpoint: Checkpoint) -> str:
    """The smallest type that holds every weight of the checkpoint as it is."""
    stored = {tensor.type for tensor in checkpoint.tensors.values() if len(tensor.shape) > 1}
    return stored.pop() if len(stored) == 1 else "F32"


def _write(
    path: Path,
    checkpoint: Checkpoint,
    architecture: Architecture,
    vocabulary: Vocabulary,
    kind: str,
    name: str | None,
    progress: Progress | None,
) -> int:
    def add_metadata(writer: gguf.GGUFWriter) -> None:
        writer.add_type(gguf.GGUFType.MODEL)
        _general(checkpoint.folder, name, writer).set_gguf_meta_model(writer)
        architecture.add_parameters(writer, checkpoint.config)
        writer.add_file_type(file_type(kind))
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        vocabulary.add_to(writer)

    tensors = list(_plan(checkpoint, architecture, kind))
    write_gguf(path, architecture.name, add_metadata, tensors, progress)
    return sum(len(tensor.shape) > 1 and tensor.type != DIRECT[kind] for tensor in tensors)


def _general(folder: Path, name: str | None, writer: gguf.GGUFWriter) -> gguf.Metadata:
    """The general.* metadata: from model card, generation defaults and folder name, plus the size."""
    parameters, shared, experts, expert_count = writer.get_total_parameter_count()
    found = gguf.Metadata.load(None, folder, name, parameters)
    if (generation := folder / "generation_config.json").is_file() and found.sampling_penalty_repeat is None:
        found.sampling_penalty_repeat = read_json(generation).get("repetition_penalty")
    found.name = found.name or folder.resolve().name
    found.size_label = found.size_label or gguf.size_label(parameters, shared, experts, expert_count)
    return found


def _plan(checkpoint: Checkpoint, architecture: Architecture, kind: str) -> Iterator[TensorSource]:
    """Every tensor to write, in the checkpoint's order, once none is missing, foreign or misshapen."""
    required = architecture.required(checkpoint.config)
    known = architecture.optional(checkpoint.config) | required
    if missing := [name for name in required if name not in checkpoint.tensors]:
        raise ConversionError(f"{checkpoint.folder} lacks {missing[0]} ({len(missing)} tensors missing)")
    names = gguf.get_tensor_name_map(architecture.gguf, checkpoint.config["num_hidden_layers"])
    for tensor in checkpoint.tensors.values():
        if tensor.name.endswith(_IGNORED):
            continue
        if tensor.name not in known:
            raise ConversionError(f"{checkpoint.folder} has {tensor.name}, for which {architecture.name} has no place")
        if tensor.shape != known[tensor.name]:
            raise ConversionError(f"{tensor.name} is {tensor.shape}, but config.json makes it {known[tensor.name]}")
        new_name = names.get_name(tensor.name, try_suffixes=(".weight", ".bias"))
        assert new_name is not None
        yield TensorSource(new_name, tensor.shape, _tensor_type(tensor, new_name, kind), tensor.rows)


def _tensor_type(tensor: StoredTensor, new_name: str, kind: str) -> gguf.GGMLQuantizationType:
    """Norms and vectors stay F32; a matrix whose rows do not fill blocks becomes F16 (llama.cpp's converter too)."""
    if len(tensor.shape) < 2 or new_name.endswith("_norm.weight"):
        return gguf.GGMLQuantizationType.F32
    block, _ = gguf.GGML_QUANT_SIZES[DIRECT[kind]]
    return DIRECT[kind] if tensor.shape[-1] % block == 0 else gguf.GGMLQuantizationType.F16
