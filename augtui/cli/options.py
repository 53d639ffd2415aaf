"""Options that the commands which generate text have in common."""

from __future__ import annotations

from typing import Annotated

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
Model = Annotated[str | None, typer.Option("--model", "-m", help="`default`, or the path of a GGUF file.")]
Style = Annotated[
    str | None,
    typer.Option(help="Prompt: specialised (Tables 9-11), general (7-8), or auto by the model's name."),
]
Temperature = Annotated[float | None, typer.Option(help="0 is greedy. Default: what suits the model.")]
TopP = Annotated[float | None, typer.Option(help="Nucleus sampling.")]
TopK = Annotated[int | None, typer.Option(help="0 keeps all tokens.")]
MaxTokens = Annotated[int | None, typer.Option(help="Longest answer, in tokens. Default: what the context leaves.")]
Seed = Annotated[int | None, typer.Option(help="The same seed, file, model and settings are the same run.")]
Slots = Annotated[int | None, typer.Option(help="Answers that are generated at a time.")]
Threads = Annotated[int | None, typer.Option(help="Threads of the engine. Default: the physical cores.")]
Retries = Annotated[int | None, typer.Option(help="New seeds to try after a rejected answer.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first LIMIT records.")]
Project = Annotated[str | None, typer.Option("--project", "-p", help="The project that keeps everything.")]
Json = Annotated[bool, typer.Option("--json", help="JSON lines even on a terminal, and the summary as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")]
