"""`augtui expand`: instruction expansion (IE)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from augtui.cli import options

Count = Annotated[int, typer.Option("--count", "-n", min=1, max=10_000, help="New instructions for each record.")]
Similarity = Annotated[
    float | None, typer.Option(help="Reject what is at least so like its seed or any other of the run (ROUGE-L F1).")
]
Coverage = Annotated[
    bool,
    typer.Option("--coverage", help="More for records that few others are like, which come first; fewer for the rest."),
]


@options.generating
def expand(
    flags: dict[str, Any],
    file: options.File,
    count: Count = 3,
    output: options.Out = None,
    similarity: Similarity = None,
    coverage: Coverage = False,
    field: options.Field = None,
    format: options.Format = None,
    limit: options.Limit = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make new instructions of the same task type as each prompt of a file, but with different content.

    Run the same command again to go on after an interruption. Exit code 4: some records failed.
    """
    from augtui.cli.augment import augment

    flags["similarity"] = similarity
    augment(
        "expand", file, output, flags,
        samples=count, coverage=coverage, field=field, format=format, limit=limit, json=json, quiet=quiet,
    )  # fmt: skip
