"""`augtui refine`: instruction refinement (IR)."""

from __future__ import annotations

from typing import Annotated

import typer

from augtui.cli import options

Guard = Annotated[
    str | None,
    typer.Option(help="What must survive: off, lenient, normal, strict, or auto by the model."),
]


def refine(
    file: options.File,
    output: options.Out = None,
    model: options.Model = None,
    guard: Guard = None,
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
    """Rewrite prompts to be clearer and more detailed; what they say must survive, or they are kept as they were.

    Run the same command again to go on after an interruption. Exit code 4: some records failed.
    """
    from augtui.cli.augment import augment

    settings = {
        "model": model, "guard": guard, "style": style, "temperature": temperature, "top_p": top_p, "top_k": top_k,
        "max_tokens": max_tokens, "seed": seed, "retries": retries, "slots": slots, "threads": threads,
        "project": project,
    }  # fmt: skip
    augment("refine", file, output, settings, field=field, format=format, limit=limit, json=json, quiet=quiet)
