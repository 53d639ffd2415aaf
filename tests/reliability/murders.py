"""Murders of the engine's process at random moments: noticed soon, resumed soon, nothing lost, doubled or changed.

    python -m tests.reliability.murders --murders 500 --records 300

Half of the murders hit `refine` runs over a real project (the default model, SQLite), half an engine that is given
requests directly. The murderer sends SIGKILL, SIGSEGV, SIGABRT, SIGBUS or SIGSTOP, or holds the process stopped until
it is given up, at a moment drawn at random: in the midst of answers, while the next process starts, or twice at once.

At the end each record must have exactly one result, and it must be the text of an undisturbed run. Answers are greedy,
but their last bits depend on what else is in the batch, and so does now and then a token: another text is right too if
an engine that nobody murders gives it in some other company. With `--deterministic`, where the engine makes each text
bit by bit the same whatever else it computes, there is but one right text.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from augtui.domain.guard import Strictness
from augtui.domain.records import Record
from augtui.domain.tasks import REFINE
from augtui.engines.base import Completion, Failure, Request, Restarted, Sampling
from augtui.engines.client import STOPPED_LIMIT_S, LocalEngine
from augtui.engines.options import EngineOptions
from augtui.errors import AugtuiError
from augtui.models import catalog
from augtui.pipelines import source
from augtui.pipelines.augment import Augmentation
from augtui.pipelines.job import Job
from augtui.pipelines.planning import Input
from augtui.pipelines.runner import ItemSettled
from augtui.store.projects import Project, open_project

HELD = "SIGSTOP held"
"""The process is stopped again whenever it is let go on, until it is killed for its silence."""
WEAPONS = ("SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGSTOP", HELD)
WEIGHTS = (5, 5, 3, 3, 4, 1)
DETECTION_LIMIT_S, RESUME_LIMIT_S = 1.0, 5.0
RUN_LIMIT_S = 900.0
LEVELS = ("pipeline", "engine")
SLOTS = 8
PIPELINE_TOKENS = 24
COMPANIES, COMPANIES_EACH = 12, 12
"""An odd text is looked for in so many fresh engines, with so many companies of other requests in each."""
TEXTS = """
    SELECT records.instruction, attempts.text FROM attempts
    JOIN items ON items.number = attempts.item JOIN records ON records.number = items.record
    WHERE items.status IN ('accepted', 'kept_original')
