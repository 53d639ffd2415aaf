"""Options that the commands which generate text have in common."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

File = Annotated[
    str,
    typer.Option("--file", "-f", help="JSONL, JSON array, CSV/TSV, Parquet, text (a prompt a line), or - for a pipe."),
]
Out = Annotated[
    str | None, typer.Option("--output", "-o", help="Write JSONL to this file, whole or not at all. Default: stdout.")
]
Field = Annotated[str | None, typer.Option(help="The field that holds the prompt, if it has no usual name.")]
Format = Annotated[
    str | None, typer.Option(help="jsonl, json, csv, tsv, parquet or text, if name and content mislead.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first LIMIT records.")]
Json = Annotated[bool, typer.Option("--json", help="JSON lines even on a terminal, and the summary as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")]

Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help="`default`, a pulled model, a GGUF file, an MLX folder, or a server: http://host/v1#name."
    ),
]
Slots = Annotated[int | None, typer.Option(help="Answers that are generated at a time.")]
Threads = Annotated[int | None, typer.Option(help="Threads of the engine. Default: the physical cores.")]
GpuLayers = Annotated[int | None, typer.Option(min=-1, help="Layers on a GPU. Default: all that fit.")]
CacheType = Annotated[str | None, typer.Option(help="Keys and values: f16, q8_0 (half the memory) or q4_0.")]
Offline = Annotated[bool | None, typer.Option("--offline", help="Reach for nothing beyond this machine.")]
Project = Annotated[str | None, typer.Option("--project", "-p", help="The project that keeps everything.")]

SETTINGS: dict[str, Any] = {
    "model": Model,
    "adapter": Annotated[Path | None, typer.Option(help="A LoRA adapter for the model: a GGUF file, or MLX's folder.")],
    "style": Annotated[
        str | None,
        typer.Option(help="Prompt: specialised (Tables 9-11), general (7-8), card (9-11 as model cards ask), or auto."),
    ],
    "temperature": Annotated[float | None, typer.Option(help="0 is greedy. Default: what suits the model.")],
    "top_p": Annotated[float | None, typer.Option(help="Nucleus sampling.")],
    "top_k": Annotated[int | None, typer.Option(help="0 keeps all tokens.")],
    "max_tokens": Annotated[
        int | None, typer.Option(help="Longest answer, in tokens. Default: what the context leaves.")
    ],
    "seed": Annotated[int | None, typer.Option(help="The same seed, file, model and settings are the same run.")],
    "retries": Annotated[
        int | None, typer.Option(help="New seeds to try after a rejected answer. Default: what suits the model.")
    ],
    "slots": Slots,
    "threads": Threads,
    "gpu_layers": GpuLayers,
    "cache_type": CacheType,
    "deterministic": Annotated[
        bool | None,
        typer.Option("--deterministic", help="The same text whatever the slots and the order; slower."),
    ],
    "timeout": Annotated[float | None, typer.Option(help="Seconds that a server has for one answer.")],
    "price_in": Annotated[float | None, typer.Option(help="A server's price, US dollars for a million prompt tokens.")],
    "price_out": Annotated[float | None, typer.Option(help="The same for a million answer tokens.")],
    "max_cost": Annotated[float | None, typer.Option(help="US dollars that a run may cost in all on a server.")],
    "offline": Offline,
    "project": Project,
}
"""What every command that generates text can be told, by the names of `augtui.settings.Settings`."""


def generating(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `SETTINGS` after its own; it gets all that belong to the settings as `flags`."""
    own = inspect.signature(command, eval_str=True).parameters
    named = {name for name in own if name != "flags"}

    @functools.wraps(command)
    def wrapped(**values: Any) -> None:
        flags = {name: values.pop(name) for name in SETTINGS}
        command(**values, flags=flags)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [own[name].replace(kind=keyword) for name in own if name in named]
    parameters += [
        inspect.Parameter(name, keyword, default=None, annotation=annotation) for name, annotation in SETTINGS.items()
    ]
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapped
