"""`augtui pull`: a model from a hub."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from augtui.cli import options
from augtui.errors import ExitCode

if TYPE_CHECKING:
    from augtui.models.pull import PullEvent
    from augtui.models.registry import Pulled

PLAIN_EVERY_S = 5.0
SPEED_WINDOW_S = 10.0

Name = Annotated[str, typer.Argument(help="A name of `augtui ls --available`, or hf:OWNER/REPO[:QUANT][@REVISION].")]
Safetensors = Annotated[
    bool, typer.Option("--safetensors", help="The checkpoint, to quantize or train: no pickles, no code.")
]
Json = Annotated[bool, typer.Option("--json", help="The model as a JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")]


def pull(
    name: Name,
    safetensors: Safetensors = False,
    offline: options.Offline = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a model into the Hugging Face cache, and prove it. An interrupted download goes on where it stopped."""
    from augtui.models import pull as pulling
    from augtui.models import reference, registry
    from augtui.settings import load

    settings = load(offline=offline)
    if settings.offline:
        from augtui.models import offline as mode

        mode.engage()
    wanted = reference.parse(name, checkpoint=safetensors)
    kind: registry.Kind = "safetensors" if safetensors else "gguf"
    try:
        with _display_for(quiet=quiet) as display:
            try:
                pulled = pulling.pull(wanted, kind=kind, see=display.see, stall_s=settings.stall)
            except pulling.UnreachableError as error:
                known = registry.find(wanted.name, wanted.quantization)
                if known is None or known.kind != kind or not known.is_here:
                    raise
                display.say(f"{error.message}; {known.key} of {known.pulled_at[:10]} is here")
                pulled = known
    except KeyboardInterrupt:
        typer.echo("augtui pull: stopped; what came is kept, and the same command goes on from there", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except pulling.NoGgufError as error:
        if quiet or json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        typer.echo(f"augtui: {error.message}", err=True)
        if not typer.confirm("Fetch that checkpoint, to quantize it here?", err=True):
            raise typer.Exit(1) from None
        pull(name, safetensors=True, offline=offline, json=json, quiet=quiet)
        return
    _tell(pulled, json=json, quiet=quiet)


def _tell(pulled: Pulled, *, json: bool, quiet: bool) -> None:
    from augtui.domain.visible import visible
    from augtui.models import family

    if json:
        import json as encoder
        from dataclasses import asdict

        facts = {"key": pulled.key, "path": str(pulled.path), **asdict(pulled)}
        typer.echo(encoder.dumps(facts))
        return
    if quiet:
        return
    proofs = {file.proof for file in pulled.files}
    proven = "the hub gave no sum to prove it by" if "none" in proofs else "proven"
    typer.echo(f"augtui pull: {visible(pulled.key)} is here, {size(pulled.bytes)}, {proven}", err=True)
    if pulled.kind == "gguf":
        entry = family.find(pulled.entry or "")
        command = entry.tasks[0] if entry is not None and entry.tasks else "refine"
        typer.echo(f"             augtui {command} -m {visible(pulled.key)} --file …", err=True)
    else:
        typer.echo(f"             augtui quantize {visible(str(pulled.path))} makes a GGUF of it", err=True)
    typer.echo(str(pulled.path) if not sys.stdout.isatty() else visible(str(pulled.path)))


def size(count: float) -> str:
    """Return a number of bytes for the eye, in powers of ten as disks and hubs count them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


class _Silent:
    """Shows nothing."""

    def see(self, event: PullEvent) -> None:
        """Take notice of an event."""

    def say(self, text: str) -> None:
        """Tell something."""


class _Plain(_Silent):
    """Lines of text, for logs and pipes."""

    def __init__(self) -> None:
        """Begin to measure."""
        self._told = 0.0
        self._speed = Speed()

    def see(self, event: PullEvent) -> None:
        """Take notice of an event; progress is a line every five seconds."""
        from augtui.models.pull import Fetching, Note, Planned

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

        print(f"augtui pull: {visible(text)}", file=sys.stderr, flush=True)


class _Terminal(_Silent):
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

    def see(self, event: PullEvent) -> None:
        """Take notice of an event."""
        from augtui.domain.visible import excerpt
        from augtui.models.pull import Fetching, Note, Planned, Verifying

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
def _display_for(*, quiet: bool) -> Iterator[_Silent]:
    if quiet:
        yield _Silent()
    elif not sys.stderr.isatty():
        yield _Plain()
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
