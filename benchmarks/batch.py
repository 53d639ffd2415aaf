"""Tokens a second of augtui's engine, of a plain loop, of llama-server, and of llama.cpp itself, in one run.

    python -m benchmarks.batch --model qwen2-0.5b-shape-q8_0.gguf --llama-cpp llama.cpp/build/bin

Four parts take turns, a b c d, then d c b a, and so on:

    a  augtui's engine
    b  llama-cpp-python's `create_chat_completion`, one prompt after the other
    c  `llama-server -np SLOTS` with SLOTS clients that post to /v1/chat/completions
    d  `llama-batched-bench`: no sampling, no texts, no waiting; the best decode rate of its variants is the limit

a, b and c get the same prompts (Table 9, about 60 tokens each) in the same chat template, the same sampling and seeds,
and answers of the same length: tokens that end an answer are never drawn. a, c and d have the same KV cache; all use
the same threads; nobody drafts tokens. Loading is not counted. A model of random weights does
(`python -m benchmarks.shapes`): speed does not depend on the weights. Ratios of one run are what counts, for the speed
of a machine drifts. c and d need the binaries of the same llama.cpp that llama-cpp-python has in it; its source archive
carries the tree. `GOMP_SPINCOUNT`, if set, holds for all parts; augtui alone sets 5000 otherwise (`benchmarks.spin`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from augtui.pipelines.bench import machine_facts
from benchmarks import engine, limit, loop, server
from benchmarks.workload import Measured, Workload

MIB = 2**20
NAMES = {"a": "augtui", "b": "loop", "c": "llama-server", "d": "batched-bench"}
BINARIES = {"c": "llama-server", "d": "llama-batched-bench"}


@dataclass(slots=True)
class Contestant:
    """One part at one number of slots, and what it came to in each round."""

    part: str
    slots: int | None
    rounds: list[Measured] = field(default_factory=list)

    @property
    def name(self) -> str:
        return NAMES[self.part] if self.slots is None else f"{NAMES[self.part]}, {self.slots} slots"


@dataclass(frozen=True, slots=True)
class Ratio:
    """By how much augtui is faster than another part, by round."""

    slots: int
    against: str
    measure: str
    rounds: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "slots": self.slots, "against": NAMES[self.against], "measure": self.measure,
            **(spread(self.rounds, digits=3) or {}),
        }  # fmt: skip


class Comparison:
    """All parts on one model, round after round."""

    def __init__(self, work: Workload, options: argparse.Namespace, parts: Sequence[str]) -> None:
        self.work = work
        # One answer after the other takes as long for the hundredth as for the first: a few give its rate.
        self.loop_work = replace(work, prompts=min(work.prompts, options.loop_prompts or work.prompts))
        self.folder: Path = options.llama_cpp
        self.server_arguments: list[str] = options.server_arguments.split()
        self.facts = engine.facts(work)
        self.variants: list[str] = list(options.limits)
        self.contestants = [
            Contestant(part, slots) for part in parts for slots in ([None] if part == "b" else options.slots)
        ]

    def turn(self, number: int) -> None:
        """Let each part run once, in the opposite order every other time."""
        for contestant in self.contestants if number % 2 == 0 else reversed(self.contestants):
            measured = self._run(contestant)
            contestant.rounds.append(measured)
            decode = rate(measured.decode_tokens_per_second)
            print(
                f"{self.work.model.name}, round {number + 1}: {contestant.name:<24} {measured.tokens_per_second:8.1f}"
                f" tok/s, decode {decode:>8}  ({measured.seconds:.1f} s)",
                file=sys.stderr,
            )
            expected = (self.work if contestant.slots else self.loop_work).prompts * self.work.tokens
            if contestant.part != "d" and abs(measured.generated_tokens - expected) > expected // 100:
                print(f"  {measured.generated_tokens} tokens instead of {expected}: not comparable", file=sys.stderr)

    def _run(self, contestant: Contestant) -> Measured:
        cell_bytes, slots = self.facts.cell_bytes, contestant.slots
        if slots is None:
            return loop.measure(self.loop_work, cell_bytes)
        if contestant.part == "a":
            return engine.measure(self.work, slots)
        if contestant.part == "c":
            return server.measure(self.work, slots, self.folder, cell_bytes, self.server_arguments)
        return self._limit(slots)

    def _limit(self, slots: int) -> Measured:
        """Return the variant that decodes fastest."""
        # The whole prompt, so that answers are decoded behind as many tokens as in the other parts.
        tokens = self.facts.prompt_tokens
        tried = [
            limit.measure(self.work, slots, self.folder, tokens, self.facts.cell_bytes, variant)
            for variant in self.variants
        ]
        return max(tried, key=lambda measured: measured.decode_tokens_per_second or 0.0)

    def ratios(self) -> Iterable[Ratio]:
        """Yield augtui against each other part: throughput, and decode rates against the limit."""
        for mine in (each for each in self.contestants if each.part == "a"):
            for other in self.contestants:
                if other.part == "a" or other.slots not in (None, mine.slots):
                    continue
                measure = "decode_tokens_per_second" if other.part == "d" else "tokens_per_second"
                pairs = [
                    (getattr(ours, measure), getattr(theirs, measure))
                    for ours, theirs in zip(mine.rounds, other.rounds, strict=False)
                ]
                if mine.slots is not None and pairs and all(ours and theirs for ours, theirs in pairs):
                    yield Ratio(mine.slots, other.part, measure, tuple(ours / theirs for ours, theirs in pairs))

    def as_json(self) -> dict[str, Any]:
        """Return what was measured so far."""
        info = self.facts.info
        return {
            "model": self.work.model.name,
            "description": info.description,
            "file_bytes": self.work.model.stat().st_size,
            "cell_bytes": self.facts.cell_bytes,
            "prompt_tokens": self.facts.prompt_tokens,
            "shared_prompt_tokens": self.facts.shared_tokens,
            "contestants": [self._figures(each) for each in self.contestants if each.rounds],
            "ratios": [ratio.as_json() for ratio in self.ratios()],
        }

    def _figures(self, contestant: Contestant) -> dict[str, Any]:
        rounds = contestant.rounds
        peak = max((each.peak_rss_bytes or 0 for each in rounds), default=0) or None
        cache = next((each.cache_bytes for each in rounds if each.cache_bytes), None)
        if cache is None and contestant.slots is not None:
            cache = self.work.cells(contestant.slots) * self.facts.cell_bytes
        floor = self.work.model.stat().st_size + (cache or 0)
        return {
            "part": contestant.part,
            "name": contestant.name,
            "slots": contestant.slots,
            "generated_tokens": [each.generated_tokens for each in rounds],
            "seconds": [round(each.seconds, 3) for each in rounds],
            # The limit's own throughput is that of a batch that begins and ends as one: nothing to compare with.
            "tokens_per_second": None
            if contestant.part == "d"
            else spread([each.tokens_per_second for each in rounds]),
            "decode_tokens_per_second": spread([each.decode_tokens_per_second for each in rounds]),
            "prefill_tokens_per_second": spread([each.prefill_tokens_per_second for each in rounds]),
            "peak_rss_bytes": peak,
            "cache_bytes": cache,
            "excess_bytes": None if peak is None else peak - floor,
            "details": [each.detail for each in rounds],
        }


def spread(values: Sequence[float | None], digits: int = 2) -> dict[str, Any] | None:
    """Return median, least, most and all of some figures; None where there are none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {
        "median": round(statistics.median(known), digits),
        "min": round(min(known), digits),
        "max": round(max(known), digits),
        "rounds": [round(value, digits) for value in known],
    }


