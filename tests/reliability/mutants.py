"""Mutated model files: each ends in a clear error or in a model that answers, and never in a crash or a hang.

    python -m tests.reliability.mutants --count 10000 --journal mutants.jsonl

Each file is made from the default model or from a small one of another architecture, and opened as `augtui refine`
opens it: `catalog.resolve`, a `LocalEngine`, and one answer of eight tokens if it loads. Every hundredth goes through
the command `augtui refine` too. The journal gets one line a file; a run that was cut off goes on from there. A mutant
is its seed and its number: `--only NUMBER --keep FOLDER` makes one again.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from augtui.domain.templates import Message
from augtui.engines.base import Completion, Failure, Request, Sampling
from augtui.engines.client import LocalEngine
from augtui.engines.options import EngineOptions
from augtui.errors import AugtuiError
from augtui.models import catalog
from tests.reliability.gguf_layout import Layout, base_models, bundled
from tests.reliability.mutations import MUTATIONS

DEADLINE_S = 30.0
"""For loading and answering together; a hostile template alone may take 2 s, and the machine may be busy."""
BUNDLED_SHARE = 0.3
COMMAND_EVERY = 100
SOUND_EXITS = (0, 3, 4)
"""Of `augtui refine`: finished, no usable model, finished with records set aside."""
REQUEST = Request("a", (Message("user", "Write about the sea."),), 0, Sampling(temperature=0, max_tokens=8))


@dataclass(frozen=True, slots=True)
class Mutant:
    """One spoilt file."""

    number: int
    base: str
    mutation: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one file."""

    number: int
    base: str
    mutation: str
    outcome: str
    detail: str
    seconds: float
    peak_mb: int
    """Largest resident memory of any child so far."""
    sha256: str

    @property
    def is_fault(self) -> bool:
        """Return whether this must not happen."""
        return self.outcome.startswith("FAULT")


@dataclass(slots=True)
class Report:
    """What was seen of all files."""

    outcomes: Counter[str] = field(default_factory=Counter)
    by_mutation: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[Finding] = field(default_factory=list)
    slowest_s: float = 0.0
    peak_mb: int = 0

    def add(self, finding: Finding) -> None:
        """Count one."""
        self.outcomes[finding.outcome] += 1
        self.by_mutation.setdefault(finding.mutation, Counter())[finding.outcome] += 1
        if finding.is_fault:
            self.faults.append(finding)
        self.slowest_s = max(self.slowest_s, finding.seconds)
        self.peak_mb = max(self.peak_mb, finding.peak_mb)

    @property
    def clean(self) -> bool:
        """Return whether nothing went wrong."""
        return not self.faults

    def lines(self) -> list[str]:
        """Return the report for people."""
        total = self.outcomes.total()
        out = [f"files: {total}, faults: {len(self.faults)}"]
        out += [f"  {count:6} {outcome}" for outcome, count in self.outcomes.most_common()]
        out.append(f"slowest: {self.slowest_s:.1f} s, largest child: {self.peak_mb} MB")
        out += [f"FAULT in mutant {fault.number} ({fault.mutation} of {fault.base}): {fault.outcome} {fault.detail}"
                for fault in self.faults]  # fmt: skip
        return out


class Nursery:
    """Makes the mutants of one seed, each by its number."""

    def __init__(self, seed: int, mutations: Sequence[str] = tuple(MUTATIONS)) -> None:
        """Prepare the sound models; `mutations` are those to be drawn from."""
        self.seed = seed
        self.mutations = mutations
        self.bases: dict[str, Layout] = {"default": bundled(catalog.resolve("default").path), **base_models()}

    def mutant(self, number: int) -> Mutant:
        """Return mutant `number`, the same every time."""
        draw = random.Random(f"{self.seed}:{number}")
        small = [name for name in self.bases if name != "default"]
        base = "default" if draw.random() < BUNDLED_SHARE else draw.choice(small)
        mutation = draw.choice(self.mutations)
        data = MUTATIONS[mutation](draw, self.bases[base], list(self.bases.values()))
        return Mutant(number, base, mutation, data)


def examine(mutant: Mutant, folder: Path, deadline_s: float = DEADLINE_S) -> Finding:
    """Open a mutant as `augtui refine` would, and say what came of it."""
    path = folder / f"mutant-{mutant.number}.gguf"
    path.write_bytes(mutant.data)
    started = time.monotonic()
    try:
        outcome, detail = _open(path, folder / "engine.log", deadline_s)
        if not outcome.startswith("FAULT") and mutant.number % COMMAND_EVERY == 0:
            outcome, detail = _command(path, folder, deadline_s) or (outcome, detail)
    finally:
        path.unlink()
    seconds = round(time.monotonic() - started, 3)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    digest = hashlib.sha256(mutant.data).hexdigest()
    return Finding(mutant.number, mutant.base, mutant.mutation, outcome, detail[:400], seconds, peak, digest)


