"""`augtui respond`: responses to instructions."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from augtui.cli import options

Teacher = Annotated[
    list[str] | None,
    typer.Option(help="A model for a language: zh=MODEL, en=MODEL, other=MODEL, default=MODEL; may be repeated."),
]
System = Annotated[str | None, typer.Option(help="A system prompt. Default: none.")]


@options.generating
def respond(
    flags: dict[str, Any],
    file: options.File,
    output: options.Out = None,
    teacher: Teacher = None,
    system: System = None,
    field: options.Field = None,
    format: options.Format = None,
    limit: options.Limit = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write responses with a model of your choice (-m, or --teacher for each language).

    A response that the file has stays as it is. Run the same command again to go on after an interruption. Exit
    code 4: some records have no response.
    """
    from augtui.cli.augment import augment
    from augtui.pipelines.teachers import teachers_of

    teachers = teachers_of(teacher or [], flags["model"])
    if teachers.default is not None:
        flags["model"] = teachers.default
    augment(
        "respond", file, output, flags,
        options={"system": system}, teachers=teachers.by_language, unasked=teachers.default is None,
        field=field, format=format, limit=limit, json=json, quiet=quiet,
    )  # fmt: skip
