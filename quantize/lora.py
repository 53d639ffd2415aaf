"""Reading a PEFT LoRA adapter: its pairs of small matrices, and what they add to the weights of the base model.

LoRA (https://arxiv.org/abs/2106.09685) adds `alpha / rank * B A` to a matrix (rsLoRA, https://arxiv.org/abs/2312.03732:
`alpha / sqrt(rank) * B A`). No torch is needed, and no pickle is opened.
"""

import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.checkpoint import Checkpoint, StoredTensor, read_header, read_json
from quantize.errors import ConversionError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_KEY = re.compile(r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<part>[AB])(?:\.[^.]+)?(?:\.weight)?$")
# Settings under which B A is not all that the adapter adds.
_UNSUPPORTED = {
    "use_dora": "DoRA also scales the columns of the base",
    "fan_in_fan_out": "its matrices are stored the other way round",
    "lora_bias": "it has biases",
    "trainable_token_indices": "it holds trained token embeddings",
    "target_parameters": "it adapts parameters, not layers",
    "layer_replication": "it repeats layers of the base",
    "modules_to_save": "it holds whole layers beside the LoRA matrices",
}


@dataclass(frozen=True)
class LoraPair:
    """What is added to one weight: `alpha / rank * B A`, with `a` (rank, inputs) and `b` (outputs, rank).

    Of an embedding, `a` is (rank, tokens) and `b` (hidden, rank), and the product is added transposed.
    """

    weight: str
    a: StoredTensor
    b: StoredTensor
    alpha: float
    is_embedding: bool

    @property
    def rank(self) -> int:
        """The common size of the two matrices."""
        return self.a.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight that it is added to."""
        return (self.a.shape[1], self.b.shape[0]) if self.is_embedding else (self.b.shape[0], self.a.shape[1])

    @cached_property
    def _factors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The two factors of what is added, (rows, rank) and (rank, columns), the scale in the second."""
        a, b = (part.rows(0, part.shape[0]).astype(np.float32) for part in (self.a, self.b))
        left, right = (a.T, b.T) if self.is_embedding else (b, a)
        return np.ascontiguousarray(left), right * np.float32(self.alpha / self.rank)

    def delta(self, start: int, stop: int) -> NDArray[np.float32]:
        """What is added to rows `start` to `stop` of the weight, in float32."""
        left, right = self._factors
        return left[start:stop] @ right


@dataclass(frozen=True)
class Adapter:
    """An adapter folder: its configuration, and its pairs by the name of the weight that each belongs to."""

    folder: Path
    config: dict[str, Any]
    pairs: dict[str, LoraPair]

    def check(self, base: Checkpoint, shapes: dict[str, tuple[int, ...]]) -> None:
        """Raise `ConversionError` unless every pair fits a weight of the base model, whose shapes are given."""
        tied = bool(base.config.get("tie_word_embeddings"))
        for name, pair in self.pairs.items():
            if name not in shapes:
                raise ConversionError(f"{self.folder} adapts {name}, which {base.folder} does not have")
            if pair.shape != shapes[name]:
                raise ConversionError(f"{self.folder} adapts {name} of {pair.shape}, but the base's is {shapes[name]}")
            if tied and name in ("lm_head.weight", "model.embed_tokens.weight"):
                raise ConversionError(
                    f"{self.folder} adapts {name}, which serves as input and output of this model: "
                    "train without it, or with separate embeddings"
                )


def open_adapter(folder: Path) -> Adapter:
    """Read an adapter's configuration and the headers of its weights.

    Raises `ConversionError` for what cannot be converted exactly: pickled weights, other methods than LoRA, DoRA,
    whole layers beside the pairs, damaged files.
    """
    if not folder.is_dir() or not (folder / CONFIG).is_file():
        raise ConversionError(f"{folder} has no {CONFIG}: it is not a PEFT adapter")
    if not (folder / WEIGHTS).is_file():
        if (folder / "adapter_model.bin").is_file():
            raise ConversionError(f"{folder} has pickled weights only, which can run code: save it as safetensors")
        raise ConversionError(f"{folder} has no {WEIGHTS}")
    config = read_json(folder / CONFIG)
    _check(folder, config)
    parts: dict[tuple[str, bool], dict[str, StoredTensor]] = {}
    for tensor in read_header(folder / WEIGHTS):
        if ".base_layer." in tensor.name:
            continue
        match = _KEY.match(tensor.name)
        if match is None or len(tensor.shape) != 2:
            raise ConversionError(f"{folder} holds {tensor.name}, which is no LoRA matrix: merge it with PEFT")
        key = (match["module"].removeprefix(_PREFIX), match["embedding"] is not None)
        if match["part"] in parts.setdefault(key, {}):
            raise ConversionError(f"{folder} holds several adapters for {key[0]}: save one of them alone")
        parts[key][match["part"]] = tensor
    if not parts:
        raise ConversionError(f"{folder} holds no LoRA matrices")
    try:
        pairs = {f"{key[0]}.weight": _pair(*key, found, config) for key, found in parts.items()}
    except (TypeError, ValueError, AttributeError, re.error) as error:
        if isinstance(error, ConversionError):
            raise
        raise ConversionError(f"{folder / CONFIG} is not laid out as an adapter's: {error}") from error
    return Adapter(folder, config, pairs)


def _check(folder: Path, config: dict[str, Any]) -> None:
    if config.get("peft_type", "LORA") != "LORA":
        raise ConversionError(f"{folder} is a {config['peft_type']} adapter: only LoRA can be converted")
    for key, reason in _UNSUPPORTED.items():
        if config.get(key):
            raise ConversionError(f"{folder} cannot be converted exactly ({key}: {reason}): merge it with PEFT")
    if config.get("bias", "none") != "none":
        raise ConversionError(f"{folder} cannot be converted exactly (it has trained biases): merge it with PEFT")


def _pair(module: str, is_embedding: bool, parts: dict[str, StoredTensor], config: dict[str, Any]) -> LoraPair:
    if len(parts) != 2:
        raise ConversionError(f"the adapter lacks a matrix for {module}: copy or download it again")
    a, b = parts["A"], parts["B"]
    rank = a.shape[0]
    if b.shape[1] != rank or rank == 0:
        raise ConversionError(f"the adapter's matrices for {module} do not fit: {a.shape} and {b.shape}")
    alpha = config.get("lora_alpha")
    for pattern, special in (config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            alpha = special
            break
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 < abs(alpha) < float("inf"):
        raise ConversionError(f"{CONFIG}: lora_alpha is {alpha!r}, not a number that scales")
    scaled = float(alpha) * math.sqrt(rank) if config.get("use_rslora") else float(alpha)
    return LoraPair(f"{module}.weight", a, b, scaled, is_embedding)
