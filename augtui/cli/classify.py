"""`augtui classify`: a task label for each instruction."""

from __future__ import annotations

from typing import Any

from augtui.cli import options


@options.generating
def classify(
    flags: dict[str, Any],
    file: options.File,
    output: options.Out = None,
    field: options.Field = None,
    format: options.Format = None,
    limit: options.Limit = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Label each instruction with its kind of task, by a model of your choice (-m), for a balanced mix.

    Run the same command again to go on after an interruption. Exit code 4: some records failed.
    """
    from augtui.cli.augment import augment

    augment("classify", file, output, flags, field=field, format=format, limit=limit, json=json, quiet=quiet)
