"""How far a download has come: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augtui.models.download import Event

PLAIN_EVERY_S = 5.0
SPEED_WINDOW_S = 10.0


def size(count: float) -> str:
    """Return a number of bytes for the eye, in powers of ten as disks and hubs count them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


class Silent:
    """Shows nothing."""

    def see(self, event: Event) -> None:
        """Take notice of an event."""

    def say(self, text: str) -> None:
        """Tell something."""


class _Plain(Silent):
    """Lines of text, for logs and pipes."""

    def __init__(self, command: str) -> None:
        """Begin to measure, for a command."""
        self._command = command
        self._told = 0.0
        self._speed = Speed()

    def see(self, event: Event) -> None:
        """Take notice of an event; progress is a line every five seconds."""
        from augtui.models.download import Fetching, Note, Planned

        if isinstance(event, Planned):
            self.say(_beginning(event))
        elif isinstance(event, Note):
            self.say(event.text)
        elif isinstance(event, Fetching):
            self._speed.see(event.bytes)
            if time.monotonic() - self._told >= PLAIN_EVERY_S:
                self._told = time.monotonic()
                self.say(self._progress(event))

    def _progress(self, event: Any) -> str:
        speed = self._speed.bytes_per_s
        share = event.bytes / event.total if event.total else 1.0
        eta = f" · ETA {clock((event.total - event.bytes) / speed)}" if speed > 0 else ""
        return f"{share:.0%} · {size(event.bytes)} of {size(event.total)} · {size(speed)}/s{eta}"

    def say(self, text: str) -> None:
        """Tell something."""
        from augtui.domain.visible import visible

        print(f"augtui {self._command}: {visible(text)}", file=sys.stderr, flush=True)


class _Terminal(Silent):
    """A progress bar with speed and time left."""

    def __init__(self) -> None:
        """Draw on stderr."""
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TransferSpeedColumn as Transfer

        self._console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(bar_width=None), DownloadColumn(), Transfer(),
            TextColumn("eta", style="dim"), TimeRemainingColumn(), console=self._console, expand=True, transient=True,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._name = ""
        self._task = self.bar.add_task("asking the hub", total=None)

    def see(self, event: Event) -> None:
        """Take notice of an event."""
        from augtui.domain.visible import excerpt
        from augtui.models.download import Fetching, Note, Planned, Verifying

        if isinstance(event, Planned):
            self.say(_beginning(event))
            self._name = excerpt(event.files[0].rsplit("/", 1)[-1], 40)
            self.bar.reset(self._task, total=event.total, completed=event.have, description=self._name)
        elif isinstance(event, Verifying):
            share = event.bytes / event.total if event.total else 1.0
            self.bar.update(self._task, description=f"{self._name}: hashing {share:.0%}")
        elif isinstance(event, Note):
            self.say(event.text)
        elif isinstance(event, Fetching):
            self.bar.update(self._task, completed=event.bytes, total=event.total, description=self._name)

    def say(self, text: str) -> None:
        """Tell something, above the bar."""
        from augtui.domain.visible import visible

        self._console.print(visible(text), style="dim", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def display_for(command: str, *, quiet: bool) -> Iterator[Silent]:
    """Yield a display of downloads for a command."""
    if quiet:
        yield Silent()
    elif not sys.stderr.isatty():
        yield _Plain(command)
    else:
        display = _Terminal()
        with display.bar:
            yield display


def _beginning(event: Any) -> str:
    count = f"{len(event.files)} files" if len(event.files) > 1 else event.files[0]
    here = f", {size(event.have)} of them are here" if 0 < event.have < event.total else ""
    here = ", all of them here" if event.have >= event.total else here
    return f"{event.repo} at {event.commit[:8]}: {count}, {size(event.total)}{here}"


class Speed:
    """Bytes a second over the last seconds."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._seen: list[tuple[float, int]] = []

    def see(self, count: int) -> None:
        """Take a total."""
        now = time.monotonic()
        if self._seen and count < self._seen[-1][1]:
            self._seen.clear()
        self._seen = [(at, total) for at, total in self._seen if now - at <= SPEED_WINDOW_S] + [(now, count)]

    @property
    def bytes_per_s(self) -> float:
        """Return the present speed; 0 where it is not known yet."""
        if len(self._seen) < 2 or self._seen[-1][0] == self._seen[0][0]:
            return 0.0
        return (self._seen[-1][1] - self._seen[0][1]) / (self._seen[-1][0] - self._seen[0][0])


def clock(seconds: float) -> str:
    """Return a time for the eye: 0:46, 12:03, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
