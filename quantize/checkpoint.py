"""Reading a Hugging Face checkpoint: config.json, and safetensors weights a few rows at a time; no pickles, no code."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray

from quantize.encoding import Rows, is_finite, widen
from quantize.errors import ConversionError

INDEX = "model.safetensors.index.json"
# Bytes of a value, by safetensors type name.
_VALUE_BYTES = {"F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True)
class StoredTensor:
    """Where one tensor lies: `start` is its first byte in `file`; `type` is F32, F16 or BF16."""

    name: str
    type: str
    shape: tuple[int, ...]
    file: Path
    start: int

    def stored_rows(self, start: int, stop: int) -> Rows:
        """Entries `start` to `stop` of the first axis as they are stored; bfloat16 as its bits (uint16).

        The file is read, not mapped: one that shrinks meanwhile gives an error instead of killing the process.
        Raises `ConversionError` for a short file and for values that are not finite (a diverged training run).
        """
        row = math.prod(self.shape[1:])
        size = _VALUE_BYTES[self.type]
        stored = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[self.type]
        values: Rows = np.fromfile(self.file, stored, (stop - start) * row, offset=self.start + start * row * size)
        if values.size != (stop - start) * row:
            raise ConversionError(f"{self.file.name} ends in the middle of {self.name}: copy or download it again")
        if not is_finite(values):
            raise ConversionError(
                f"{self.name} holds infinities or NaNs: the training run diverged or the file is damaged"
            )
        return values.reshape(stop - start, *self.shape[1:])

    def rows(self, start: int, stop: int) -> NDArray[np.floating]:
        """Those entries as floats: float16 as it is, everything else as float32; raises as `stored_rows` does."""
        return widen(self.stored_rows(start, stop))


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder: its configuration and its tensors, in the order of the files and of the names in them."""

    folder: Path
    config: dict[str, Any]
    tensors: dict[str, StoredTensor]

    @property
    def architecture(self) -> str:
        """The model class that config.json names, such as Qwen2ForCausalLM; empty if it names none."""
        named = self.config.get("architectures")
        return str(named[0]) if isinstance(named, list) and named else ""


def open_checkpoint(folder: Path) -> Checkpoint:
    """Read the configuration and the safetensors headers of `folder`; weights stay on disk until asked for.

    Raises `ConversionError` for everything that cannot be converted: no config.json, pickled weights only, an adapter
    without its base, weights already quantized, a model that needs its own code, missing or damaged files.
    """
    opened = open_config(folder)
    return Checkpoint(folder, opened.config, _tensors(folder))


def open_config(folder: Path) -> Checkpoint:
    """Read the configuration of `folder` alone, as if it had no tensors; raises as `open_checkpoint` does."""
    if not folder.is_dir():
        raise ConversionError(f"{folder}: not a checkpoint folder")
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise ConversionError(
                f"{folder} holds an adapter only: `quantize adapter` converts it, `--merge` joins it with its base"
            )
        raise ConversionError(f"{folder} has no config.json: it is not a Hugging Face checkpoint")
    config = read_json(folder / "config.json")
    for key in ("auto_map", "model_file"):  # transformers' and mlx-lm's ways of naming code
        if config.get(key):
            raise ConversionError(f"{folder} needs its own Python code ({key} in config.json), which is never run")
    if config.get("quantization_config"):
        raise ConversionError(f"{folder} is quantized already: convert the full-precision checkpoint instead")
    return Checkpoint(folder, config, {})


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object. Raises `ConversionError` if it does not."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConversionError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConversionError(f"{path} does not hold a JSON object")
    return value


def _tensors(folder: Path) -> dict[str, StoredTensor]:
    parts, expected = _parts(folder)
    found: dict[str, StoredTensor] = {}
    for part in parts:
        for tensor in read_header(part):
            if tensor.name in found:
                raise ConversionError(
                    f"{tensor.name} is stored twice: in {found[tensor.name].file.name} and {part.name}"
                )
            found[tensor.name] = tensor
    if expected is not None and (different := sorted(expected.symmetric_difference(found))):
        raise ConversionError(f"{INDEX} and its files disagree about {different[0]} ({len(different)} such tensors)")
    return found


def _parts(folder: Path) -> tuple[list[Path], set[str] | None]:
    """The weight files, and the tensor names they must hold if there is an index."""
    index = folder / INDEX
    if index.is_file():
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise ConversionError(f"{index} has no weight_map")
        names = sorted({str(name) for name in weight_map.values()})
        for name in names:
            if Path(name).name != name or not name.endswith(".safetensors"):
                raise ConversionError(f"{index} names {name!r}, which is not a safetensors file of the same folder")
            if not (folder / name).is_file():
                raise ConversionError(
                    f"{folder} lacks {name}, one of {len(names)} weight files: copy or download it again"
                )
        return [folder / name for name in names], set(weight_map)
    parts = sorted(folder.glob("model*.safetensors"))
    if parts:
        return parts, None
    if any(path.suffix in {".bin", ".pt", ".pth", ".ckpt"} for path in folder.iterdir()):
        raise ConversionError(
            f"{folder} has pickled weights only, which can run code when opened: "
            "save it again with save_pretrained(..., safe_serialization=True)"
        )
    raise ConversionError(f"{folder} has no model.safetensors")


def read_header(path: Path) -> list[StoredTensor]:
    """The tensors of one file, sorted by name. Format: https://huggingface.co/docs/safetensors#format ."""
    try:
        # The library checks that header, offsets, shapes and file size agree; it does not give the offsets.
        with safetensors.safe_open(path, framework="numpy"):
            pass
    except (safetensors.SafetensorError, OSError) as error:
        raise ConversionError(f"{path} is damaged or incomplete ({error}): copy or download it again") from error
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    tensors = []
    for name, entry in sorted(header.items()):
        if entry["dtype"] not in _VALUE_BYTES:
            raise ConversionError(
                f"{name} is stored as {entry['dtype']}: only F32, F16 and BF16 weights can be converted"
            )
        tensors.append(
            StoredTensor(name, entry["dtype"], tuple(entry["shape"]), path, 8 + length + entry["data_offsets"][0])
        )
    return tensors
