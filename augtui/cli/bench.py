"""`augtui bench`: how fast a model is on this machine, and how many slots suit it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from augtui.cli import options, signals

if TYPE_CHECKING:
    from augtui.engines.base import Sampling
    from augtui.models import catalog
    from augtui.pipelines.bench import Watcher
    from augtui.settings import Settings

SLOTS = "--slots"
File = Annotated[
    str | None,
    typer.Option("--file", "-f", help="Prompts, as for refine; each is asked once. Default: built-in prompts."),
]
Slots = Annotated[
    list[str] | None,
    typer.Option(SLOTS, metavar="N ...", help="Numbers of slots to try. Default: 1 4 8 16 32, and advice."),
]
MaxTokens = Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")]
IgnoreEos = Annotated[bool, typer.Option("--ignore-eos", help="Never end an answer before its longest length.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object; its top level is the fastest row.")]


class Command(TyperCommand):
    """`augtui bench`, whose `--slots` takes several numbers; Click's options take one value each."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, `--slots 8 16` as `--slots 8 --slots 16`."""
        return super().parse_args(ctx, list(_spread(args)))


def _spread(arguments: list[str]) -> Iterator[str]:
    among_slots = False
    for place, argument in enumerate(arguments):
        follows = place > 0 and arguments[place - 1] == SLOTS
        number = argument.replace(",", "").isdecimal()
        if among_slots and not follows and number:
            yield SLOTS
        among_slots = argument == SLOTS or (among_slots and number) or argument.startswith(f"{SLOTS}=")
        yield argument


def bench(
    model: options.Model = None,
    file: File = None,
    slots: Slots = None,
    max_tokens: MaxTokens = 64,
    ignore_eos: IgnoreEos = False,
    field: options.Field = None,
    format: options.Format = None,
    limit: options.Limit = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayers = None,
    cache_type: options.CacheType = None,
    json: Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure tokens a second, the time to the first token and memory, by the number of answers at a time."""
    from augtui.cli import bench_display as display
    from augtui.cli import engines
    from augtui.domain.visible import visible
    from augtui.errors import ExitCode
    from augtui.models import catalog
    from augtui.models import offline as mode
    from augtui.pipelines import bench as measuring
    from augtui.settings import load

    settings = load(model=model, threads=threads, gpu_layers=gpu_layers, cache_type=cache_type)
    if settings.offline:
        mode.engage()
    counts = _slot_counts(slots or [])
    chosen = catalog.resolve(settings.model)
    _ = chosen.path  # a server's model has none, and its server's speed says nothing of this machine
    with signals.ending(), _watcher(quiet=quiet) as watcher:
        prompts, aside = _prompts(file, field, format, limit)
        sampling = _sampling(chosen, settings, max_tokens, ignore_eos)
        style = chosen.style if settings.style == "auto" else settings.style
        work = measuring.Workload(prompts, sampling, style, whole=file is not None)
        tried = counts or work.usual_slots()
        report = measuring.measure(
            work, tried, lambda n: engines.opened(chosen, settings, slots=n), watcher, free=not counts
        )
    if aside:
        report.notes.append(f"{aside} lines of the input hold no prompt")
    if json:
        display.print_json(report, chosen)
    else:
        display.print_table(report, chosen)
    if not quiet:
        for note in report.notes:
            print(f"augtui bench: {visible(note)}", file=sys.stderr)
    if aside or any(row.failed for row in report.rows):
        raise typer.Exit(ExitCode.PARTIAL)


def _slot_counts(given: list[str]) -> list[int]:
    """Return the numbers that `--slots` names; raises UsageError."""
    from augtui.errors import UsageError
    from augtui.settings import load

    counts = []
    for text in [part.strip() for value in given for part in value.split(",")]:
        if not text.isdecimal():
            raise UsageError(f"slots: a whole number is wanted (got {text!r})")
        counts.append(load(slots=int(text)).slots)
    return counts


def _prompts(file: str | None, field: str | None, format: str | None, limit: int | None) -> tuple[Sequence[str], int]:
    """Return what is to be asked, and how many lines of the file hold no prompt."""
    from augtui.errors import UsageError
    from augtui.pipelines.bench import read_prompts
    from augtui.pipelines.examples import PROMPTS

    if file is not None:
        return read_prompts(file, field=field, format=format, limit=limit)
    if (field, format, limit) != (None, None, None):
        raise UsageError("--field, --format and --limit say what of a --file is read, and there is none")
    return PROMPTS, 0


def _sampling(model: catalog.Model, settings: Settings, max_tokens: int, ignore_eos: bool) -> Sampling:
    """Return the sampling that `refine` would use with this model."""
    from augtui.engines.base import Sampling

    return Sampling(
        temperature=model.temperature if settings.temperature is None else settings.temperature,
        top_p=model.top_p if settings.top_p is None else settings.top_p,
        top_k=model.top_k if settings.top_k is None else settings.top_k,
        min_p=settings.min_p,
        repeat_penalty=settings.repeat_penalty,
        max_tokens=max_tokens,
        ignore_eos=ignore_eos,
    )


@contextmanager
def _watcher(*, quiet: bool) -> Iterator[Watcher]:
    """Choose how progress is told: a bar on a terminal, lines elsewhere."""
    from augtui.cli.bench_display import LineWatcher, bar_watcher
    from augtui.pipelines.bench import Watcher

    if quiet:
        yield Watcher()
    elif sys.stderr.isatty():
        with bar_watcher() as watcher:
            yield watcher
    else:
        yield LineWatcher()
