"""What a run tells the terminal app that started it: events as JSON lines on stdout, commands on stdin.

Events: `say`, `begin`, `loaded`, `tick` (at most ten a second, all that happened since the last one), `finish`.
Commands, one word a line: `pause`, `resume`, `stop`. The end of stdin is a stop: the app is gone, and what the run has
settled waits in the project to be taken up again.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from augtui.cli.display import Display, Speed
from augtui.domain.visible import visible
from augtui.engines.base import ModelInfo, Progress, Restarted
from augtui.pipelines.augment import Summary, kind_of
from augtui.pipelines.runner import ItemSettled, RunEvent, TryRejected
from augtui.store.runs import ItemStatus, Run

VARIABLE = "AUGTUI_EVENTS"
"""Set to 1 by the app in the environment of the commands that it starts."""
TICK_S = 0.1
LATEST = 12
"""Results that one tick carries at most."""
EXCERPT = 300
"""Characters of a text in an event."""


def wanted() -> bool:
    """Say whether the app has started this process."""
    return os.environ.get(VARIABLE) == "1"


class EventDisplay(Display):
    """Tells the app; obeys it."""

    def __init__(self, task: str) -> None:
        """Show nothing but events."""
        super().__init__(task, shows_results=False)
        self._reasons: Counter[str] = Counter()
        self._latest: list[dict[str, Any]] = []
        self._progress: Progress | None = None
        self._speed = Speed()
        self._told = 0.0
        self._going = threading.Event()
        self._going.set()

    def start(self) -> None:
        """Begin to listen to the app."""
        threading.Thread(target=self._obey, name="commands", daemon=True).start()

    def say(self, what: str, detail: object = "") -> None:
        """Tell what is being done."""
        self._send("say", what=what, detail=str(detail))

    def loaded(self, info: ModelInfo) -> None:
        """Tell that the model is ready."""
        facts = asdict(info)
        facts.pop("metadata")
        self._send("loaded", model=facts)

    def begin(self, run: Run, counts: Mapping[ItemStatus, int]) -> None:
        """Tell how much there is to do, and how much of it was done before."""
        super().begin(run, counts)
        self._send("begin", run=run.id, total=self.total, counts=dict(self.counts), resumed=run.resumed)

    def see(self, event: RunEvent) -> None:
        """Take notice of an event; wait here while the app wants a pause."""
        super().see(event)
        if isinstance(event, ItemSettled):
            if event.reason:
                self._reasons[kind_of(event.reason)] += 1
            self._latest.append(
                {
                    "position": event.position,
                    "status": event.status,
                    "reason": _cut(event.reason),
                    "instruction": _cut(event.instruction),
                    "text": _cut(event.text),
                    "tries": event.tries,
                }
            )
        elif isinstance(event, TryRejected):
            self._reasons[kind_of(event.reason)] += 1
        elif isinstance(event, Progress):
            self._progress = event
        elif isinstance(event, Restarted):
            self._send("restarted", reason=event.reason, requeued=event.requeued)
        if time.monotonic() - self._told >= TICK_S:
            self._tick()
        if not self._going.is_set():
            self._tick()
            self._send("paused")
            self._going.wait()
            self._send("resumed")

    def finish(self, summary: Summary, output: str | None, source: str) -> None:
        """Tell how it ended."""
        self._tick()
        self._send("finish", summary=summary.as_json(), output=output)

    def _tick(self) -> None:
        self._told = time.monotonic()
        progress = self._progress
        self._send(
            "tick",
            counts=dict(self.counts),
            reasons=dict(self._reasons),
            latest=self._latest[-LATEST:],
            speed=0.0 if progress is None else self._speed.see(progress.completion_tokens),
            progress=None if progress is None else asdict(progress),
        )
        self._latest.clear()

    def _send(self, event: str, **values: Any) -> None:
        with suppress(BrokenPipeError):
            sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
            sys.stdout.flush()

    def _obey(self) -> None:
        for line in sys.stdin:
            match line.strip():
                case "pause":
                    self._going.clear()
                case "resume":
                    self._going.set()
                case "stop":
                    break
        self._going.set()
        os.kill(os.getpid(), signal.SIGINT)


def _cut(text: str | None) -> str | None:
    """Return the beginning of a text, harmless on a terminal."""
    return None if text is None else visible(text[:EXCERPT])
