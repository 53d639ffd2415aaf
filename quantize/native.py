"""A model in llama.cpp, for looking at: tokens, logits of every position, and the matrix products along the way."""

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.errors import ConversionError
from quantize.products import ProductCallback, Watcher
from quantize.quantize import load_llama_cpp

_F32 = 0
_ERROR_LEVEL = 4
# enum llama_flash_attn_type (llama.h).
_FLASH_OFF, _FLASH_AUTO = 0, -1


class Model:
    """A loaded GGUF model with one context; a context of its own thread, closed at the end of a `with` block."""

    def __init__(self, path: Path, context: int, *, exact: bool = False, watch: Watcher | None = None) -> None:
        """Load `path` with room for `context` tokens; raises `ConversionError` if llama.cpp cannot.

        `exact` keeps keys and values in float32 and leaves flash attention out, for comparison with other programs.
        `watch` sees the inputs of every product with a matrix of a block, for at least 16 tokens at a time.
        """
        self._lib = lib = load_llama_cpp("reading a model")
        self.path, self.context_size = path, context
        self._model = self._context = None
        self._products: ProductCallback | None = None
        lib.llama_backend_init()
        with _complaints(lib) as complaints:
            parameters = lib.llama_model_default_params()
            parameters.use_extra_bufts = False  # weights in another order would not be the file's
            if watch:
                parameters.n_gpu_layers = 0  # inputs in a GPU's memory could not be read
            self._model = lib.llama_model_load_from_file(os.fsencode(path), parameters)
            if not self._model:
                raise ConversionError(f"llama.cpp cannot load {path}: {(complaints or ['it does not say why'])[-1]}")
            self._vocab = lib.llama_model_get_vocab(self._model)
            self.vocabulary_size: int = lib.llama_vocab_n_tokens(self._vocab)
            self.parameters: int = lib.llama_model_n_params(self._model)
            self._context = self._make_context(exact, watch)
            if not self._context:
                raise ConversionError(f"llama.cpp has no room for {context} tokens of {path}: {complaints[-1:]}")

    def _make_context(self, exact: bool, watch: Watcher | None) -> Any:
        lib = self._lib
        parameters = lib.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = self.context_size
        parameters.n_threads = parameters.n_threads_batch = _threads()
        parameters.flash_attn_type = _FLASH_OFF if exact else _FLASH_AUTO
        if exact:
            parameters.type_k = parameters.type_v = _F32
        if watch:
            parameters.op_offload = parameters.offload_kqv = False
            self._products = ProductCallback(watch)
            self._native_callback = lib.ggml_backend_sched_eval_callback(self._products)  # kept as long as the context
            parameters.cb_eval = self._native_callback
        return lib.llama_init_from_model(self._model, parameters)

    def __enter__(self) -> "Model":
        """Return the model."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the model."""
        self.close()

    def close(self) -> None:
        """Free context and weights; safe to call twice."""
        if self._context:
            self._lib.llama_free(self._context)
            self._context = None
        if self._model:
            self._lib.llama_model_free(self._model)
            self._model = None

    def tokenize(self, text: str, *, special: bool = True, begin: bool = False) -> list[int]:
        """The tokens of `text`.

        `special` reads `<|im_start|>` and its like as the tokens they name; `begin` adds what every text begins with.
        """
        data = text.encode()
        room = len(data) + 8
        found = (self._lib.llama_token * room)()
        count = self._lib.llama_tokenize(self._vocab, data, len(data), found, room, begin, special)
        if count < 0:
            raise ConversionError(f"llama.cpp cannot tokenize a text of {len(data)} bytes")
        return list(found[:count])

    @property
    def begins_with(self) -> int | None:
        """The token that begins every text, or None."""
        lib = self._lib
        return int(lib.llama_vocab_bos(self._vocab)) if lib.llama_vocab_get_add_bos(self._vocab) else None

    def metadata(self, key: str) -> str | None:
        """A value of the file's metadata as text; None if it has none of this name."""
        lib, name = self._lib, key.encode()
        size = lib.llama_model_meta_val_str(self._model, name, None, 0)
        if size < 0:
            return None
        buffer = ctypes.create_string_buffer(size + 1)
        lib.llama_model_meta_val_str(self._model, name, buffer, size + 1)
        return buffer.value.decode("utf-8", "replace")

    def token_text(self, token: int) -> str:
        """The text of a token in the vocabulary; empty for none."""
        text = self._lib.llama_vocab_get_text(self._vocab, token) if token >= 0 else b""
        return (text or b"").decode("utf-8", "replace")

    @property
    def special_tokens(self) -> tuple[str, str]:
        """The texts of the tokens that begin and end texts, as chat templates write them."""
        lib = self._lib
        begin, end = (read(self._vocab) for read in (lib.llama_vocab_bos, lib.llama_vocab_eos))
        return self.token_text(begin), self.token_text(end)

    def logits(self, tokens: Sequence[int], start: int = 0) -> NDArray[np.float32]:
        """The logits after each of the tokens from place `start` on, (tokens - start, vocabulary).

        The array is llama.cpp's own memory, good until the next call. Raises `ConversionError` if it fails.
        """
        lib, count = self._lib, len(tokens)
        if count > self.context_size:
            raise ConversionError(f"{count} tokens are more than the {self.context_size} that there is room for")
        lib.llama_memory_clear(lib.llama_get_memory(self._context), True)
        batch = lib.llama_batch_init(count, 0, 1)
        try:
            batch.n_tokens = count
            for place, token in enumerate(tokens):
                batch.token[place], batch.pos[place] = token, place
                batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
                batch.logits[place] = place >= start
            if status := lib.llama_decode(self._context, batch):
                raise ConversionError(f"llama.cpp cannot compute {self.path.name} (status {status})")
            if self._products and self._products.fault:
                raise self._products.fault
            first = lib.llama_get_logits_ith(self._context, start)
            return np.ctypeslib.as_array(first, (count - start, self.vocabulary_size))
        finally:
            lib.llama_batch_free(batch)


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _complaints(lib: Any) -> Iterator[list[str]]:
    """What llama.cpp logs as errors in the block; nothing of its log is printed, then or later."""
    found: list[str] = []

    def listen(level: int, text: bytes, _data: int | None) -> None:
        if level == _ERROR_LEVEL and (line := text.decode("utf-8", "replace").strip()):
            found.append(line)

    global _quiet, _listening
    _listening = lib.llama_log_callback(listen)
    lib.llama_log_set(_listening, ctypes.c_void_p(0))
    try:
        yield found
    finally:
        _quiet = lib.llama_log_callback(lambda level, text, data: None)
        lib.llama_log_set(_quiet, ctypes.c_void_p(0))


# llama.cpp holds these two without Python's knowing.
_quiet: Any = None
_listening: Any = None
