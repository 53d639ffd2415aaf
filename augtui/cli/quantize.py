"""`augtui quantize`: conversion and quantization by the quantize annex, in a process of its own, and the audit."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from augtui.cli import options

if TYPE_CHECKING:
    from augtui.pipelines.audit import Candidate, Watcher

CONVERT = "convert"
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""What the annex's own parser reads, its --help too."""


class _Commands(TyperGroup):
    """The commands; what begins with none of their names is a conversion: `augtui quantize CHECKPOINT -o OUT`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = [CONVERT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Commands,
    help="Convert checkpoints to GGUF or MLX, quantized: `augtui quantize CHECKPOINT -o OUT.gguf --type Q4_K_M`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(CONVERT, context_settings=PASSED_ON)
def convert(context: typer.Context) -> None:
    """Convert a checkpoint, or quantize a GGUF file; the name `convert` may be left out."""
    _become(context.args)


@app.command("adapter", context_settings=PASSED_ON)
def adapter(context: typer.Context) -> None:
    """Convert a PEFT LoRA adapter to a GGUF adapter."""
    _become(["adapter", *context.args])


@app.command("imatrix", context_settings=PASSED_ON)
def imatrix(context: typer.Context) -> None:
    """Compute an importance matrix from prompts."""
    _become(["imatrix", *context.args])


@app.command("compare", context_settings=PASSED_ON)
def compare(context: typer.Context) -> None:
    """Perplexity of GGUF files over a text, and their distance from the first."""
    _become(["compare", *context.args])


@app.command("verify", context_settings=PASSED_ON)
def verify(context: typer.Context) -> None:
    """Compare a GGUF file with its checkpoint: tokens, chat template, logits."""
    _become(["verify", *context.args])


def command(arguments: Sequence[str]) -> list[str]:
    """Return the command line of the annex. `-P`: what lies in the present folder is not imported in its stead."""
    return [sys.executable, "-P", "-m", "quantize", *arguments]


def _become(arguments: Sequence[str]) -> None:
    """Run the annex with this process's streams, signals and exit code."""
    os.environ["AUGTUI_QUANTIZE_PROGRAM"] = "augtui quantize"
    if os.name == "posix":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, command(arguments))
    raise typer.Exit(subprocess.run(command(arguments), check=False).returncode)


