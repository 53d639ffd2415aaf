"""Bench: how fast a model answers on this machine, by the number of answers it generates at a time."""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from augtui.domain.records import Record
from augtui.domain.tasks import REFINE, Style
from augtui.domain.templates import Message
from augtui.engines import machine
from augtui.engines.base import (
    Completion,
    Engine,
    Event,
    Failure,
    ModelInfo,
    Progress,
    Request,
    Restarted,
    Sampling,
    Timing,
)
from augtui.errors import EngineError, InputError, ModelError, UsageError
from augtui.pipelines import collect, source

USUAL_SLOTS = (1, 4, 8, 16, 32)
"""What is tried when no number of slots is given."""
USUAL_TOKENS = 64
"""Longest answer, in tokens, when none is given."""
NEAR_BEST = 0.95
"""Fewer slots are recommended if they reach this share of the best throughput: they take less memory."""
CACHE_SHARE = 0.4
"""Slots are left out when their KV cache would take more than this share of the free memory, as in the worker."""
LEAST_PROMPTS = 16
ROUNDS = 3
"""Prompts for each slot: with one alone, the slots would start and end together and never mix prompts and answers."""
LEAST_S, MOST_S = 2.0, 10.0
"""How long a row would take with one slot: a fast model gets more prompts, a slow one fewer (but one for each slot)."""
WARM_UP_TOKENS = 16
POLL_S = 0.1
IDLE_S = 2.0
"""How long to wait for the engine's last figures after its last answer."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What the engine is given to do."""

    prompts: Sequence[str]
    sampling: Sampling
    style: Style = "specialised"
    whole: bool = False
    """Whether each prompt is asked exactly once; else as many as the slots and the speed call for, over and over."""

    def usual_slots(self) -> list[int]:
        """Return the numbers of slots to try: those that these prompts can fill."""
        return [count for count in USUAL_SLOTS if count == 1 or not self.whole or count <= len(self.prompts)]

    def requests(self, slots: int, speed: float) -> list[Request]:
        """Return the requests for an engine of `slots` that generates `speed` tokens a second in one of them."""
        count = (
            len(self.prompts) if self.whole else prompt_count(slots, speed, self.sampling.max_tokens or USUAL_TOKENS)
        )
        texts = islice(cycle(self.prompts), count)
        return [
            Request(str(number), REFINE.render(Record(text), self.style), number, self.sampling)
            for number, text in enumerate(texts)
        ]


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured with one number of slots; times are in seconds."""

    slots: int
    prompts: int
    failed: int
    generated_tokens: int
    prompt_tokens: int
    """Tokens of prompts that were computed; what they share with the others is counted once."""
    seconds: float
    """From the submission of all prompts to the end of the last answer."""
    load_s: float
    first_token_median_s: float
    """From the moment that a slot takes a prompt up to the first token of its answer."""
    first_token_p95_s: float
    timing: Timing
    peak_rss_bytes: int
    """Most resident memory that the engine's process had: the model's file as far as it is mapped, cache, buffers."""
    cache_bytes: int
    context_cells: int
    threads: int
    longest_tokens: int
    """Longest prompt plus longest answer that it may have."""

    @property
    def tokens_per_second(self) -> float:
        """Return the throughput: generated tokens by wall time, prompts and all."""
        return self.generated_tokens / self.seconds

    @property
    def prefill_tokens_per_second(self) -> float | None:
        """Return how fast prompts are computed, from the steps that did nothing else; None without such steps."""
        return _rate(self.timing.prefill_tokens, self.timing.prefill_s)

    @property
    def decode_tokens_per_second(self) -> float | None:
        """Return how fast answers are generated, from the steps that did nothing else; None without such steps."""
        return _rate(self.timing.decode_tokens, self.timing.decode_s)

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "slots": self.slots,
            "prompts": self.prompts,
            "failed": self.failed,
            "generated_tokens": self.generated_tokens,
            "prompt_tokens": self.prompt_tokens,
            "seconds": round(self.seconds, 4),
            "tokens_per_second": round(self.tokens_per_second, 2),
            "prefill_tokens_per_second": _rounded(self.prefill_tokens_per_second),
            "decode_tokens_per_second": _rounded(self.decode_tokens_per_second),
            "first_token_s": {
                "median": round(self.first_token_median_s, 4),
                "p95": round(self.first_token_p95_s, 4),
            },
            "load_s": round(self.load_s, 3),
            "peak_rss_bytes": self.peak_rss_bytes,
            "cache_bytes": self.cache_bytes,
            "context_cells": self.context_cells,
            "threads": self.threads,
            "timing": {name: round(value, 4) for name, value in asdict(self.timing).items()},
        }


@dataclass(slots=True)
class Report:
    """All rows, and which of them to use."""

    model: ModelInfo | None = None
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader should know of the figures: slots that were left out, prompts that failed."""

    @property
    def best(self) -> Row:
        """Return the row of the highest throughput."""
        return max(self.rows, key=lambda row: row.tokens_per_second)

    @property
    def recommended(self) -> Row:
        """Return the row of the fewest slots whose throughput is near the best."""
        enough = self.best.tokens_per_second * NEAR_BEST
        return min((row for row in self.rows if row.tokens_per_second >= enough), key=lambda row: row.slots)

    @property
    def reason(self) -> str | None:
        """Return in one line why these slots are recommended; None where there was nothing to choose from."""
        if len(self.rows) < 2:
            return None
        best, chosen = self.best, self.recommended
        what = f"{slots_text(chosen.slots)}: {chosen.tokens_per_second:,.0f} tok/s"
        if chosen is best:
            fewest = chosen.slots == min(row.slots for row in self.rows)
            return f"{what}, the most" if fewest else f"{what}, the most, and fewer slots are over 5% slower"
        saved = (best.peak_rss_bytes - chosen.peak_rss_bytes) / 2**20
        memory = f", with {saved:,.0f} MiB less memory" if saved >= 1 else ""
        return f"{what}, the fewest within 5% of the most ({best.tokens_per_second:,.0f} at {best.slots}){memory}"


