"""Quantizing a GGUF file with llama.cpp: every type that its `llama_model_quantize` makes."""

import ctypes
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf

from quantize.errors import ConversionError
from quantize.gguf_file import Progress, whole_file

# The line that llama.cpp logs for each tensor: "[   3/ 290] blk.0.attn_k.weight - ...".
_TENSOR_LINE = re.compile(r"\[\s*(\d+)/\s*(\d+)\]\s+(\S+)")
_FALLBACK_LINE = re.compile(r"(\d+) of \d+ tensor\(s\) required fallback")
# GGML_LOG_LEVEL_ERROR (ggml.h).
_ERROR_LEVEL = 4


def file_types() -> dict[str, int]:
    """The types by name (Q4_K_M, Q8_0, F16 ...) and their `llama_ftype` (llama.h)."""
    return {
        kind.name.partition("_")[2]: int(kind)
        for kind in gguf.LlamaFileType
        if kind.name.startswith(("MOSTLY_", "ALL_"))
    }


def file_type(name: str) -> int:
    """The `llama_ftype` of a type's name, in any case. Raises `ConversionError` for an unknown one."""
    known = file_types()
    if (number := known.get(name.upper())) is None:
        raise ConversionError(f"unknown type {name!r}: choose one of {', '.join(known)}")
    return number


def quantize_gguf(
    source: Path, destination: Path, type_name: str, threads: int | None = None, progress: Progress | None = None
) -> int:
    """Quantize the GGUF file `source` to `type_name` and put the result at `destination`, whole or not at all.

    Returns how many tensors llama.cpp put in another type because their rows do not fill this type's blocks.
    Progress is in tensors. llama.cpp's messages are taken from the whole process while this runs.
    Raises `ConversionError` with llama.cpp's own words if it refuses: a type that needs an importance matrix,
    a source that is quantized already, a damaged source. Raises `OSError` if the disk fails.
    """
    number = file_type(type_name)
    if not source.is_file():
        raise ConversionError(f"{source}: no such file")
    try:
        import llama_cpp
        from llama_cpp import _logger
    except ImportError as error:
        raise ConversionError(f"{type_name} is made by llama.cpp: install llama-cpp-python ({error})") from error
    complaints: list[str] = []
    fallbacks = 0

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
    def listen(level: int, text: bytes, _data: int | None) -> None:
        nonlocal fallbacks
        line = text.decode("utf-8", "replace").strip()
        if level == _ERROR_LEVEL and line:
            complaints.append(line)
        elif match := _FALLBACK_LINE.search(line):
            fallbacks = int(match[1])
        elif progress and (match := _TENSOR_LINE.match(line)):
            progress(match[3], int(match[1]), int(match[2]))

    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = number
    parameters.nthread = threads or os.cpu_count() or 1
    llama_cpp.llama_backend_init()
    llama_cpp.llama_log_set(listen, ctypes.c_void_p(0))
    try:
        with whole_file(destination) as partial:
            status = _interruptible(
                llama_cpp.llama_model_quantize, os.fsencode(source), os.fsencode(partial), ctypes.byref(parameters)
            )
            if status != 0:
                reason = complaints[-1].rpartition("failed to quantize: ")[2] if complaints else f"status {status}"
                if "iostream" in reason:
                    raise OSError(f"{destination} cannot be written: is the disk full?")
                raise ConversionError(f"llama.cpp cannot make {destination.name} ({type_name.upper()}): {reason}")
    finally:
        llama_cpp.llama_log_set(_logger.llama_log_callback, ctypes.c_void_p(0))
    return fallbacks


def _interruptible(function: Callable[..., int], *arguments: Any) -> int:
    """The result of a native function that may run for minutes, from a thread so that Ctrl-C is noticed meanwhile.

    After an interruption the thread is still at work: the process has to end without waiting for it.
    """
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(function(*arguments)), daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    return results[0]
