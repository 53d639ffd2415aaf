"""A llama.cpp context: many sequences over one KV cache, and the batch that feeds it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import llama_cpp as lib
import numpy as np
from numpy.typing import NDArray

from augtui.engines.backend import LoadError
from augtui.engines.llama.native import Model
from augtui.engines.options import CacheType

NO_MEMORY = "no memory for the context"
CACHE_TYPES: dict[CacheType, tuple[int, float]] = {
    "f16": (lib.GGML_TYPE_F16, 2.0),
    "q8_0": (lib.GGML_TYPE_Q8_0, 34 / 32),
    "q4_0": (lib.GGML_TYPE_Q4_0, 18 / 32),
}
"""ggml's number of each type, and the bytes of one value (blocks of 32 values and a scale of 2 bytes)."""


class DecodeError(Exception):
    """llama.cpp could not compute a batch."""


@dataclass(frozen=True, slots=True)
class ContextPlan:
    """Sizes of a context."""

    cells: int
    """Tokens that the KV cache holds, shared by all sequences."""
    sequences: int
    batch: int
    """Tokens that one decode computes."""
    outputs: int
    """Tokens of a batch whose logits can be read."""
    threads: int
    cache_type: CacheType = "f16"


class Context:
    """A context of many sequences over one unified KV cache, and the batch that feeds it."""

    def __init__(self, model: Model, plan: ContextPlan) -> None:
        """Allocate the cache; raises LoadError when there is no memory for it."""
        params = lib.llama_context_default_params()
        params.n_ctx = plan.cells
        params.n_batch = params.n_ubatch = plan.batch
        params.n_seq_max = plan.sequences
        params.n_outputs_max = max(plan.outputs, 1)
        params.n_threads = params.n_threads_batch = plan.threads
        params.type_k = params.type_v = CACHE_TYPES[plan.cache_type][0]
        params.kv_unified = True
        params.pooling_type = lib.LLAMA_POOLING_TYPE_NONE  # the mean is taken by the batcher, over pieces of a text
        params.no_perf = True
        self.pointer: Any = lib.llama_init_from_model(model.pointer, params)
        if not self.pointer:
            raise LoadError(NO_MEMORY)
        self.memory: Any = lib.llama_get_memory(self.pointer)
        self.cells: int = lib.llama_n_ctx(self.pointer)
        self.batch_size = plan.batch
        self.most_outputs = plan.outputs
        self._model = model
        self._batch = lib.llama_batch_init(plan.batch, 0, 1)
        self.length = 0
        self.outputs = 0

    def clear_batch(self) -> None:
        """Forget the tokens of the last step."""
        self.length = self.outputs = 0

    @property
    def room(self) -> int:
        """Return how many more tokens this step takes."""
        return self.batch_size - self.length

    @property
    def output_room(self) -> int:
        """Return how many more tokens of this step may be asked for their logits."""
        return self.most_outputs - self.outputs

    def add(self, token: int, position: int, sequence: int, *, output: bool) -> int:
        """Put a token into the batch and return its place, by which its logits are found if `output`."""
        batch, place = self._batch, self.length
        batch.token[place] = token
        batch.pos[place] = position
        batch.n_seq_id[place] = 1
        batch.seq_id[place][0] = sequence
        batch.logits[place] = output
        self.length = place + 1
        self.outputs += output
        return place

    def decode(self) -> None:
        """Compute the batch; raises DecodeError."""
        self._batch.n_tokens = self.length
        status = lib.llama_decode(self.pointer, self._batch)
        if status != 0:
            raise DecodeError("no room in the KV cache" if status == 1 else f"llama_decode returned {status}")

    def logits(self, place: int) -> NDArray[np.float32]:
        """Return the logits at `place` of the last batch: a view of shape (n_vocab,), valid until the next decode."""
        pointer = lib.llama_get_logits_ith(self.pointer, place)
        return _view(pointer, self._model.n_vocab)

    def hidden_states(self) -> NDArray[np.float32]:
        """Return the last hidden states of the whole last batch: a view of shape (tokens, width)."""
        pointer = lib.llama_get_embeddings(self.pointer)
        return _view(pointer, self.length * self._model.width).reshape(self.length, self._model.width)

    def read_hidden_states(self, wanted: bool) -> None:
        """Choose whether the next decodes keep hidden states; every token of theirs is an output then."""
        lib.llama_set_embeddings(self.pointer, wanted)

    def use_adapter(self, name: str | None) -> None:
        """Compute with a LoRA adapter of the model from now on, or with the base alone."""
        if name is None:
            lib.llama_set_adapters_lora(self.pointer, None, 0, None)
            return
        adapters = (lib.llama_adapter_lora_p_ctypes * 1)(self._model.adapters[name])
        lib.llama_set_adapters_lora(self.pointer, adapters, 1, (ctypes.c_float * 1)(1.0))

    def share(self, source: int, target: int, length: int) -> None:
        """Let sequence `target` begin with the first `length` cells of `source`, without copying them."""
        lib.llama_memory_seq_cp(self.memory, source, target, 0, length)

    def forget(self, sequence: int) -> None:
        """Free the cells of a sequence that no other sequence shares."""
        lib.llama_memory_seq_rm(self.memory, sequence, -1, -1)

    def trim(self, sequence: int, length: int) -> None:
        """Free the cells of a sequence from position `length` on."""
        lib.llama_memory_seq_rm(self.memory, sequence, length, -1)

    def clear(self) -> None:
        """Free all cells; the next token takes the first one."""
        lib.llama_memory_clear(self.memory, False)

    def close(self) -> None:
        """Free the cache."""
        if self.pointer:
            lib.llama_batch_free(self._batch)
            lib.llama_free(self.pointer)
            self.pointer = None


def _view(pointer: Any, length: int) -> NDArray[np.float32]:
    return np.ctypeslib.as_array(pointer, (length,))
