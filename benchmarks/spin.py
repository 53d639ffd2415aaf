"""What OpenMP's spinning at barriers costs: tokens a second with the machine idle, and with something else running.

    python -m benchmarks.spin [--model default] [--others 2]

llama.cpp's threads meet at a barrier after each operation. libgomp lets them spin there (300,000 rounds by default,
`GOMP_SPINCOUNT`); when another program holds the core of the thread they wait for, that time is lost, at every barrier.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from augtui.domain.records import Record
from augtui.domain.tasks import REFINE
from augtui.engines.base import Completion, Failure, Request, Sampling
from augtui.engines.client import LocalEngine
from augtui.engines.options import EngineOptions
from augtui.models import catalog

SPINS = {"libgomp's default": "300000", "augtui's": "5000", "none": "0"}
BUSY = "while True: pass"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--others", type=int, default=os.cpu_count() or 2, help="busy processes beside the engine")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    path = catalog.resolve(arguments.model).path
    rows = []
    for name, spins in SPINS.items():
        idle = measure(path, spins, arguments.prompts, arguments.tokens)
        others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(arguments.others)]
        try:
            busy = measure(path, spins, arguments.prompts, arguments.tokens)
        finally:
            for other in others:
                other.kill()
                other.wait()
        rows.append({"spinning": name, "spins": int(spins), "idle": round(idle, 1), "busy": round(busy, 1)})
    if arguments.json:
        print(json.dumps(rows))
        return
    print(f"{'spinning':<20} {'idle':>8} {'busy':>8}   (tok/s; busy: beside {arguments.others} busy processes)")
    for row in rows:
        print(f"{row['spinning']:<20} {row['idle']:>8} {row['busy']:>8}")


def measure(path: Path, spins: str, prompts: int, tokens: int) -> float:
    """Return the tokens a second of 16 slots with a spin count."""
    os.environ["GOMP_SPINCOUNT"] = spins
    sampling = Sampling(max_tokens=tokens)
    requests = [
        Request(str(n), REFINE.render(Record(f"Describe river number {n} for a guide"), "specialised"), n, sampling)
        for n in range(prompts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        engine = LocalEngine(path, EngineOptions(slots=16), log_path=Path(folder) / "log")
        _ = engine.model
        started = time.perf_counter()
        engine.submit(requests)
        ended = generated = 0
        while ended < prompts:
            for event in engine.poll(1.0):
                if isinstance(event, Completion | Failure):
                    ended += 1
                    generated += event.completion_tokens if isinstance(event, Completion) else 0
        seconds = time.perf_counter() - started
        engine.close()
    return generated / seconds


if __name__ == "__main__":
    main()