Types = Annotated[
    str, typer.Option(help="Types to make and to compare with the model, by commas; or GGUF files that are there.")
]
Task = Annotated[str, typer.Option(help="refine or expand.")]
File = Annotated[
    str | None,
    typer.Option("--file", "-f", help="Prompts, as for refine. Default: the prompts of `augtui bench`."),
]
Samples = Annotated[int, typer.Option("--samples", "-n", min=1, help="Answers to each prompt; greedy ones are alike.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="0 is greedy, which shows what the weights alone change.")]
Calibrate = Annotated[Path | None, typer.Option(help="Weigh columns by these prompts or this text (imatrix).")]
Keep = Annotated[Path | None, typer.Option(help="Keep the files that are made in this folder.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of the table.")]


@app.command("audit")
def audit(
    model: options.Model = None,
    file: File = None,
    types: Types = "Q8_0,Q6_K,Q4_K_M",
    task: Task = "refine",
    samples: Samples = 1,
    temperature: Temperature = 0.0,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer, in tokens.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the draws.")] = None,
    calibrate: Calibrate = None,
    keep: Keep = None,
    field: options.Field = None,
    format: options.Format = None,
    limit: options.Limit = None,
    slots: options.Slots = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayers = None,
    json: Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Ask an augmenter the same prompts in several quantizations, and compare what comes of them.

    Best given in F16 (`-m MODEL-f16.gguf`). Judged as `refine` or `expand` would, without retries.
    """
    from augtui.cli import audit_display as display
    from augtui.cli import engines
    from augtui.domain.tasks import TASKS
    from augtui.errors import ExitCode, UsageError
    from augtui.models import catalog
    from augtui.pipelines import audit as auditing
    from augtui.pipelines.bench import read_prompts
    from augtui.pipelines.examples import PROMPTS
    from augtui.pipelines.jobs import job_for
    from augtui.settings import load

    if task not in TASKS or task == "pairs":
        raise UsageError(f"--task is refine or expand (got {task!r})")
    flags = {"model": model, "slots": slots, "threads": threads, "gpu_layers": gpu_layers, "seed": seed}
    settings = load(**flags, max_tokens=max_tokens, temperature=temperature)
    chosen = catalog.resolve(settings.model)
    prompts, aside = (list(PROMPTS), 0) if file is None else read_prompts(file, field=field, format=format, limit=limit)
    # Each answer is judged once.
    job = replace(job_for(TASKS[task], settings, chosen, samples=samples), retries=0)
    with ExitStack() as stack:
        watcher: Watcher = display.LineWatcher() if not quiet else auditing.Watcher()
        candidates = stack.enter_context(_candidates(chosen.path, types, calibrate, keep, quiet=quiet))

        @contextmanager
        def open_engine(path: Path) -> Iterator[engines.AnyEngine]:
            with engines.opened(catalog.resolve(str(path)), settings) as engine:
                yield engine

        rows = list(auditing.audit(candidates, prompts, job, open_engine, watcher))
    report = display.Report(chosen.name, task, job, len(prompts), len(auditing.known_prompts(prompts, job)), rows)
    display.print_json(report) if json else display.print_table(report)
    if aside or any(row.failed for row in rows):
        if not quiet:
            print(
                f"augtui quantize audit: {aside} lines hold no prompt; some requests may have failed", file=sys.stderr
            )
        raise typer.Exit(ExitCode.PARTIAL)


@contextmanager
def _candidates(
    base: Path, types: str, calibrate: Path | None, keep: Path | None, *, quiet: bool
) -> Iterator[list[Candidate]]:
    """Yield the model and its quantizations, made by the annex; they go with the block unless they are to be kept."""
    from augtui import locations
    from augtui.errors import OutputError, UsageError
    from augtui.models.gguf_type import file_type
    from augtui.pipelines.audit import Candidate

    names = [name.strip() for name in types.split(",") if name.strip()]
    if not names:
        raise UsageError("--types names no type")
    if keep is not None and not keep.is_dir():
        raise OutputError(f"{keep}: there is no such folder")
    own = file_type(base) or base.stem
    with ExitStack() as stack:
        if keep is None:
            locations.home().mkdir(parents=True, exist_ok=True)
            # Beside the projects: a system's temporary folder may be too small for models.
            made = stack.enter_context(tempfile.TemporaryDirectory(prefix="audit-", dir=locations.home()))
        folder = Path(made) if keep is None else keep
        found = [Candidate(own, base)]
        for name in names:
            if name.upper() == own:
                continue
            path = Path(name).expanduser()
            if path.suffix == ".gguf":
                found.append(Candidate(file_type(path) or path.stem, path))
                continue
            target = folder / f"{base.stem}-{name.lower()}.gguf"
            if not (keep is not None and target.is_file()):
                _make(base, target, name, own, calibrate, quiet=quiet)
            found.append(Candidate(name.upper(), target))
        yield found


FULL = ("F32", "F16", "BF16")


def _make(base: Path, target: Path, kind: str, own: str, calibrate: Path | None, *, quiet: bool) -> None:
    """Let the annex quantize; raises ModelError with its words if it cannot."""
    from augtui.errors import ExitCode, ModelError

    if not quiet:
        print(f"augtui quantize audit: making {kind}", file=sys.stderr)
    arguments = [str(base), "-o", str(target), "--type", kind, "--quiet"]
    if own not in FULL:
        arguments.append("--requantize")
    if calibrate is not None and kind.upper() not in (*FULL, "Q8_0"):
        arguments += ["--calibrate", str(calibrate)]
    done = subprocess.run(command(arguments), capture_output=True, text=True, errors="replace", check=False)
    if done.returncode == ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if done.returncode < 0:
        raise ModelError(f"{kind} cannot be made of {base.name}: llama.cpp crashed, the file may be damaged")
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it does not say why"])[-1].removeprefix("error: ")
        raise ModelError(f"{kind} cannot be made of {base.name}: {said}")
