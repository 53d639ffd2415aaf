"""How a local model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Library = Literal["llama", "mlx"]
"""What computes: llama.cpp on GGUF files, or mlx-lm on MLX model folders."""
CacheType = Literal["f16", "q8_0", "q4_0"]
"""How keys and values are kept: q8_0 takes 53% of f16's memory, q4_0 28%."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How the model is loaded; None leaves the choice to the worker."""

    slots: int = 16
    threads: int | None = None
    sequence_tokens: int | None = None
    """Longest prompt plus answer, in tokens."""
    gpu_layers: int = -1
    """Layers on the GPU, where the build has one; -1 is as many as fit."""
    cells: int | None = None
    """Tokens that the KV cache holds."""
    cache_type: CacheType = "f16"
    adapters: Mapping[str, Path] = field(default_factory=dict)
    """LoRA adapters by the names that requests use."""
    speculate: bool = True
    """Whether tokens may be drafted from the prompt (prompt lookup) where that is faster."""
    deterministic: bool = False
    """Whether a text may depend on nothing but its request: neither on the slots nor on what else is computed."""
    library: Library = "llama"

    def pack(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return {**asdict(self), "adapters": {name: str(path) for name, path in self.adapters.items()}}

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> EngineOptions:
        """Return the options that `pack` packed."""
        adapters = {name: Path(path) for name, path in packed["adapters"].items()}
        return cls(**{**packed, "adapters": adapters})
