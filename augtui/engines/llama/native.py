"""A thin, typed layer over llama-cpp-python's low-level API: a model and its vocabulary.

Imported by the worker process only: loading the library takes time, and a bad model file can end the process.
"""

from __future__ import annotations

import ctypes
import functools
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import llama_cpp as lib

from augtui.engines.backend import AdapterError, LoadError

REPACKS = platform.machine().lower() not in ("x86_64", "amd64")
"""Whether llama.cpp may copy weights into the order that its kernels like. On ARM that is much faster; on x86 it is no
faster in batches, and doubles the memory and the time of loading (docs/performance.md)."""


class Model:
    """A loaded GGUF model and its vocabulary."""

    def __init__(self, path: Path, *, gpu_layers: int = -1, adapters: Mapping[str, Path] | None = None) -> None:
        """Load `path`, memory-mapped, with as many layers on a GPU as fit, and LoRA adapters; raises LoadError."""
        lib.llama_backend_init()
        params = lib.llama_model_default_params()
        params.use_extra_bufts = REPACKS
        self.pointer: Any = None
        for layers in layer_attempts(gpu_layers, gpu=bool(lib.llama_supports_gpu_offload())):
            params.n_gpu_layers = self.gpu_layers = layers
            self.pointer = lib.llama_model_load_from_file(str(path).encode(), params)
            if self.pointer:
                break
        if not self.pointer:
            raise LoadError(str(path))
        self.adapters = {name: self._adapter(file) for name, file in (adapters or {}).items()}
        self.vocab: Any = lib.llama_model_get_vocab(self.pointer)
        self.n_vocab: int = lib.llama_vocab_n_tokens(self.vocab)
        self._pieces: dict[int, bytes] = {}
        self._control, self.end_tokens = self._special_tokens()

    def close(self) -> None:
        """Free the weights; no context may stand on them."""
        if self.pointer:
            lib.llama_model_free(self.pointer)
            self.pointer = None

    def _adapter(self, path: Path) -> Any:
        pointer = lib.llama_adapter_lora_init(self.pointer, str(path).encode())
        if not pointer:
            raise AdapterError(f"the adapter {path} does not fit this model")
        return pointer

    def _special_tokens(self) -> tuple[frozenset[int], frozenset[int]]:
        """Return the control tokens, and those that end an answer."""
        control = frozenset(token for token in range(self.n_vocab) if lib.llama_vocab_is_control(self.vocab, token))
        ends = {token for token in control if lib.llama_vocab_is_eog(self.vocab, token)}
        # The published Refine-7B names only <|endoftext|> (151643) as its end, but answers end in <|im_end|> (151645)
        # too: both end an answer wherever the vocabulary has them.
        for text in ("<|endoftext|>", "<|im_end|>"):
            named = self.tokenize(text, special=True)
            ends |= set(named) if len(named) == 1 else set()
        candidates = (lib.llama_vocab_eos(self.vocab), lib.llama_vocab_eot(self.vocab))
        return control, frozenset(ends | {token for token in candidates if token >= 0})

    def is_end(self, token: int) -> bool:
        """Return whether `token` ends an answer."""
        return token in self.end_tokens

    def control_texts(self) -> frozenset[str]:
        """Return the texts that the vocabulary reads as control tokens, such as `<|im_end|>`."""
        texts = (lib.llama_vocab_get_text(self.vocab, token) for token in self._control)
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
        begin = self.begin_token
        return tokens if begin is None or tokens[:1] == [begin] else [begin, *tokens]

    @property
    def begin_token(self) -> int | None:
        """Return the token that begins every text, where the model wants it."""
        begin = int(lib.llama_vocab_bos(self.vocab))
        return begin if lib.llama_vocab_get_add_bos(self.vocab) and begin >= 0 else None

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
    def generates(self) -> bool:
        """Return whether the model continues texts; encoders such as BERT only embed them."""
        return self.meta(f"{self.meta('general.architecture')}.attention.causal") != "false"

    @functools.cached_property
    def longest_piece(self) -> int:
        """Return the most bytes that one token stands for."""
        return max((len(self.piece(token)) for token in range(self.n_vocab)), default=1)

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

    def cell_width(self) -> int:
        """Return the values in one cell of the KV cache: one token's keys and values over all layers.

        Layers with a sliding window need less; what they are said to need is an upper bound.
        """
        heads = max(1, int(lib.llama_model_n_head(self.pointer)))
        head_width = int(lib.llama_model_n_embd(self.pointer)) // heads
        prefix = f"{self.meta('general.architecture') or 'llama'}.attention."
        key, value = (_number(self.meta(prefix + name), head_width) for name in ("key_length", "value_length"))
        return int(lib.llama_model_n_layer(self.pointer)) * int(lib.llama_model_n_head_kv(self.pointer)) * (key + value)

    @property
    def width(self) -> int:
        """Return the length of a hidden state."""
        return int(lib.llama_model_n_embd_out(self.pointer))

    def meta(self, key: str) -> str | None:
        """Return one value of the GGUF metadata as a string, or None."""
        buffer = ctypes.create_string_buffer(4096)
        if lib.llama_model_meta_val_str(self.pointer, key.encode(), buffer, 4096) < 0:
            return None
        return buffer.value.decode("utf-8", "replace")


def layer_attempts(wanted: int, *, gpu: bool) -> list[int]:
    """Return the numbers of GPU layers to try, first the ones wanted (-1: all); fewer where the GPU has no room."""
    if not gpu:
        return [0]
    return [wanted] if wanted >= 0 else [-1, 48, 32, 24, 16, 8, 0]


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdigit() else otherwise


def _string(function: Any, *arguments: Any, room: int) -> str:
    buffer = ctypes.create_string_buffer(room)
    function(*arguments, buffer, room)
    return buffer.value.decode("utf-8", "replace")
