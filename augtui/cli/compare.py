"""`augtui compare`: two models on the same prompts, such as a model before and after it was trained."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from augtui.cli import options, signals

Before = Annotated[str, typer.Argument(help="The model that the other is measured by; `default`, a name or a file.")]
After = Annotated[str, typer.Argument(help="The other model, such as one that was trained and quantized here.")]
File = Annotated[
    str | None,
    typer.Option("--file", "-f", help="Prompts, as for refine. Default: built-in prompts."),
]
Task = Annotated[str, typer.Option(help="refine or expand.")]
Samples = Annotated[int, typer.Option("--samples", "-n", min=1, help="Answers to each prompt; greedy ones are alike.")]
Temperature = Annotated[float, typer.Option(min=0.0, max=5.0, help="0 is greedy, which shows what the weights change.")]
Out = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write the whole comparison there too: .json, or .md to read.")
]
Show = Annotated[int, typer.Option(min=0, help="So many pairs of answers are shown, those with other outcomes first.")]
Deterministic = Annotated[
    bool, typer.Option(help="Answers depend on nothing but model and prompt; files in K-quants are slower so.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object with all pairs instead of the table.")]
EVERY_S = 2.0


def compare(
    before: Before,
    after: After,
    file: File = None,
    task: Task = "refine",
    samples: Samples = 1,
    temperature: Temperature = 0.0,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer, in tokens.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the draws.")] = None,
    output: Out = None,
    show: Show = 3,
    field: options.Field = None,
    format: options.Format = None,
    limit: options.Limit = None,
    slots: options.Slots = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayers = None,
    deterministic: Deterministic = True,
    json: Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Ask two models the same prompts and compare answer by answer: outcomes, words kept, accepted, lengths.

    Judged as `refine` or `expand` would, without retries. Each comparison is kept in augtui's home; the app shows it.
    """
    from augtui.cli import engines
    from augtui.domain.tasks import TASKS
    from augtui.errors import ExitCode, OutputError, UsageError
    from augtui.models import catalog
    from augtui.models import offline as mode
    from augtui.pipelines import versus
    from augtui.pipelines.bench import read_prompts
    from augtui.pipelines.examples import PROMPTS
    from augtui.pipelines.export import WholeFile
    from augtui.pipelines.jobs import job_for
    from augtui.settings import load

    if task not in ("refine", "expand"):
        raise UsageError(f"--task is refine or expand (got {task!r})")
    if output is not None and output.suffix not in (".json", ".md"):
        raise UsageError(f"--output ends in .json or .md (got {output.name!r})")
    if output is not None and not output.absolute().parent.is_dir():
        raise OutputError(f"{output} cannot be written: the folder does not exist")
    if file is None and (field, format, limit) != (None, None, None):
        raise UsageError("--field, --format and --limit say what of a --file is read, and there is none")
    flags = {"slots": slots, "threads": threads, "gpu_layers": gpu_layers, "seed": seed}
    settings = load(**flags, max_tokens=max_tokens, temperature=temperature, deterministic=deterministic)
    if settings.offline:
        mode.engage()
    sides = []
    for name in (before, after):
        model = catalog.resolve(name)
        sides.append((model, replace(job_for(TASKS[task], settings, model, samples=samples), retries=0)))
    prompts, aside = (list(PROMPTS), 0) if file is None else read_prompts(file, field=field, format=format, limit=limit)
    with signals.ending():
        found = versus.compare(
            sides[0], sides[1], prompts, lambda model: engines.opened(model, settings), _Watch(quiet=quiet)
        )
    kept = versus.save(found)
    values = found.as_json()
    if output is not None:
        with WholeFile(output) as target:
            if output.suffix == ".md":
                target.write(versus.markdown(values) + "\n")
            else:
                target.write(kept.read_text("utf-8"))
    if json:
        _print_json(values)
    else:
        print_table(values, show)
    if not quiet:
        print(f"augtui compare: kept as {_shown(kept)}", file=sys.stderr)
    if aside or found.before.failed or found.after.failed:
        if not quiet:
            failed = found.before.failed + found.after.failed
            print(f"augtui compare: {aside} lines hold no prompt; {failed} requests failed", file=sys.stderr)
        raise typer.Exit(ExitCode.PARTIAL)


class _Watch:
    """Tells how far it is: a line every few seconds."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._told = 0.0

    def __call__(self, name: str, done: int, total: int) -> None:
        if not self._quiet and (time.monotonic() - self._told >= EVERY_S or done in (0, total)):
            self._told = time.monotonic()
            print(f"augtui compare: {_shown(name)} {done}/{total}", file=sys.stderr, flush=True)


def print_table(values: dict[str, Any], show: int) -> None:
    """Print the figures of both, then pairs of answers, those first whose outcomes differ."""
    from augtui.pipelines.versus import figures, marked

    rows = [tuple(_shown(cell) for cell in row) for row in figures(values)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        typer.echo(f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}")
    typer.echo(
        f"lost {values['lost']}, won {values['won']} (McNemar p = {values['p_value']:.3g});"
        f" the same text {values['same']} of {len(values['pairs'])}, ROUGE-L of the two {values['rouge_l']:.3f}"
    )
    pairs = sorted(values["pairs"], key=lambda pair: pair["before"]["outcome"] == pair["after"]["outcome"])
    for pair in pairs[:show]:
        typer.echo(f"\nprompt  {_shown(pair['prompt'])}")
        for title, said in (("before", pair["before"]), ("after", pair["after"])):
            reason = f": {_shown(said['reason'])}" if said["reason"] else ""
            typer.echo(f"{title:<6}  {said['outcome']}{reason}")
        typer.echo(f"        {_shown(marked(pair['before']['text'], pair['after']['text']))}")


def _shown(text: object) -> str:
    from augtui.domain.visible import visible

    return visible(str(text))


def _print_json(values: dict[str, Any]) -> None:
    import json as encoder

    # ASCII only: what a model says must not reach a terminal as control characters.
    typer.echo(encoder.dumps(values, ensure_ascii=True))
