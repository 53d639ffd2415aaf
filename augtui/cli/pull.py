"""`augtui pull`: a model from a hub."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from augtui.cli import options
from augtui.cli.transfers import display_for, size
from augtui.errors import ExitCode

if TYPE_CHECKING:
    from augtui.models.registry import Pulled

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
    from augtui.models import download, reference, registry
    from augtui.models import pull as pulling
    from augtui.settings import load

    settings = load(offline=offline)
    if settings.offline:
        from augtui.models import offline as mode

        mode.engage()
    wanted = reference.parse(name, checkpoint=safetensors)
    kind: registry.Kind = "safetensors" if safetensors else "gguf"
    try:
        with display_for("pull", quiet=quiet) as display:
            try:
                pulled = pulling.pull(wanted, kind=kind, see=display.see, stall_s=settings.stall)
            except download.UnreachableError as error:
                known = registry.find(wanted.name, wanted.quantization)
                if known is None or known.kind != kind or not known.is_here:
                    raise
                display.say(f"{error.message}; {known.key} of {known.pulled_at[:10]} is here")
                pulled = known
    except KeyboardInterrupt:
        typer.echo("augtui pull: stopped; what came is kept, and the same command goes on from there", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except download.NoGgufError as error:
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
