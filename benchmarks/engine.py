"""augtui's engine as a part of a comparison."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from augtui.engines.base import Completion, Failure, ModelInfo, Progress, Request, Restarted
from augtui.engines.client import LocalEngine
from augtui.engines.options import EngineOptions
from benchmarks.memory import peak_rss_bytes
from benchmarks.workload import Measured, Workload

IDLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Answers:
    """Completed requests, the seconds they took together, and the engine's totals at rest."""

    completions: list[Completion]
    seconds: float
    totals: Progress | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the other parts have to know of a model: sizes of prompts and of a cell of the KV cache."""

    info: ModelInfo
    prompt_tokens: int
    shared_tokens: int
    cell_bytes: int


def ask(engine: LocalEngine, requests: list[Request]) -> Answers:
    """Give the engine all requests and wait for them; ends the program if one fails."""
    completions: list[Completion] = []
    totals: Progress | None = None
    seconds = 0.0
    started = time.perf_counter()
    engine.submit(requests)
    given_up = float("inf")
    while time.perf_counter() < given_up:
        for event in engine.poll(0.2):
            if isinstance(event, Failure | Restarted):
                raise SystemExit(f"the engine failed: {event}")
            if isinstance(event, Completion):
                completions.append(event)
                seconds = time.perf_counter() - started
            elif isinstance(event, Progress):
                totals = event
        if len(completions) == len(requests):
            if totals is not None and not totals.active and not totals.waiting:
                break
            given_up = min(given_up, time.perf_counter() + IDLE_S)
    return Answers(completions, seconds, totals)


def measure(work: Workload, slots: int) -> Measured:
    """Answer the prompts with so many slots; loading is not counted."""
    engine = LocalEngine(
        work.model, EngineOptions(slots=slots, threads=work.threads, cells=work.cells(slots), speculate=False)
    )
    try:
        info = engine.model
        answers = ask(engine, work.requests())
        pid = engine.pid
        peak = peak_rss_bytes(pid) if pid is not None else None
    finally:
        engine.close()
    timing = answers.totals.timing if answers.totals else None
    if peak is None and answers.totals is not None:
        peak = answers.totals.rss_bytes
    return Measured(
        generated_tokens=sum(done.completion_tokens for done in answers.completions),
        seconds=answers.seconds,
        decode_tokens_per_second=_rate(timing.decode_tokens, timing.decode_s) if timing else None,
        prefill_tokens_per_second=_rate(timing.prefill_tokens, timing.prefill_s) if timing else None,
        peak_rss_bytes=peak,
        cache_bytes=info.cache_bytes or None,
        detail={
            "prompt_tokens": sum(done.prompt_tokens - done.shared_tokens for done in answers.completions),
            "context_cells": info.context_cells,
            "timing": None if timing is None else {name: getattr(timing, name) for name in timing.__slots__},
        },
    )


def facts(work: Workload) -> Facts:
    """Load the model once, with a few prompts, to learn the sizes of things."""
    few = replace(work, prompts=4, tokens=1)
    engine = LocalEngine(work.model, EngineOptions(slots=2, threads=work.threads))
    try:
        info = engine.model
        done = ask(engine, few.requests()).completions
    finally:
        engine.close()
    prompt = round(sum(each.prompt_tokens for each in done) / len(done))
    shared = max(each.shared_tokens for each in done)
    cell = info.cache_bytes // info.context_cells if info.context_cells else _cell_bytes(info)
    return Facts(info, prompt, shared, cell)


def _cell_bytes(info: ModelInfo) -> int:
    """Return the bytes of keys and values of one token, f16, by the GGUF's metadata."""
    values = info.metadata
    name = values["general.architecture"]
    layers, width = int(values[f"{name}.block_count"]), int(values[f"{name}.embedding_length"])
    heads = int(values[f"{name}.attention.head_count"])
    kv_heads = int(values.get(f"{name}.attention.head_count_kv", heads))
    return layers * 2 * 2 * (width // heads) * kv_heads


def _rate(tokens: int, seconds: float) -> float | None:
    return tokens / seconds if tokens > 0 and seconds > 0 else None
