"""`augtui refine`: instruction refinement (IR)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from augtui.cli import options

Guard = Annotated[
    str | None,
    typer.Option(help="What must survive: off, lenient, normal, strict, or auto by the model."),
]


@options.generating
def refine(
    flags: dict[str, Any],
    file: options.File,
    output: options.Out = None,
    guard: Guard = None,
    field: options.Field = None,
    format: options.Format = None,
    limit: options.Limit = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Rewrite prompts to be clearer and more detailed; what they say must survive, or they are kept as they were.

    Run the same command again to go on after an interruption. Exit code 4: some records failed.
    """
    from augtui.cli.augment import augment

    flags["guard"] = guard
    augment("refine", file, output, flags, field=field, format=format, limit=limit, json=json, quiet=quiet)