"""


@dataclass(slots=True)
class Murder:
    """One murder, its times in seconds since it."""

    weapon: str
    level: str
    phase: str
    moment: float
    detected_s: float | None = None
    """Until the engine said that it was started again, or let the stopped process go on."""
    resumed_s: float | None = None
    """Until the next answer; None where another murder or the end of the run came first."""


@dataclass(slots=True)
class Report:
    """What was seen."""

    load_s: float = 0.0
    undisturbed_s: float = 0.0
    """An undisturbed run over the records takes so long."""
    murders: list[Murder] = field(default_factory=list)
    runs: Counter[str] = field(default_factory=Counter)
    records: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    different: int = 0
    given_up: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def slow_detections(self) -> list[Murder]:
        """Return the murders that were noticed too late."""
        return [murder for murder in self.murders if murder.detected_s is None or murder.detected_s > _allowed(murder)]

    @property
    def slow_resumptions(self) -> list[Murder]:
        """Return the murders after which the next answer came too late."""
        limit = RESUME_LIMIT_S + self.load_s
        return [
            murder
            for murder in self.murders
            if murder.resumed_s is not None and murder.resumed_s > limit + _allowed(murder) - DETECTION_LIMIT_S
        ]

    @property
    def clean(self) -> bool:
        """Return whether nothing was lost, doubled or changed, and no run ended early."""
        return not (self.lost or self.duplicated or self.wrong or self.given_up)

    @property
    def prompt(self) -> bool:
        """Return whether all was noticed and resumed in time."""
        return not (self.slow_detections or self.slow_resumptions)

    def lines(self) -> list[str]:
        """Return the report for people."""
        runs = ", ".join(f"{count} of level {level}" for level, count in sorted(self.runs.items()))
        out = [
            f"murders: {len(self.murders)}, runs: {runs}, records each: {self.records}",
            f"lost: {self.lost} · duplicated: {self.duplicated} · wrong: {self.wrong} · "
            f"runs given up: {len(self.given_up)}",
            f"texts that the undisturbed run has otherwise: {self.different}; wrong are those that no company gives",
            f"loading takes {self.load_s:.2f} s, an undisturbed run {self.undisturbed_s:.1f} s",
            f"{'':14} {'n':>4}  detected p50    p99    max   resumed    n    p50    p99    max (s)",
        ]
        for weapon in WEAPONS:
            chosen = [murder for murder in self.murders if murder.weapon == weapon]
            if chosen:
                out.append(_row(weapon, chosen))
        out.append(_row("all but held", [murder for murder in self.murders if murder.weapon != HELD]))
        phases = Counter(murder.phase for murder in self.murders)
        out.append("moments: " + ", ".join(f"{phase} {number}" for phase, number in sorted(phases.items())))
        out.append(f"noticed too late: {len(self.slow_detections)} · resumed too late: {len(self.slow_resumptions)}")
        out += [f"GIVEN UP: {message}" for message in self.given_up]
        out += self.failures
        return out


def _allowed(murder: Murder) -> float:
    """Return how long a murder may go unnoticed (s)."""
    return STOPPED_LIMIT_S + DETECTION_LIMIT_S if murder.weapon == HELD else DETECTION_LIMIT_S


def _row(name: str, murders: Sequence[Murder]) -> str:
    detected = [murder.detected_s for murder in murders if murder.detected_s is not None]
    resumed = [murder.resumed_s for murder in murders if murder.resumed_s is not None]
    return f"{name:14} {len(murders):4}      {_spread(detected)}           {len(resumed):4} {_spread(resumed)}"


def _spread(values: Sequence[float]) -> str:
    ordered = sorted(values) or [float("nan")]
    ranks = (len(ordered) // 2, min(len(ordered) - 1, len(ordered) * 99 // 100), -1)
    return " ".join(f"{ordered[rank]:6.3f}" for rank in ranks)


class Murderer:
    """Strikes at the engine from a thread of its own, and is told what the engine says meanwhile."""

    def __init__(self, engine: LocalEngine, draw: random.Random, level: str, most: int) -> None:
        self.engine = engine
        self.draw = draw
        self.level = level
        self.most = most
        self.murders: list[Murder] = []
        self._condition = threading.Condition()
        self._restarts = 0
        self._answers = 0
        self._over = False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Murderer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._over = True
            self._condition.notify_all()
        self._thread.join()

    def see(self, event: object) -> None:
        """Take note of an event of the engine or of the run, as soon as it comes."""
        now = time.monotonic()
        with self._condition:
            if isinstance(event, Restarted):
                self._restarts += 1
                for murder in self.murders:
                    if murder.detected_s is None:
                        murder.detected_s = now - murder.moment
            elif isinstance(event, Completion | ItemSettled):
                self._answers += 1
                if self.murders and self.murders[-1].detected_s is not None and self.murders[-1].resumed_s is None:
                    self.murders[-1].resumed_s = now - self.murders[-1].moment
            else:
                return
            self._condition.notify_all()

    def _work(self) -> None:
        while len(self.murders) < self.most:
            hasty = bool(self.murders) and self.draw.random() < 0.2
            pid = self._victim(hasty)
            if pid is None:
                return
            self._strike(pid, "starting" if hasty else "answering")

    def _victim(self, hasty: bool) -> int | None:
        """Wait for the moment and return the process to strike; None when the run is over."""
        answers, last = self._answers, self.murders[-1] if self.murders else None
        with self._condition:
            if last is not None:
                self._condition.wait_for(lambda: self._over or last.detected_s is not None)
            if not hasty:  # the last one is to be followed to its end
                self._condition.wait_for(lambda: self._over or self._answers > answers)
        while not self._over and self.engine.pid is None:
            time.sleep(0.001)
        wait = (
            self.draw.uniform(0, 0.35)
            if hasty
            else self.draw.choice((0.0, self.draw.uniform(0, 0.1), self.draw.uniform(0, 1.0)))
        )
        with self._condition:
            if self._condition.wait_for(lambda: self._over, timeout=wait):
                return None
        return self.engine.pid or self._victim(hasty)

    def _strike(self, pid: int, phase: str) -> None:
        (weapon,) = self.draw.choices(WEAPONS, WEIGHTS)
        with self._condition:
            murder = Murder(weapon, self.level, phase, time.monotonic())
            try:
                os.kill(pid, signal.SIGSTOP if weapon == HELD else signal.Signals[weapon])
            except ProcessLookupError:
                return
            self.murders.append(murder)
        if weapon == HELD:
            self._hold(pid, murder)
        elif weapon == "SIGSTOP":
            self._watch(pid, murder)

    def _hold(self, pid: int, murder: Murder) -> None:
        while murder.detected_s is None and not self._over:
            if _state(pid) not in "TZX":
                try:
                    os.kill(pid, signal.SIGSTOP)
                except ProcessLookupError:
                    return
            time.sleep(0.001)

    def _watch(self, pid: int, murder: Murder) -> None:
        while _state(pid) not in "TZX" and time.monotonic() - murder.moment < 0.05:
            time.sleep(0.0005)  # a signal takes a moment to arrive
        while murder.detected_s is None and not self._over:
            if _state(pid) not in "TZX":
                with self._condition:
                    murder.detected_s = murder.detected_s or time.monotonic() - murder.moment
            time.sleep(0.002)


def _state(pid: int) -> str:
    """Return the process's state (proc(5)): T is stopped, Z and X are dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return "X"


