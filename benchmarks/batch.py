"""Tokens a second of augtui's engine against what one would write without it, in one run, taking turns.

    python -m benchmarks.batch --model qwen2-0.5b-shape-q8_0.gguf [--slots 16 32] [--prompts 64] [--tokens 64]

Both get the same prompts (Table 9, about 60 tokens each), the same sampling and the same answer lengths, on the same
threads. `loop` is llama-cpp-python's `create_chat_completion`, one prompt after the other, with its own prefix reuse.
A model of random weights does (`python -m benchmarks.shapes`): speed does not depend on the weights. Loading is not
counted. Ratios of one run are what counts; the machine's own speed drifts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from augtui.domain.records import Record
from augtui.domain.tasks import REFINE
from augtui.engines.base import Completion, Failure, Progress, Request, Sampling
from augtui.engines.client import LocalEngine
from augtui.engines.options import EngineOptions

WORDS = [
    "plan",
    "write",
    "explain",
    "garden",
    "travel",
    "river",
    "history",
    "budget",
    "student",
    "music",
    "energy",
    "market",
    "recipe",
    "winter",
    "photo",
    "python",
    "server",
    "design",
    "report",
    "teacher",
    "planet",
    "animal",
    "bridge",
    "coffee",
    "window",
    "camera",
    "doctor",
    "island",
    "ticket",
    "forest",
]
SEED = 7


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    if arguments.loop_child:
        _loop_child(arguments)
        return
    figures: dict[str, list[float]] = {"loop": [], **{f"augtui {slots} slots": [] for slots in arguments.slots}}
    details: dict[str, dict[str, Any]] = {}
    for _ in range(arguments.rounds):
        for name, runs in figures.items():
            slots = None if name == "loop" else int(name.split()[1])
            result = _loop(arguments) if slots is None else _engine(arguments, slots)
            runs.append(result["generated_tokens"] / result["seconds"])
            details[name] = result
            print(f"{name:<16} {runs[-1]:8.1f} tok/s  ({result['seconds']:.1f} s)", file=sys.stderr)
    base = statistics.median(figures["loop"])
    rows = [
        {
            "name": name,
            "tokens_per_second": round(statistics.median(runs), 1),
            "ratio": round(statistics.median(runs) / base, 2),
            "runs": [round(run, 1) for run in runs],
            **details[name],
        }
        for name, runs in figures.items()
    ]
    if arguments.json:
        print(
            json.dumps(
                {"model": arguments.model.name, "machine": _machine(), "threads": arguments.threads, "rows": rows}
            )
        )
        return
    shape = f"{arguments.prompts} prompts x {arguments.tokens} tokens"
    print(f"{arguments.model.name} · {shape} · {arguments.threads} threads")
    print(f"{'':<16} {'tok/s':>8} {'ratio':>6} {'prefilled':>10} {'peak RSS':>9}")
    for row in rows:
        prefilled, rss = row.get("prompt_tokens", 0), row.get("peak_rss_bytes", 0) / 2**20
        print(f"{row['name']:<16} {row['tokens_per_second']:>8} {row['ratio']:>6} {prefilled:>10} {rss:>7.0f} M")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--slots", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--loop-child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _requests(arguments: argparse.Namespace) -> list[Request]:
    draw = random.Random(SEED)
    texts = [" ".join(draw.choices(WORDS, k=24)) for _ in range(arguments.prompts)]
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=40, max_tokens=arguments.tokens)
    return [
        Request(str(number), REFINE.render(Record(text), "specialised"), number, sampling)
        for number, text in enumerate(texts)
    ]


def _engine(arguments: argparse.Namespace, slots: int) -> dict[str, Any]:
    requests = _requests(arguments)
    with tempfile.TemporaryDirectory() as folder:
        options = EngineOptions(slots=slots, threads=arguments.threads)
        engine = LocalEngine(arguments.model, options, log_path=Path(folder) / "log")
        _ = engine.model
        started = time.perf_counter()
        engine.submit(requests)
        ended, tokens, prompt, rss = 0, 0, 0, 0
        while ended < len(requests):
            for event in engine.poll(1.0):
                if isinstance(event, Failure):
                    raise SystemExit(f"request {event.id}: {event.detail}")
                if isinstance(event, Completion):
                    ended += 1
                    tokens += event.completion_tokens
                    prompt += event.prompt_tokens - event.shared_tokens
                elif isinstance(event, Progress):
                    rss = max(rss, event.rss_bytes)
        seconds = time.perf_counter() - started
        engine.close()
    return {"generated_tokens": tokens, "seconds": seconds, "prompt_tokens": prompt, "peak_rss_bytes": rss}


def _loop(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the plain loop in a process of its own, so that neither side warms or burdens the other."""
    command = [sys.executable, "-m", "benchmarks.batch", "--loop-child", "--model", str(arguments.model)]
    for name in ("prompts", "tokens", "threads"):
        command += [f"--{name}", str(getattr(arguments, name))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _loop_child(arguments: argparse.Namespace) -> None:
    import resource

    from llama_cpp import Llama

    llama = Llama(
        str(arguments.model), n_ctx=2048, n_threads=arguments.threads, n_threads_batch=arguments.threads, verbose=False
    )
    tokens = 0
    started = time.perf_counter()
    for request in _requests(arguments):
        answer: Any = llama.create_chat_completion(
            [{"role": message.role, "content": message.content} for message in request.messages],
            max_tokens=arguments.tokens,
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            top_k=request.sampling.top_k,
            min_p=0.0,
            repeat_penalty=1.0,
            seed=request.seed,
        )
        tokens += answer["usage"]["completion_tokens"]
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"generated_tokens": tokens, "seconds": seconds, "peak_rss_bytes": peak}))


def _machine() -> str:
    import llama_cpp

    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, llama-cpp-python {llama_cpp.__version__}"


if __name__ == "__main__":
    main()
