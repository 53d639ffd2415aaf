"""Jobs: commands that the app started as child processes, and what they say of themselves.

A job is the same command that a shell would run, so nothing that it does can hold up the interface or take it down;
what it has settled is in the project, whatever becomes of it or of the app. Jobs wait in a queue and run one at a time.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from augtui import locations
from augtui.domain.visible import visible
from augtui.tui.catalogue import Catalogue, shown

JobStatus = Literal["waiting", "starting", "running", "pausing", "paused", "stopping", "finished", "stopped", "failed"]
LIVE: tuple[JobStatus, ...] = ("starting", "running", "pausing", "paused", "stopping")
LINE_BYTES = 8 << 20
"""Longest line that a job may write."""
LATEST = 200
SPEEDS = 120
"""Values of the speed that are kept, one a second."""
OUTPUT = 2_000
"""Lines of a job's own output that are kept."""
CLOSE_LIMIT_S = 4.0
PATIENCE = 5
"""How much nicer than the app a job is: with every core at work on answers, a key still gets one at once."""
PATIENT: Mapping[int, str] = {0: "finished", 4: "finished", 130: "stopped"}
"""Exit codes and how a job with them ended; all others failed."""


@dataclass(slots=True)
class Job:
    """One command, from the queue to its end."""

    number: int
    arguments: list[str]
    title: str
    program: tuple[str, ...] = ()
    """The words before its arguments; empty: augtui itself."""
    hears: bool = False
    """Whether it tells events, and so obeys words; the others are given signals."""
    place: str = ""
    """The project that it was started for."""
    status: JobStatus = "waiting"
    version: int = 0
    """Grows with every change."""
    run: int | None = None
    """Number of its run in the project."""
    total: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    done_before: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    latest: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=LATEST))
    """Results, the newest last."""
    speed: float = 0.0
    """Tokens a second."""
    speeds: deque[float] = field(default_factory=lambda: deque(maxlen=SPEEDS))
    progress: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    saying: str = ""
    output: deque[str] = field(default_factory=lambda: deque(maxlen=OUTPUT))
    """Lines on its stdout that are no events."""
    code: int | None = None
    started: float | None = None
    """When it was started (monotonic)."""
    working: float | None = None
    """When its model was ready, later by what it rested since."""
    resting: float | None = None
    """Since when it rests."""
    ended: float | None = None
    log: Path | None = None
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    @property
    def done(self) -> int:
        """Return how many items are settled."""
        return sum(self.counts.values())

    @property
    def is_live(self) -> bool:
        """Say whether its process runs."""
        return self.status in LIVE

    @property
    def command(self) -> str:
        """Return it as one would type it."""
        return shown(self.arguments, prefix="python -m" if self.program else "augtui")

    def elapsed_s(self, now: float | None = None) -> float:
        """Return the seconds since its start, up to its end."""
        if self.started is None:
            return 0.0
        return (self.ended or (time.monotonic() if now is None else now)) - self.started

    def eta_s(self, now: float | None = None) -> float | None:
        """Return the seconds that it will still take at its pace so far, None where that is not known yet."""
        fresh = self.done - self.done_before
        if self.working is None or fresh < 1 or not self.is_live:
            return None
        spent = (self.resting or (time.monotonic() if now is None else now)) - self.working
        return spent / fresh * (self.total - self.done)

    def rest(self) -> None:
        """Be paused from now on."""
        self.status, self.speed = "paused", 0.0
        self.resting = time.monotonic()

    def wake(self) -> None:
        """Run again; the time that it rested is none that it needs."""
        self.status = "running"
        if self.resting is not None and self.working is not None:
            self.working += time.monotonic() - self.resting
        self.resting = None

    def last_words(self, lines: int = 12) -> list[str]:
        """Return the end of what it wrote to stderr, harmless on a terminal."""
        if self.log is None:
            return []
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        return [visible(line) for line in text.replace("\r", "\n").split("\n") if line.strip()][-lines:]

    def hear(self, line: bytes) -> None:
        """Take a line of the process's stdout."""
        self.version += 1
        try:
            event = json.loads(line)
            kind = event["event"]
        except (ValueError, KeyError, TypeError):
            self.output.append(visible(line.decode("utf-8", "replace").rstrip("\n")))
            return
        self.hears = True
        match kind:
            case "say":
                self.saying = f"{event['what']} {event['detail']}".strip()
            case "begin":
                self.run, self.total, self.counts = event["run"], event["total"], event["counts"]
                self.done_before = self.done
            case "progress":
                self.saying, self.total = event["what"], event["total"]
                self.counts = {"done": event["done"]}
                self.working = self.working or time.monotonic()
                if self.status == "starting":
                    self.status = "running"
            case "loaded":
                self.model, self.saying = event["model"], ""
                self.working = time.monotonic()
                if self.status == "starting":
                    self.status = "running"
            case "tick":
                self.counts, self.reasons = event["counts"], event["reasons"]
                self.latest.extend(event["latest"])
                self._measure(event["speed"])
                self.progress = event["progress"] or self.progress
            case "paused" if self.status == "pausing":
                self.rest()
            case "resumed" if self.status in ("paused", "pausing"):
                self.wake()
            case "restarted":
                self.saying = f"the engine died and was started again: {event['reason']}"
            case "finish":
                self.summary = event["summary"]
            case _:
                pass

    def _measure(self, speed: float) -> None:
        self.speed = speed
        if len(self.speeds) < int(self.elapsed_s()) + 1:
            self.speeds.append(speed)
        elif self.speeds and self.speeds.maxlen != len(self.speeds):
            self.speeds[-1] = speed
        else:
            self.speeds.append(speed)