def rate(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def print_table(comparison: Comparison) -> None:
    """Print what each part came to, its memory, and the ratios."""
    figures = comparison.as_json()
    size = figures["file_bytes"] / MIB
    work = comparison.work
    print(f"\n{figures['model']} · {work.prompts} prompts x {work.tokens} tokens · {work.threads} threads")
    print(
        f"file {size:,.0f} MiB · prompts of {figures['prompt_tokens']} tokens, {figures['shared_prompt_tokens']} shared"
    )
    print(f"{'':<24} {'tok/s':>8} {'decode':>8} {'prefill':>8} {'peak MiB':>9} {'KV MiB':>7} {'excess':>7}")
    for row in figures["contestants"]:
        rates = [
            rate(row[f"{name}tokens_per_second"]["median"] if row[f"{name}tokens_per_second"] else None)
            for name in ("", "decode_", "prefill_")
        ]
        sizes = [
            "-" if row[name] is None else f"{row[name] / MIB:,.0f}"
            for name in ("peak_rss_bytes", "cache_bytes", "excess_bytes")
        ]
        print("{:<24} {:>8} {:>8} {:>8} {:>9} {:>7} {:>7}".format(row["name"], *rates, *sizes))
    for ratio in figures["ratios"]:
        what = "decode" if ratio["measure"].startswith("decode") else "overall"
        print(
            f"augtui, {ratio['slots']} slots / {ratio['against']}, {what}:"
            f" {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
        )


def main() -> None:
    """Measure, print, and write after each round."""
    options = _options()
    parts = _runnable(options.parts, options.llama_cpp)
    comparisons = []
    for model in options.model:
        work = Workload(model, options.prompts, options.tokens, options.threads)
        comparisons.append(comparison := Comparison(work, options, parts))
        for number in range(options.rounds):
            comparison.turn(number)
            if options.output is not None:
                options.output.write_text(json.dumps(_report(options, comparisons), indent=1) + "\n")
    for comparison in comparisons:
        print_table(comparison)


def _report(options: argparse.Namespace, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    names = ("prompts", "loop_prompts", "tokens", "threads", "slots", "rounds", "server_arguments")
    return {
        "machine": machine_facts(),
        "spin_count": os.environ.get("GOMP_SPINCOUNT"),
        **{name: getattr(options, name) for name in names},
        "models": [comparison.as_json() for comparison in comparisons],
    }


def _runnable(parts: Sequence[str], folder: Path | None) -> list[str]:
    """Return the parts whose programs are there, and say which are left out."""
    runnable = []
    for part in parts:
        binary = BINARIES.get(part)
        if binary is None or (folder is not None and (folder / binary).is_file()):
            runnable.append(part)
        else:
            why = "no --llama-cpp" if folder is None else f"{folder} holds no {binary}"
            print(f"part {part} ({NAMES[part]}) is left out: {why}", file=sys.stderr)
    return runnable


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.batch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, nargs="+", required=True)
    parser.add_argument("--slots", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64, help="length of each answer")
    parser.add_argument("--loop-prompts", type=int, help="prompts for the loop, if fewer than for the others")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--parts", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--llama-cpp", type=Path, help="folder with llama-server and llama-batched-bench")
    parser.add_argument("--server-arguments", default="", help="more arguments for llama-server, such as '-kvu'")
    parser.add_argument(
        "--limits", nargs="+", choices=limit.VARIANTS, default=list(limit.VARIANTS), help="variants of the limit to run"
    )
    parser.add_argument("--output", type=Path, help="write all figures there as JSON, after each round")
    return parser.parse_args()


if __name__ == "__main__":
    main()