class Watcher:
    """Is told how the measuring goes; this one takes no notice."""

    def loading(self, slots: int) -> None:
        """Take notice that an engine of `slots` is being loaded."""

    def begin(self, slots: int, prompts: int) -> None:
        """Take notice that `prompts` are given to an engine of `slots`."""

    def see(self, event: Event) -> None:
        """Take notice of an event."""

    def end(self, row: Row) -> None:
        """Take notice of a finished row."""


OpenEngine = Callable[[int], AbstractContextManager[Engine]]
"""From a number of slots to an engine that ends with the block."""


def measure(work: Workload, slots: Sequence[int], open_engine: OpenEngine, watcher: Watcher, *, free: bool) -> Report:
    """Measure with each number of slots in turn; `free` leaves out those for which there is no memory.

    Raises UsageError when no prompt fits the model's context, ModelError and EngineError when the model cannot run.
    """
    report = Report()
    for count in sorted(set(slots)):
        if free and report.rows and (reason := _too_large(count, report.rows[-1], machine.free_bytes())):
            report.notes.append(f"{slots_text(count)} left out: {reason}")
            continue
        try:
            row = _row(work, count, open_engine, watcher, report)
        except (ModelError, EngineError) as error:
            if not free or not report.rows:
                raise
            report.notes.append(f"{slots_text(count)} left out: {error.message}")
            continue
        report.rows.append(row)
        watcher.end(row)
    return report


def read_prompts(name: str, *, field: str | None, format: str | None, limit: int | None) -> tuple[list[str], int]:
    """Return the prompts of a file (`-`: standard input), and how many of its lines hold none.

    Raises InputError for a file that holds no prompts at all.
    """
    with source.opened(name) as opened:
        try:
            rows = list(collect.read(opened.path, field=field, format=format, limit=limit))
        except InputError as error:
            # A pipe's temporary copy means nothing to the user.
            raise InputError(error.message.replace(str(opened.path), opened.shown), hint=error.hint) from None
    prompts = [row.instruction for row in rows if isinstance(row, Record)]
    if not prompts:
        raise InputError(f"no line of {opened.shown} holds a prompt")
    return prompts, len(rows) - len(prompts)


def prompt_count(slots: int, speed: float, answer_tokens: int) -> int:
    """Return how many prompts to ask: several rounds for fast models, one round at least."""
    least, most = (int(speed * seconds / answer_tokens) for seconds in (LEAST_S, MOST_S))
    return max(slots, 2, min(most, max(LEAST_PROMPTS, ROUNDS * slots, least)))


def slots_text(count: int) -> str:
    """Return a number of slots in words."""
    return "1 slot" if count == 1 else f"{count} slots"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def machine_facts() -> dict[str, Any]:
    """Return what the figures depend on beside the model: processor, cores, memory, versions."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": machine.physical_cores(),
        "logical_cores": os.cpu_count(),
        "free_memory_bytes": machine.free_bytes(),
        "python": platform.python_version(),
        "llama_cpp_python": _version("llama-cpp-python"),
    }


@dataclass(slots=True)
class _Pass:
    """What came of a set of requests."""

    completions: list[Completion] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    totals: Progress | None = None
    """The engine's last word, from when it had nothing left to do."""
    peak_rss_bytes: int = 0

    @property
    def ended(self) -> int:
        return len(self.completions) + len(self.failures)

    @property
    def timing(self) -> Timing:
        return self.totals.timing if self.totals else Timing()

    @property
    def prompt_tokens(self) -> int:
        return self.totals.prompt_tokens if self.totals else 0


