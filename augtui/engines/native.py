"""A thin, typed layer over llama-cpp-python's low-level API: model, vocabulary, context, sampler chain.

Imported by the worker process only: loading the library takes time, and a bad model file can end the process.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp as lib

from augtui.engines.backend import LoadError
from augtui.engines.base import Sampling

PENALTY_WINDOW = 64


class DecodeError(Exception):
    """llama.cpp could not compute a batch."""


class Model:
    """A loaded GGUF model and its vocabulary."""

    def __init__(self, path: Path, *, gpu_layers: int = -1) -> None:
        """Load `path`, memory-mapped, all layers on a GPU if the build has one; raises LoadError."""
        lib.llama_backend_init()
        params = lib.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        self.pointer: Any = lib.llama_model_load_from_file(str(path).encode(), params)
        if not self.pointer:
            raise LoadError(str(path))
        self.vocab: Any = lib.llama_model_get_vocab(self.pointer)
        self.n_vocab: int = lib.llama_vocab_n_tokens(self.vocab)
        self._pieces: dict[int, bytes] = {}
        self.end_tokens = frozenset(self._end_tokens())

    def _end_tokens(self) -> list[int]:
        # The published Refine-7B names only <|endoftext|> (151643) as its end, but answers end in <|im_end|> (151645)
        # too: both end an answer wherever the vocabulary has them.
        named = [self.tokenize(text, special=True) for text in ("<|endoftext|>", "<|im_end|>")]
        ends = [tokens[0] for tokens in named if len(tokens) == 1]
        return ends + [token for token in self._special() if lib.llama_vocab_is_eog(self.vocab, token)]

    def _special(self) -> list[int]:
        candidates = (lib.llama_vocab_eos(self.vocab), lib.llama_vocab_eot(self.vocab))
        return [token for token in candidates if token >= 0]

    def is_end(self, token: int) -> bool:
        """Return whether `token` ends an answer."""
        return token in self.end_tokens or bool(lib.llama_vocab_is_eog(self.vocab, token))

    def control_texts(self) -> frozenset[str]:
        """Return the texts that the vocabulary reads as control tokens, such as `<|im_end|>`."""
        special = (token for token in range(self.n_vocab) if lib.llama_vocab_is_control(self.vocab, token))
        texts = (lib.llama_vocab_get_text(self.vocab, token) for token in special)
        return frozenset(text.decode("utf-8", "replace") for text in texts if text)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Return the tokens of `text`; `special` reads `<|im_start|>` and its like as the tokens they name."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        tokens = (lib.llama_token * room)()
        count = lib.llama_tokenize(self.vocab, data, len(data), tokens, room, False, special)
        if count < 0:
            raise ValueError("the text has more tokens than bytes")
        return list(tokens[:count])

    def prompt(self, text: str) -> list[int]:
        """Return the tokens of a whole prompt, with the one that begins every text of models that want it."""
        tokens = self.tokenize(text, special=True)
        begin = lib.llama_vocab_bos(self.vocab)
        if lib.llama_vocab_get_add_bos(self.vocab) and begin >= 0 and tokens[:1] != [begin]:
            return [begin, *tokens]
        return tokens

    @property
    def bos(self) -> str:
        """Return the text of the token that begins every text, empty if there is none."""
        return self._text(lib.llama_vocab_bos(self.vocab))

    @property
    def eos(self) -> str:
        """Return the text of the token that ends an answer, empty if there is none."""
        return self._text(lib.llama_vocab_eos(self.vocab))

    def _text(self, token: int) -> str:
        # A file that names none has the number of some usual token here.
        if token < 0 or not lib.llama_vocab_is_control(self.vocab, token):
            return ""
        return str(lib.llama_vocab_get_text(self.vocab, token).decode("utf-8", "replace"))

    @property
    def shares_prefixes(self) -> bool:
        """Return whether a sequence can begin with a part of another: not where a state sums up the whole."""
        return not (lib.llama_model_is_recurrent(self.pointer) or lib.llama_model_is_hybrid(self.pointer))

    def piece(self, token: int) -> bytes:
        """Return the bytes that `token` stands for; special tokens stand for none."""
        known = self._pieces.get(token)
        if known is None:
            buffer = ctypes.create_string_buffer(256)
            count = lib.llama_token_to_piece(self.vocab, token, buffer, 256, 0, False)
            if count < 0:  # longer than the buffer: minus its length
                buffer = ctypes.create_string_buffer(-count)
                count = lib.llama_token_to_piece(self.vocab, token, buffer, -count, 0, False)
            known = self._pieces[token] = buffer.raw[: max(count, 0)]
        return known

    def metadata(self) -> dict[str, str]:
        """Return the GGUF metadata as strings, values cut at 64 KiB."""
        out: dict[str, str] = {}
        for index in range(lib.llama_model_meta_count(self.pointer)):
            key = _string(lib.llama_model_meta_key_by_index, self.pointer, index, room=512)
            out[key] = _string(lib.llama_model_meta_val_str_by_index, self.pointer, index, room=65_536)
        return out

    def chat_template(self) -> str | None:
        """Return the model's own chat template (Jinja source), or None."""
        source = lib.llama_model_chat_template(self.pointer, None)
        return source.decode("utf-8", "replace") if source else None

    @property
    def description(self) -> str:
        """Return architecture, size and quantization, as llama.cpp prints them."""
        return _string(lib.llama_model_desc, self.pointer, room=256)

    @property
    def parameters(self) -> int:
        """Return the number of weights."""
        return int(lib.llama_model_n_params(self.pointer))

    @property
    def bytes(self) -> int:
        """Return the size of all tensors in bytes."""
        return int(lib.llama_model_size(self.pointer))

    @property
    def context_train(self) -> int:
        """Return the longest sequence (tokens) that the model was trained for."""
        return int(lib.llama_model_n_ctx_train(self.pointer))

    def cell_bytes(self) -> int:
        """Return the bytes of one KV cache cell (one token, all layers, f16 keys and values)."""
        layers = int(lib.llama_model_n_layer(self.pointer))
        heads = int(lib.llama_model_n_head(self.pointer))
        width = int(lib.llama_model_n_embd(self.pointer))
        kv_heads = int(lib.llama_model_n_head_kv(self.pointer))
        return layers * 2 * 2 * (width // max(heads, 1)) * kv_heads


def _string(function: Any, *arguments: Any, room: int) -> str:
    buffer = ctypes.create_string_buffer(room)
    function(*arguments, buffer, room)
    return buffer.value.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class ContextPlan:
    """Sizes of a context: `cells` of KV cache shared by `sequences`, `batch` tokens a step, `threads`."""

    cells: int
    sequences: int
    batch: int
    threads: int


class Context:
    """A context of many sequences over one unified KV cache, and the batch that feeds it."""

    def __init__(self, model: Model, plan: ContextPlan) -> None:
        """Allocate the cache; raises LoadError when there is no memory for it."""
        params = lib.llama_context_default_params()
        params.n_ctx = plan.cells
        params.n_batch = plan.batch
        params.n_ubatch = plan.batch
        params.n_seq_max = plan.sequences
        params.n_outputs_max = plan.sequences
        params.n_threads = plan.threads
        params.n_threads_batch = plan.threads
        params.kv_unified = True
        params.no_perf = True
        self.pointer: Any = lib.llama_init_from_model(model.pointer, params)
        if not self.pointer:
            raise LoadError("no memory for the context")
        self.memory: Any = lib.llama_get_memory(self.pointer)
        self.cells: int = lib.llama_n_ctx(self.pointer)
        self.batch_size = plan.batch
        self._batch = lib.llama_batch_init(plan.batch, 0, 1)
        self.length = 0

    def clear_batch(self) -> None:
        """Forget the tokens of the last step."""
        self.length = 0

    @property
    def room(self) -> int:
        """Return how many more tokens this step takes."""
        return self.batch_size - self.length

    def add(self, token: int, position: int, sequence: int, *, output: bool) -> int:
        """Put a token into the batch and return its place, by which its logits are found if `output`."""
        batch, place = self._batch, self.length
        batch.token[place] = token
        batch.pos[place] = position
        batch.n_seq_id[place] = 1
        batch.seq_id[place][0] = sequence
        batch.logits[place] = output
        self.length = place + 1
        return place

    def decode(self) -> None:
        """Compute the batch; raises DecodeError."""
        self._batch.n_tokens = self.length
        status = lib.llama_decode(self.pointer, self._batch)
        if status != 0:
            raise DecodeError("no room in the KV cache" if status == 1 else f"llama_decode returned {status}")

    def share(self, source: int, target: int, length: int) -> None:
        """Let sequence `target` begin with the first `length` cells of `source`, without copying them."""
        lib.llama_memory_seq_cp(self.memory, source, target, 0, length)

    def forget(self, sequence: int) -> None:
        """Free the cells of a sequence that no other sequence shares."""
        lib.llama_memory_seq_rm(self.memory, sequence, -1, -1)


class Sampler:
    """One request's native sampler chain with a seed of its own."""

    def __init__(self, sampling: Sampling, seed: int) -> None:
        """Build the chain that `sampling` describes."""
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        self._chain: Any = chain
        if sampling.repeat_penalty != 1.0:
            lib.llama_sampler_chain_add(
                chain, lib.llama_sampler_init_penalties(PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0)
            )
        if sampling.temperature <= 0:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_greedy())
            return
        if sampling.top_k > 0:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_k(sampling.top_k))
        if sampling.top_p < 1:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p > 0:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_min_p(sampling.min_p, 1))
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_temp(sampling.temperature))
        # The largest number is no seed: llama.cpp takes it for "draw one".
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_dist(seed % lib.LLAMA_DEFAULT_SEED))

    def sample(self, context: Context, place: int) -> int:
        """Draw the next token from the logits at `place` of the last batch, and remember it."""
        return int(lib.llama_sampler_sample(self._chain, context.pointer, place))

    def close(self) -> None:
        """Free the chain."""
        if self._chain:
            lib.llama_sampler_free(self._chain)
            self._chain = None


def tokens_in_common(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the length of the longest common prefix of two token sequences."""
    for place, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return place
    return min(len(first), len(second))
