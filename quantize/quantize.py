"""Quantizing a GGUF file with llama.cpp: every type that its `llama_model_quantize` makes."""

import ctypes
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from quantize.errors import ConversionError, MissingLibrary
from quantize.gguf_file import Progress
from quantize.importance import Importance
from quantize.whole_file import require_space, whole_file

# The line that llama.cpp logs for each tensor: "[   3/ 290] blk.0.attn_k.weight - ...".
_TENSOR_LINE = re.compile(r"\[\s*(\d+)/\s*(\d+)\]\s+(\S+)")
_SIZE_LINE = re.compile(r"quant size\s*=\s*([\d.]+) MiB")
_FALLBACK_LINE = re.compile(r"(\d+) of \d+ tensor\(s\) required fallback")
# GGML_LOG_LEVEL_ERROR (ggml.h).
_ERROR_LEVEL = 4
# How much of a tensor llama.cpp holds as float32 at a time. Its default is 8 GiB, and embeddings are large.
MOST_BUFFERED_BYTES = 256 << 20


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
    source: Path,
    destination: Path,
    type_name: str,
    threads: int | None = None,
    progress: Progress | None = None,
    *,
    importance: Importance | None = None,
    requantize: bool = False,
) -> int:
    """Quantize the GGUF file `source` to `type_name` and put the result at `destination`, whole or not at all.

    Returns how many tensors llama.cpp put in another type because their rows do not fill this type's blocks.
    Progress is in tensors. llama.cpp's messages are taken from the whole process while this runs.
    `importance` weighs the columns of every matrix; `requantize` allows a source that is quantized already.
    Raises `ConversionError` with llama.cpp's own words if it refuses: a type that needs an importance matrix,
    a source that is quantized already, a damaged source. Raises `OSError` if the disk fails or has no room.
    """
    number = file_type(type_name)
    if not source.is_file():
        raise ConversionError(f"{source}: no such file")
    llama_cpp = load_llama_cpp(type_name.upper())
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = number
    parameters.nthread = threads or os.cpu_count() or 1
    parameters.allow_requantize = requantize
    parameters.max_buf_size = MOST_BUFFERED_BYTES
    kept = _set_importance(parameters, importance) if importance else None
    with whole_file(destination) as partial:
        parameters.dry_run = True
        planned = _run(llama_cpp, source, partial, parameters, destination, None)
        require_space(destination.parent, planned.bytes, destination.name)
        parameters.dry_run = False
        done = _run(llama_cpp, source, partial, parameters, destination, progress)
    del kept  # llama.cpp reads it while it works
    return done.fallbacks


def load_llama_cpp(purpose: str) -> Any:
    """The llama-cpp-python module. Raises `MissingLibrary` if it is not installed."""
    try:
        import llama_cpp
    except ImportError as error:
        raise MissingLibrary(f"{purpose} is made by llama.cpp: install llama-cpp-python ({error})") from error
    return llama_cpp


@dataclass
class _Outcome:
    bytes: int = 0
    fallbacks: int = 0


def _run(
    llama_cpp: Any, source: Path, partial: Path, parameters: Any, destination: Path, progress: Progress | None
) -> _Outcome:
    """Let llama.cpp quantize, or plan to; what it says along the way is read from its log."""
    outcome, complaints = _Outcome(), []

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
    def listen(level: int, text: bytes, _data: int | None) -> None:
        line = text.decode("utf-8", "replace").strip()
        if level == _ERROR_LEVEL and line:
            complaints.append(line)
        elif match := _FALLBACK_LINE.search(line):
            outcome.fallbacks = int(match[1])
        elif match := _SIZE_LINE.search(line):
            outcome.bytes = int(float(match[1]) * (1 << 20))
        elif progress and (match := _TENSOR_LINE.match(line)):
            progress(match[3], int(match[1]), int(match[2]))

    llama_cpp.llama_backend_init()
    llama_cpp.llama_log_set(listen, ctypes.c_void_p(0))
    try:
        status = _interruptible(
            llama_cpp.llama_model_quantize, os.fsencode(source), os.fsencode(partial), ctypes.byref(parameters)
        )
    finally:
        llama_cpp.llama_log_set(llama_cpp._logger.llama_log_callback, ctypes.c_void_p(0))
    if status != 0:
        reason = complaints[-1].rpartition("failed to quantize: ")[2] if complaints else f"status {status}"
        if "iostream" in reason:
            raise OSError(f"{destination} cannot be written: is the disk full?")
        if "imatrix" in reason and not parameters.imatrix:
            reason = "it needs an importance matrix: give --calibrate or --imatrix"
        kind = gguf.LlamaFileType(parameters.ftype).name.partition("_")[2]
        raise ConversionError(f"llama.cpp cannot make {destination.name} ({kind}): {reason}")
    return outcome


def _set_importance(parameters: Any, importance: Importance) -> list[Any]:
    """Point `parameters` at an importance matrix, and note it in the file as llama-quantize does.

    Returns what must stay in memory as long as llama.cpp reads it.
    """
    import llama_cpp

    entries = (llama_cpp.llama_model_imatrix_data * (len(importance.columns) + 1))()
    kept: list[Any] = [entries]
    for entry, (name, values) in zip(entries, importance.columns.items(), strict=False):
        kept.append(values)
        entry.name, entry.size = name.encode(), values.size
        entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    notes: dict[str, str | int] = {"file": importance.file}
    if importance.dataset:
        notes["dataset"] = importance.dataset
    notes |= {"entries_count": len(importance.columns), "chunks_count": importance.chunks}
    overrides = (llama_cpp.llama_model_kv_override * (len(notes) + 1))()
    for override, (key, note) in zip(overrides, notes.items(), strict=False):
        override.key = f"quantize.imatrix.{key}".encode()
        if isinstance(note, int):
            override.tag, override.value.val_i64 = llama_cpp.LLAMA_KV_OVERRIDE_TYPE_INT, note
        else:
            override.tag = llama_cpp.LLAMA_KV_OVERRIDE_TYPE_STR
            override.value.val_str = note.encode()[:127]
    kept.append(overrides)
    parameters.imatrix = ctypes.cast(entries, ctypes.POINTER(llama_cpp.llama_model_imatrix_data))
    parameters.kv_overrides = ctypes.cast(overrides, ctypes.POINTER(llama_cpp.llama_model_kv_override))
    return kept


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
