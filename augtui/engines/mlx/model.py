"""A model that mlx-lm loaded: its weights, its LoRA adapters, and what it computes with them.

Everything that touches MLX is here. Imported by the worker process only, and only when an MLX model is wanted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.generate import BatchGenerator
from mlx_lm.models.cache import KVCache, make_prompt_cache
from mlx_lm.sample_utils import apply_min_p, apply_top_p, greedy_sampler, make_repetition_penalty
from mlx_lm.tuner.utils import load_adapters
from mlx_lm.utils import common_prefix_len, get_total_parameters, load_model

from augtui.engines.backend import LoadError
from augtui.engines.base import Sampling

PENALTY_WINDOW = 64
CHUNK_TOKENS = 256
"""Tokens computed at once for scores, embeddings and shared prefixes: bounds the memory that their logits take."""
PREFILL_PROMPTS = 4
PREFILL_TOKENS = 512
"""A step computes at most so many tokens of each of so many prompts."""
LEAST_TOP_P = 1e-6
"""mlx-lm's top-p keeps no token at 0; this keeps the likeliest, as llama.cpp does."""
TYPE_NAMES = {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}

tokens_in_common: Callable[[Sequence[int], Sequence[int]], int] = common_prefix_len

Layers = list[tuple[str, Any]]
"""Modules of the network by their paths."""