class Series:
    """Runs over the same records, undisturbed once and then with murders."""

    def __init__(self, folder: Path, records: int, seed: int, deterministic: bool) -> None:
        self.folder = folder
        self.draw = random.Random(seed)
        path = catalog.resolve("default").path
        assert path is not None
        self.model = catalog.resolve("default")
        self.path = path
        self.deterministic = deterministic
        self.prompts = [_prompt(number) for number in range(records)]
        self.input = folder / "prompts.txt"
        self.input.write_text("\n".join(self.prompts) + "\n")
        self.report = Report(records=records)
        self._numbers = count()
        self._usual = {level: self._undisturbed(level) for level in LEVELS}
        self._odd: list[tuple[str, str, str]] = []

    def run(self, murders: int) -> Report:
        """Murder until there were so many."""
        while len(self.report.murders) < murders:
            level = self.draw.choice(("pipeline", "engine"))
            self._disturbed(level, murders - len(self.report.murders))
        self._explain()
        return self.report

    def _explain(self) -> None:
        """Look for an undisturbed engine that gives the texts that the first one did not; wrong are the others."""
        self.report.different = len(self._odd)
        for level, prompt, text in self._odd:
            if self.deterministic or not self._may_be(level, prompt, text):
                self.report.wrong += 1
                self.report.failures.append(f"wrong: {prompt!r} gave {text!r}, not {self._usual[level][prompt]!r}")

    def _may_be(self, level: str, prompt: str, text: str) -> bool:
        """Return whether an engine that nobody murders gives this text in some company, as after a restart."""
        requests = self._requests(level)
        others = [request for other, request in requests.items() if other != prompt]
        for trial in range(COMPANIES):
            with self._engine() as engine:
                for _ in range(COMPANIES_EACH):
                    company = self.draw.sample(others, min(len(others), self.draw.randrange(4 * trial + 1)))
                    company.insert(self.draw.randrange(len(company) + 1), requests[prompt])
                    if self._answers(engine, company, lambda event: None).get(requests[prompt].id) == text:
                        return True
        return False

    @contextmanager
    def _engine(self) -> Iterator[LocalEngine]:
        options = EngineOptions(slots=SLOTS, deterministic=self.deterministic)
        engine = LocalEngine(self.path, options, log_path=self.folder / "engine.log")
        try:
            started = time.monotonic()
            _ = engine.model
            self.report.load_s = max(self.report.load_s, time.monotonic() - started)
            yield engine
        finally:
            engine.close()

    def _undisturbed(self, level: str) -> dict[str, str]:
        with self._engine() as engine:
            started = time.monotonic()
            texts = self._texts(level, engine, lambda event: None)
            self.report.undisturbed_s = max(self.report.undisturbed_s, time.monotonic() - started)
        return texts

    def _disturbed(self, level: str, most: int) -> None:
        with self._engine() as engine, Murderer(engine, self.draw, level, most) as murderer:
            try:
                texts = self._texts(level, engine, murderer.see)
            except AugtuiError as error:
                self.report.given_up.append(f"{level}: {error.message}")
                texts = self._usual[level]
        if murderer.murders and murderer.murders[-1].detected_s is None:
            murderer.murders.pop()  # struck after the last answer: there was nobody left to notice it
        self.report.murders += murderer.murders
        self.report.runs[level] += 1
        usual = self._usual[level]
        self.report.lost += len(usual.keys() - texts.keys())
        self._odd += [(level, key, texts[key]) for key in texts.keys() & usual.keys() if texts[key] != usual[key]]

    def _texts(self, level: str, engine: LocalEngine, see: Callable[[object], None]) -> dict[str, str]:
        """Return the answers by their prompts."""
        if level == "pipeline":
            return self._refine(engine, see)
        requests = self._requests(level)
        answers = self._answers(engine, list(requests.values()), see)
        return {prompt: answers[request.id] for prompt, request in requests.items() if request.id in answers}

    # -- requests given to the engine directly ----------------------------------------------------------------------

    def _requests(self, level: str) -> dict[str, Request]:
        lengths = (PIPELINE_TOKENS,) if level == "pipeline" else (2, 8, 24, 64)
        return {
            prompt: Request(
                f"r{number}",
                REFINE.render(Record(prompt), self.model.style),
                number,
                Sampling(temperature=0, max_tokens=lengths[number % len(lengths)]),
            )
            for number, prompt in enumerate(self.prompts)
        }

    def _answers(
        self, engine: LocalEngine, requests: Sequence[Request], see: Callable[[object], None]
    ) -> dict[str, str]:
        engine.submit(requests)
        texts: dict[str, str] = {}
        ended = 0
        deadline = time.monotonic() + RUN_LIMIT_S
        while ended < len(requests):
            assert time.monotonic() < deadline, f"{len(requests) - ended} requests never ended"
            for event in engine.poll(0.05):
                see(event)
                if isinstance(event, Completion):
                    ended += 1
                    self.report.duplicated += event.id in texts
                    texts[event.id] = event.text
                elif isinstance(event, Failure):
                    ended += 1
                    self.report.failures.append(f"lost: {event.id}: {event.code}: {event.detail}")
        return texts

    # -- a run over a project ---------------------------------------------------------------------------------------

    def _refine(self, engine: LocalEngine, see: Callable[[object], None]) -> dict[str, str]:
        job = Job(
            task=REFINE,
            style=self.model.style,
            model_name=self.model.name,
            model_sha256=self.model.sha256(),
            sampling=Sampling(temperature=0, max_tokens=PIPELINE_TOKENS),
            seed=1,
            guard=Strictness.OFF,
            retries=0,
        )
        path = self.folder / f"project-{next(self._numbers)}.db"
        with source.opened(str(self.input)) as opened, open_project(str(path)) as project:
            with Augmentation(project, job, Input(opened), str(self.path), 0) as run:
                run.plan()
                summary = run.work(lambda: engine, lambda: False, see)
                lines = [line for _, line in run.results()]
            self._judge(project, lines)
            texts = dict(project.read(TEXTS))
        assert not summary.interrupted
        return texts

    def _judge(self, project: Project, lines: Sequence[dict[str, Any]]) -> None:
        self.report.wrong += [line["instruction"] for line in lines] != self.prompts
        self.report.wrong += project.integrity() != []
        failed = [line for line in lines if line["status"] not in ("accepted", "kept_original")]
        self.report.failures += [f"lost: {line['instruction']}: {line['reason']}" for line in failed]
        ((doubles,),) = project.read(
            "SELECT COUNT(*) FROM (SELECT item FROM attempts GROUP BY item HAVING COUNT(*) > 1)"
        )
        self.report.duplicated += doubles


def _prompt(number: int) -> str:
    topics = ("the sea", "a lost key", "bread", "chess openings", "rain in the mountains", "how clocks work", "salt")
    detail = " Mention the weather, the people and their work." * (number % 4)
    return f"Write a short text about {topics[number % len(topics)]}, number {number}.{detail}"


def murder(murders: int, records: int, seed: int = 1, *, deterministic: bool = False) -> Report:
    """Return what `murders` murders did to runs over `records` records."""
    with tempfile.TemporaryDirectory() as folder:
        return Series(Path(folder), records, seed, deterministic).run(murders)


def main() -> int:
    """Run from the command line; exit code 1 if anything went wrong, 2 if all is well but some of it took too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--murders", type=int, default=500)
    parser.add_argument("--records", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deterministic", action="store_true", help="texts that do not depend on the batch")
    arguments = parser.parse_args()
    started = time.monotonic()
    report = murder(arguments.murders, arguments.records, arguments.seed, deterministic=arguments.deterministic)
    print("\n".join(report.lines()))
    verdict = "all well" if report.clean and report.prompt else "NOT WELL"
    print(f"took {time.monotonic() - started:.0f} s · {verdict}")
    return 0 if report.clean and report.prompt else 2 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