class Jobs:
    """The queue: the next job starts when the one before has ended."""

    def __init__(
        self, catalogue: Catalogue, tell: Callable[[Job], None], note: Callable[[Job], None] = lambda job: None
    ) -> None:
        """Start commands of `catalogue`; `tell` hears of each job that ends, `note` of each that has a run's number."""
        self._catalogue = catalogue
        self._tell = tell
        self._note = note
        self._tasks: set[asyncio.Task[None]] = set()
        self.all: list[Job] = []
        """Every job of this session, in the order of their coming."""

    @property
    def current(self) -> Job | None:
        """Return the job at work, or else the one that ended last, or else the first that waits."""
        live = [job for job in self.all if job.is_live]
        ended = [job for job in self.all if job.ended is not None]
        return live[-1] if live else (ended[-1] if ended else (self.all[0] if self.all else None))

    @property
    def live(self) -> list[Job]:
        """Return the jobs whose processes run."""
        return [job for job in self.all if job.is_live]

    @property
    def waiting(self) -> list[Job]:
        """Return the jobs that have yet to start."""
        return [job for job in self.all if job.status == "waiting"]

    def add(self, arguments: list[str], title: str, *, program: tuple[str, ...] = (), place: str = "") -> Job:
        """Put a command into the queue; it starts at once when nothing runs."""
        job = Job(len(self.all) + 1, arguments, title, program=program, place=place)
        self.all.append(job)
        self._advance()
        return job

    def pause(self, job: Job) -> None:
        """Let a job rest: what is under way is finished, nothing new is begun."""
        if job.status != "running" and not (job.status == "starting" and not job.hears):
            return
        if job.hears:
            job.status = "pausing"
            self._say(job, "pause")
        else:
            job.rest()
            self._signal(job, signal.SIGSTOP)

    def resume(self, job: Job) -> None:
        """Let a job go on after a pause."""
        if job.status in ("pausing", "paused"):
            job.wake()
            if job.hears:
                self._say(job, "resume")
            else:
                self._signal(job, signal.SIGCONT)

    def stop(self, job: Job) -> None:
        """End a job in good order; a second time at once. One that waits is taken out of the queue."""
        if job.status == "waiting":
            job.status = "stopped"
            job.ended = time.monotonic()
        elif job.status == "stopping":
            self._signal(job, signal.SIGCONT)
            self._signal(job, signal.SIGKILL)
        elif job.is_live:
            was_paused = job.status == "paused"
            job.status = "stopping"
            if job.hears:
                self._say(job, "stop")
            else:
                self._signal(job, signal.SIGINT)
                if was_paused:
                    self._signal(job, signal.SIGCONT)
        job.version += 1

    async def capture(self, arguments: list[str]) -> str:
        """Run a command that only tells something, beside the queue; returns its stdout, empty where it failed."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._catalogue.program,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={**os.environ, **self._catalogue.environment},
                start_new_session=True,
            )
            found, _ = await process.communicate()
        except OSError:
            return ""
        return found.decode("utf-8", "replace") if process.returncode == 0 else ""

    async def close(self) -> None:
        """End everything, by force what takes longer than some seconds."""
        for job in self.waiting + self.live:
            self.stop(job)
        deadline = time.monotonic() + CLOSE_LIMIT_S
        while self.live and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        for job in self.live:
            self._signal(job, signal.SIGKILL)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    def _advance(self) -> None:
        if not self.live and self.waiting:
            job = self.waiting[0]
            job.status = "starting"
            job.started = time.monotonic()
            task = asyncio.create_task(self._work(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, job: Job) -> None:
        try:
            locations.logs().mkdir(parents=True, exist_ok=True)
            job.log = locations.logs() / f"app-{os.getpid()}-{job.number}.log"
            with job.log.open("wb") as log:
                job.process = await asyncio.create_subprocess_exec(
                    *(job.program or self._catalogue.program),
                    *job.arguments,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, **self._catalogue.environment, "AUGTUI_EVENTS": "1"},
                    start_new_session=True,
                    limit=LINE_BYTES,
                )
            _be_patient(job.process.pid)
            assert job.process.stdout is not None
            while line := await job.process.stdout.readline():
                known = job.run
                job.hear(line)
                if job.run != known:
                    self._note(job)
            job.code = await job.process.wait()
        except (OSError, ValueError) as error:
            job.output.append(visible(str(error)))
            job.code = 1
            if job.process is not None and job.process.returncode is None:
                job.process.kill()
        job.ended = time.monotonic()
        asked = job.status == "stopping"
        job.status = PATIENT.get(job.code, "stopped" if asked else "failed")  # type: ignore[assignment]
        job.version += 1
        self._tell(job)
        self._advance()

    def _signal(self, job: Job, number: signal.Signals) -> None:
        """Send a signal to the job's process and its children."""
        job.version += 1
        if job.process is not None and job.process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(job.process.pid, number)

    def _say(self, job: Job, word: str) -> None:
        if job.process is not None and job.process.stdin is not None:
            with suppress(ConnectionError, RuntimeError):
                job.process.stdin.write(f"{word}\n".encode())
        job.version += 1


def _be_patient(pid: int) -> None:
    """Let a job and what it will start go behind the app in the line for the processor."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, pid, min(19, os.getpriority(os.PRIO_PROCESS, 0) + PATIENCE))
    # A session is a group of its own for Linux' autogroup, which shares the processor among groups.
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(f"{PATIENCE}\n")
