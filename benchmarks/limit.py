"""llama-batched-bench: the decode rate of llama.cpp itself, without sampling, texts or waiting, as the limit."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.memory import PeakMemory
from benchmarks.workload import Measured, Workload

VARIANTS: dict[str, list[str]] = {
    "a cache for each": [],
    "unified": ["-kvu"],
    "shared prompt": ["-pps"],
    "unified, shared prompt": ["-kvu", "-pps"],
}
"""One cache for each sequence or for all, and the prompt computed for each sequence or once."""


def measure(work: Workload, slots: int, folder: Path, prompt_tokens: int, cell_bytes: int, variant: str) -> Measured:
    """Decode `tokens` for each of `slots` sequences behind `prompt_tokens`; the rates are the tool's own."""
    sizes = {
        "-c": work.cells(slots), "-b": 2048, "-ub": 512, "-t": work.threads, "-tb": work.threads,
        "-npp": prompt_tokens, "-ntg": work.tokens, "-npl": slots, "--output-format": "jsonl",
    }  # fmt: skip
    command = [str(folder / "llama-batched-bench"), "-m", str(work.model), *VARIANTS[variant]]
    command += [str(part) for pair in sizes.items() for part in pair]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with child, PeakMemory(child.pid) as memory:
        output, errors = child.communicate()
    found = _row(output) or _row(errors)
    if found is None:
        raise SystemExit(f"llama-batched-bench failed: {errors[-2000:]}")
    return Measured(
        generated_tokens=slots * work.tokens,
        seconds=found["t"],
        decode_tokens_per_second=found["speed_tg"],
        prefill_tokens_per_second=found["speed_pp"],
        peak_rss_bytes=memory.peak_bytes,
        cache_bytes=work.cells(slots) * cell_bytes,
        detail={"variant": variant},
    )


def _row(text: str) -> dict[str, Any] | None:
    for line in text.splitlines():
        if line.startswith("{"):
            row: dict[str, Any] = json.loads(line)
            return row
    return None