class MlxModel:
    """A loaded network; at any time it answers as the base model or with one of its adapters."""

    def __init__(self, folder: Path, config: Mapping[str, Any], adapters: Mapping[str, Path], *, gpu: bool) -> None:
        """Load the safetensors of `folder` and the adapters; raises LoadError. `config` is its config.json."""
        if not gpu:
            mx.set_default_device(mx.cpu)
        if mx.default_device() == mx.cpu:
            mx.disable_compile()  # on a CPU it needs a C++ compiler and takes seconds, and nothing gets faster
        self._stream = mx.default_stream(mx.default_device())
        if config.get("model_file") is not None:
            raise LoadError("it brings code of its own, which is never run")
        try:
            self._network, _ = load_model(folder)
            layers = make_prompt_cache(self._network)
            logits = self._network(mx.array([[0]]), cache=layers)
            mx.eval(logits)
        except Exception as error:  # of many kinds: whatever is wrong with the folder shows as one
            raise LoadError(f"mlx-lm cannot load it: {_one_line(error)}") from error
        self.vocabulary_size = int(logits.shape[-1])
        self.cell_bytes = max(1, sum(int(layer.nbytes) for layer in layers) // int(KVCache.step))
        """Bytes of keys and values of one token."""
        if not all(hasattr(layer, "merge") for layer in layers):
            raise LoadError("mlx-lm cannot batch this architecture")
        self.shares_prefixes = all(type(layer) is KVCache for layer in layers)
        """Whether a prompt can begin with what was computed for another."""
        self._config = config
        self._adapter: str | None = None
        self._base: dict[str, Any] = dict(self._network.named_modules())
        self._adapters = {name: self._load_adapter(name, path) for name, path in adapters.items()}

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> int:
        """Return the number of weights."""
        return int(get_total_parameters(self._network))

    @property
    def bytes(self) -> int:
        """Return the size of all weights in bytes."""
        return sum(int(array.nbytes) for _, array in tree_flatten(self._network.parameters()))

    @property
    def description(self) -> str:
        """Return architecture, size and type of the weights, such as `qwen2 3.7M F16 (MLX)`."""
        return f"{self._config.get('model_type')} {_count(self.parameters)} {self._type} (MLX)"

    @property
    def _type(self) -> str:
        quantization = self._config.get("quantization") or self._config.get("quantization_config")
        if isinstance(quantization, dict) and "bits" in quantization:
            return f"{quantization['bits']}-bit"
        sizes: dict[str, int] = {}
        for _, array in tree_flatten(self._network.parameters()):
            name = str(array.dtype).rpartition(".")[2]
            sizes[name] = sizes.get(name, 0) + array.nbytes
        name = max(sizes, key=lambda name: sizes[name])
        return TYPE_NAMES.get(name, name)

    @property
    def context_train(self) -> int:
        """Return the longest sequence (tokens) that the model was trained for, 4096 where it does not say."""
        nested = self._config.get("text_config")
        for source in (self._config, nested if isinstance(nested, dict) else {}):
            value = source.get("max_position_embeddings")
            if isinstance(value, int) and value > 0:
                return value
        return 4096

    @property
    def on_gpu(self) -> bool:
        """Return whether it computes on a GPU."""
        return bool(mx.default_device() != mx.cpu)

    @property
    def layers(self) -> int:
        """Return the number of transformer layers."""
        return len(self._network.layers)

    # -- adapters ----------------------------------------------------------------------------------------------------

    @property
    def adapters(self) -> tuple[str, ...]:
        """Return the names of the adapters."""
        return tuple(self._adapters)

    def _load_adapter(self, name: str, folder: Path) -> Layers:
        """Return the layers that the adapter puts in the place of the base's, which they share; raises LoadError."""
        try:
            settings = json.loads((folder / "adapter_config.json").read_text("utf-8"))
            kind = settings.get("fine_tune_type", "lora")
            if "peft_type" in settings or kind not in ("lora", "dora"):
                raise LoadError("it is none that mlx-lm trained with LoRA or DoRA")
            if not (folder / "adapters.safetensors").is_file():
                raise LoadError("adapters.safetensors is missing")
            load_adapters(self._network, str(folder))
        except Exception as error:
            raise LoadError(f"adapter {name} cannot be loaded: {_one_line(error)}") from error
        self._network.eval()  # else its dropout is at work
        layers = [
            (path, module)
            for path, module in self._network.named_modules()
            if path in self._base and self._base[path] is not module
        ]
        mx.eval([module.parameters() for _, module in layers])
        self._put([(path, self._base[path]) for path, _ in layers])
        return layers

    def use(self, adapter: str | None) -> None:
        """Answer with `adapter` from here on; None is the base model."""
        if adapter == self._adapter:
            return
        if self._adapter is not None:
            self._put([(path, self._base[path]) for path, _ in self._adapters[self._adapter]])
        if adapter is not None:
            self._put(self._adapters[adapter])
        self._adapter = adapter

    def _put(self, layers: Layers) -> None:
        if layers:
            self._network.update_modules(tree_unflatten(layers))

    # -- computing ---------------------------------------------------------------------------------------------------

    def generator(self, slots: int, end_tokens: Sequence[int]) -> Any:
        """Return an mlx-lm `BatchGenerator` for `slots` answers at a time; it computes with the adapter in use."""
        return BatchGenerator(
            self._network,
            stop_tokens=[[token] for token in end_tokens],
            completion_batch_size=slots,
            prefill_batch_size=min(slots, PREFILL_PROMPTS),
            prefill_step_size=PREFILL_TOKENS,
            stream=self._stream,
        )

    def prefix(self, tokens: Sequence[int]) -> Any:
        """Return keys and values of `tokens`, with which any number of prompts may begin: they are read only."""
        cache = make_prompt_cache(self._network)
        for start in range(0, len(tokens), CHUNK_TOKENS):
            self._network(mx.array([tokens[start : start + CHUNK_TOKENS]]), cache=cache)
            mx.eval([layer.state for layer in cache])
        return cache

    def likelihoods(self, tokens: Sequence[int], given: int) -> tuple[float, ...]:
        """Return log p of each of `tokens[given:]` after all that is before it; `given` is at least 1."""
        cache = make_prompt_cache(self._network)
        found: list[float] = []
        for start in range(0, len(tokens) - 1, CHUNK_TOKENS):
            end = min(start + CHUNK_TOKENS, len(tokens) - 1)
            logits = self._network(mx.array([tokens[start:end]]), cache=cache)[0]
            first = max(start, given - 1)  # the logits of a place tell of the token after it
            if first < end:
                rows = logits[first - start :].astype(mx.float32)
                targets = mx.array(list(tokens[first + 1 : end + 1]))
                chosen = mx.take_along_axis(rows, targets[:, None], axis=-1)[:, 0] - mx.logsumexp(rows, axis=-1)
                found += _floats(chosen)
            mx.eval([layer.state for layer in cache])
        return tuple(found)

    def embedding(self, tokens: Sequence[int]) -> tuple[float, ...] | None:
        """Return the mean of the last hidden states (after the final norm) of `tokens`, of length 1.

        None stands for an architecture that does not show its hidden states.
        """
        trunk = getattr(getattr(self._network, "language_model", self._network), "model", None)
        if trunk is None:
            return None
        cache = make_prompt_cache(self._network)
        total = mx.array(0.0)
        for start in range(0, len(tokens), CHUNK_TOKENS):
            states = trunk(mx.array([tokens[start : start + CHUNK_TOKENS]]), cache=cache)
            total = total + states[0].astype(mx.float32).sum(axis=0)
            mx.eval(total, [layer.state for layer in cache])
        vector = total / mx.maximum(mx.linalg.norm(total), 1e-12)
        return tuple(_floats(vector))


class Draw:
    """One request's sampler: a random stream of its own, so that its neighbours do not matter.

    Noise is drawn for the whole vocabulary (Gumbel-max, https://arxiv.org/abs/1611.00712): a token keeps its noise
    when the last bits of some logits change what top-k leaves.
    """

    def __init__(self, sampling: Sampling, seed: int) -> None:
        """Draw as `sampling` says, with the stream of `seed`."""
        self._sampling = sampling
        self._key = mx.random.key(seed % 2**63)

    def __call__(self, logprobs: Any) -> Any:
        """Return the tokens, shape (1,), drawn from log-probabilities of shape (1, vocabulary)."""
        sampling = self._sampling
        logits = logprobs.astype(mx.float32)
        self._key, key = mx.random.split(self._key)
        noise = mx.random.gumbel(logits.shape, key=key)
        places = None
        if 0 < sampling.top_k < logits.shape[-1]:
            places = mx.argpartition(-logits, kth=sampling.top_k - 1, axis=-1)[..., : sampling.top_k]
            logits, noise = (mx.take_along_axis(values, places, axis=-1) for values in (logits, noise))
        if sampling.top_p < 1:
            logits = apply_top_p(logits, max(sampling.top_p, LEAST_TOP_P))
        if sampling.min_p > 0:
            logits = apply_min_p(logits, min(sampling.min_p, 1.0))
        drawn = mx.argmax(logits / sampling.temperature + noise, axis=-1, keepdims=True)
        return (drawn if places is None else mx.take_along_axis(places, drawn, axis=-1))[:, 0]


def sampler(sampling: Sampling, seed: int) -> Callable[[Any], Any]:
    """Return what draws a token from log-probabilities; greedy requests share one, which serves a whole batch."""
    shared: Callable[[Any], Any] = greedy_sampler
    return shared if sampling.temperature <= 0 else Draw(sampling, seed)


def logits_processors(sampling: Sampling, prompt: int, ends: Sequence[int]) -> list[Callable[[Any, Any], Any]]:
    """Return what changes the logits before a draw; `prompt` is the length of the prompt, which is not penalized."""
    processors: list[Callable[[Any, Any], Any]] = []
    if sampling.ignore_eos and ends:
        barred = mx.array(list(ends))

        def bar(_: Any, logits: Any) -> Any:
            logits[:, barred] = -mx.inf
            return logits

        processors.append(bar)
    if sampling.repeat_penalty != 1.0:
        penalty = make_repetition_penalty(sampling.repeat_penalty, PENALTY_WINDOW)
        processors.append(lambda context, logits: penalty(context[prompt:], logits))
    return processors


def _floats(vector: Any) -> list[float]:
    return [float(value) for value in vector.tolist()]


def _count(number: int) -> str:
    for unit, name in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= unit:
            return f"{number / unit:.1f}{name}"
    return str(number)


def _one_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return " ".join(text.split())[:300]
