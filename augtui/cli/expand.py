"""`augtui expand`: instruction expansion (IE)."""

from __future__ import annotations

from typing import Annotated

import typer

from augtui.cli import options

Count = Annotated[int, typer.Option("--count", "-n", min=1, max=10_000, help="New instructions for each record.")]
Similarity = Annotated[
    float | None, typer.Option(help="Reject what is at least so like its seed or a sibling (ROUGE-L F1).")
]


def expand(
    file: options.File,
    count: Count = 3,
    output: options.Out = None,
    model: options.Model = None,
    similarity: Similarity = None,
    style: options.Style = None,
    field: options.Field = None,
    format: options.Format = None,
    limit: options.Limit = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    top_k: options.TopK = None,
    max_tokens: options.MaxTokens = None,
    seed: options.Seed = None,
    retries: options.Retries = None,
    slots: options.Slots = None,
    threads: options.Threads = None,
    project: options.Project = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make new instructions of the same task type as each prompt of a file, but with different content.

    Run the same command again to go on after an interruption. Exit code 4: some records failed.
    """
    from augtui.cli.augment import augment

    settings = {
        "model": model, "similarity": similarity, "style": style, "temperature": temperature, "top_p": top_p,
        "top_k": top_k, "max_tokens": max_tokens, "seed": seed, "retries": retries, "slots": slots,
        "threads": threads, "project": project,
    }  # fmt: skip
    augment(
        "expand", file, output, settings,
        samples=count, field=field, format=format, limit=limit, json=json, quiet=quiet,
    )  # fmt: skip