def _open(path: Path, log: Path, deadline_s: float) -> tuple[str, str]:
    late = threading.Event()
    engine: LocalEngine | None = None

    def end() -> None:
        late.set()
        if engine is not None:
            engine.kill()

    timer = threading.Timer(deadline_s, end)
    timer.daemon = True
    timer.start()
    loaded = False
    try:
        engine = LocalEngine(catalog.resolve(str(path)).path, EngineOptions(), log_path=log)
        _ = engine.model
        loaded = True
        engine.submit([REQUEST])
        while not late.is_set():
            for event in engine.poll(0.2):
                if isinstance(event, Completion):
                    return "answered", event.text
                if isinstance(event, Failure):
                    return f"loaded, then set aside: {event.code}", event.detail
        return "FAULT: hang", "loaded" if loaded else "loading"
    except AugtuiError as error:
        if late.is_set():
            return "FAULT: hang", f"{'loaded' if loaded else 'loading'}: {error.message}"
        if "\n" in error.message or not error.message.isprintable():
            return "FAULT: message", repr(error.message)
        if "could not start" in error.message:
            return "FAULT: error in the worker", error.message
        return f"{'loaded, then ' if loaded else ''}{_kind(error)}", error.message
    except Exception as error:
        return "FAULT: exception", repr(error)
    finally:
        timer.cancel()
        if engine is not None:
            engine.close()


def _kind(error: AugtuiError) -> str:
    for sign, kind in (
        ("could not load", "died while loading"),
        ("chat template", "refused for its template"),
        ("template takes too long", "refused for its template"),
        ("augtui refuses", "refused for its header"),
        ("refuses", "refused by llama.cpp"),
        ("not a GGUF file", "refused before it is opened"),
        ("is cut short", "refused before it is opened"),
        ("no memory", "refused for want of memory"),
    ):
        if sign in error.message:
            return kind
    return type(error).__name__


def _command(path: Path, folder: Path, deadline_s: float) -> tuple[str, str] | None:
    """Run the file through the command line; returns a fault or None."""
    command = [sys.executable, "-m", "augtui", "refine", "-q", "--model", str(path), "--max-tokens", "8"]
    prompts = folder / "prompts.txt"
    prompts.write_text("Write about the sea.\n")
    command += ["--retries", "0", "--file", str(prompts)]
    environment = {**os.environ, "AUGTUI_HOME": str(folder / f"home-{path.stem}")}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=2 * deadline_s, check=False)
    except subprocess.TimeoutExpired:
        return "FAULT: the command hangs", ""
    if done.returncode not in SOUND_EXITS or b"Traceback" in done.stderr:
        return f"FAULT: the command ends with {done.returncode}", done.stderr.decode("utf-8", "replace")[-300:]
    return None


def examine_all(
    numbers: Sequence[int],
    seed: int,
    journal: Path | None = None,
    keep: Path | None = None,
    mutations: Sequence[str] = tuple(MUTATIONS),
) -> Report:
    """Examine the mutants of these numbers that the journal has not, and report on all."""
    report, done = Report(), set()
    for finding in _former(journal):
        done.add(finding.number)
        report.add(finding)
    nursery = Nursery(seed, mutations)
    with tempfile.TemporaryDirectory(dir=_fast_folder()) as folder, contextlib.ExitStack() as stack:
        record = stack.enter_context(journal.open("a")) if journal else None
        for number in numbers:
            if number in done:
                continue
            mutant = nursery.mutant(number)
            finding = examine(mutant, Path(folder))
            report.add(finding)
            if record:
                record.write(json.dumps(asdict(finding)) + "\n")
                record.flush()
            if keep and finding.is_fault:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"mutant-{seed}-{number}.gguf").write_bytes(mutant.data)
    return report


def _former(journal: Path | None) -> Iterator[Finding]:
    if journal is None or not journal.exists():
        return
    for line in journal.read_text().splitlines():
        with contextlib.suppress(ValueError):  # the last line of a run that was killed
            yield Finding(**json.loads(line))


def _fast_folder() -> str | None:
    """Return a folder in memory where there is one: thousands of files are written and thrown away."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def main() -> int:
    """Run from the command line; exit code 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--journal", type=Path, default=None)
    parser.add_argument("--keep", type=Path, default=None, help="folder for the files that showed a fault")
    parser.add_argument("--mutation", choices=MUTATIONS, action="append", help="draw from these kinds alone")
    parser.add_argument("--only", type=int, default=None, help="make and examine this mutant alone")
    arguments = parser.parse_args()
    mutations = tuple(arguments.mutation or MUTATIONS)
    if arguments.only is not None:
        mutant = Nursery(arguments.seed, mutations).mutant(arguments.only)
        if arguments.keep:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            (arguments.keep / f"mutant-{arguments.seed}-{arguments.only}.gguf").write_bytes(mutant.data)
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asdict(examine(mutant, Path(folder))), indent=2))
        return 0
    started = time.monotonic()
    report = examine_all(range(arguments.count), arguments.seed, arguments.journal, arguments.keep, mutations)
    print("\n".join(report.lines()))
    print(f"took {time.monotonic() - started:.0f} s · {'all well' if report.clean else 'NOT WELL'}")
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