def _row(work: Workload, slots: int, open_engine: OpenEngine, watcher: Watcher, report: Report) -> Row:
    watcher.loading(slots)
    with open_engine(slots) as engine:
        started = time.perf_counter()
        info = report.model = engine.model
        load_s = time.perf_counter() - started
        warm = _warm_up(engine, work.sampling)
        requests = work.requests(slots, _single_speed(warm))
        watcher.begin(slots, len(requests))
        done = _ask(engine, requests, watcher)
    if done.failures:
        _take_notice(done, slots, report)
    waits = [completion.first_token_s - completion.queued_s for completion in done.completions]
    return Row(
        slots=slots,
        prompts=len(done.completions),
        failed=len(done.failures),
        generated_tokens=sum(completion.completion_tokens for completion in done.completions),
        prompt_tokens=done.prompt_tokens - warm.prompt_tokens,
        seconds=done.seconds,
        load_s=load_s,
        first_token_median_s=statistics.median(waits),
        first_token_p95_s=percentile(waits, 0.95),
        timing=_difference(done.timing, warm.timing),
        peak_rss_bytes=max(done.peak_rss_bytes, warm.peak_rss_bytes),
        cache_bytes=info.cache_bytes,
        context_cells=info.context_cells,
        threads=info.threads,
        longest_tokens=max(c.prompt_tokens for c in done.completions) + (work.sampling.max_tokens or 0),
    )


def _warm_up(engine: Engine, sampling: Sampling) -> _Pass:
    """Bring the model's file into memory, then see how fast one slot is.

    The prompt begins unlike the measured ones, so that their shared prefix is still to be computed.
    """
    prompt = (Message("user", "Count from one to twenty."),)
    brief = Sampling(max_tokens=min(WARM_UP_TOKENS, sampling.max_tokens or WARM_UP_TOKENS))
    _ask(engine, [Request("warm-up", prompt, 0, brief)], Watcher())
    warm = _ask(engine, [Request("warm", prompt, 1, brief)], Watcher())
    if warm.failures:
        raise _refusal(warm.failures[0])
    return warm


def _single_speed(warm: _Pass) -> float:
    """Return the tokens a second of one slot alone."""
    done = warm.completions[0]
    pure = _rate(done.completion_tokens - 1, done.duration_s - done.first_token_s)
    return pure or max(1, done.completion_tokens) / warm.seconds


def _ask(engine: Engine, requests: Sequence[Request], watcher: Watcher) -> _Pass:
    """Give the engine all requests at once and wait for their ends, and then for its figures."""
    done = _Pass()
    started = time.perf_counter()
    engine.submit(requests)
    while done.ended < len(requests):
        for event in engine.poll(POLL_S):
            _note(done, event, watcher)
        done.seconds = time.perf_counter() - started
    given_up = time.monotonic() + IDLE_S
    while (done.totals is None or done.totals.active or done.totals.waiting) and time.monotonic() < given_up:
        for event in engine.poll(POLL_S):
            _note(done, event, watcher)
    return done


def _note(done: _Pass, event: Event, watcher: Watcher) -> None:
    if isinstance(event, Restarted):
        raise EngineError(f"the engine died while it was measured ({event.reason})")
    if isinstance(event, Completion):
        done.completions.append(event)
    elif isinstance(event, Failure):
        done.failures.append(event)
    elif isinstance(event, Progress):
        done.totals = event
        done.peak_rss_bytes = max(done.peak_rss_bytes, event.rss_bytes)
    watcher.see(event)


def _take_notice(done: _Pass, slots: int, report: Report) -> None:
    """Note that some prompts got no answer; raises if none did."""
    first = done.failures[0]
    if not done.completions:
        raise _refusal(first)
    report.notes.append(
        f"{slots_text(slots)}: {len(done.failures)} prompts got no answer ({first.code}: {first.detail})"
    )


def _refusal(failure: Failure) -> UsageError | EngineError:
    if failure.code == "context overflow":
        return UsageError(f"no prompt fits this model's context: {failure.detail}", hint="Try a smaller --max-tokens.")
    return EngineError(f"the engine does not answer ({failure.code}: {failure.detail})")


def _too_large(slots: int, known: Row, free_bytes: int) -> str | None:
    """Return why there is no memory for so many slots, judged by the cells of a row that was measured."""
    cell_bytes = known.cache_bytes / known.context_cells if known.context_cells else 0
    needed = slots * known.longest_tokens * cell_bytes
    if needed <= free_bytes * CACHE_SHARE:
        return None
    return f"their cache needs {needed / 2**20:,.0f} MiB, and {free_bytes / 2**20:,.0f} MiB are free"


def _rate(tokens: int, seconds: float) -> float | None:
    return tokens / seconds if tokens > 0 and seconds > 0 else None


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 2)


def _difference(after: Timing, before: Timing) -> Timing:
    names = [each.name for each in fields(Timing)]
    return Timing(**{name: getattr(after, name) - getattr(before, name) for name in names})


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
