"""What a run tells the terminal app that started it, by the line of `augtui.cli.app_line`.

Events: `say`, `begin`, `loaded`, `tick` (at most ten a second, all that happened since the last one), `finish`, and
those of the line. What the run has settled when it is stopped waits in the project to be taken up again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from augtui.cli.app_line import TICK_S, Line
from augtui.cli.display import Display, Speed
from augtui.domain.visible import visible
from augtui.engines.base import ModelInfo, Progress, Restarted
from augtui.pipelines.augment import Summary, kind_of
from augtui.pipelines.runner import ItemSettled, RunEvent, TryRejected
from augtui.store.runs import ItemStatus, Run

LATEST = 12
"""Results that one tick carries at most."""
EXCERPT = 300
"""Characters of a text in an event."""


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
        self._line = Line()

    def start(self) -> None:
        """Begin to listen to the app."""
        self._line.listen()

    def say(self, what: str, detail: object = "") -> None:
        """Tell what is being done."""
        self._line.send("say", what=what, detail=str(detail))

    def loaded(self, info: ModelInfo) -> None:
        """Tell that the model is ready."""
        facts = asdict(info)
        facts.pop("metadata")
        self._line.send("loaded", model=facts)

    def begin(self, run: Run, counts: Mapping[ItemStatus, int]) -> None:
        """Tell how much there is to do, and how much of it was done before."""
        super().begin(run, counts)
        self._line.send("begin", run=run.id, total=self.total, counts=dict(self.counts), resumed=run.resumed)

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
            self._line.send("restarted", reason=event.reason, requeued=event.requeued)
        if time.monotonic() - self._told >= TICK_S:
            self._tick()
        self._line.wait_if_paused(self._tick)

    def finish(self, summary: Summary, output: str | None, source: str) -> None:
        """Tell how it ended."""
        self._tick()
        self._line.send("finish", summary=summary.as_json(), output=output)

    def _tick(self) -> None:
        self._told = time.monotonic()
        progress = self._progress
        self._line.send(
            "tick",
            counts=dict(self.counts),
            reasons=dict(self._reasons),
            latest=self._latest[-LATEST:],
            speed=0.0 if progress is None else self._speed.see(progress.completion_tokens),
            progress=None if progress is None else asdict(progress),
        )
        self._latest.clear()


def _cut(text: str | None) -> str | None:
    """Return the beginning of a text, harmless on a terminal."""
    return None if text is None else visible(text[:EXCERPT])
