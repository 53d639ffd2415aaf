"""`augtui translate`: pairs in the other language."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from augtui.cli import options

To = Annotated[str, typer.Option(help="zh, en, or both: each record in the other language.")]
Measure = Annotated[str, typer.Option(help="How the back-translation is compared with the original: chrf or rouge-l.")]
Least = Annotated[float, typer.Option(min=0, max=1, help="Least likeness of the back-translation; 0 makes none.")]


@options.generating
def translate(
    flags: dict[str, Any],
    file: options.File,
    to: To = "both",
    output: options.Out = None,
    measure: Measure = "chrf",
    least: Least = 0.4,
    field: options.Field = None,
    format: options.Format = None,
    limit: options.Limit = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Translate instructions and their responses between English and Chinese with a model of your choice (-m).

    Code, numbers, variables and links must survive, and the translation back must be like the original. Run the same
    command again to go on after an interruption. Exit code 4: some records failed.
    """
    from augtui.cli.augment import augment
    from augtui.pipelines.choices import one_of
    from augtui.pipelines.steps.translate import MEASURES

    wanted = {"to": one_of("to", to, ("zh", "en", "both")), "measure": one_of("measure", measure, MEASURES)}
    augment(
        "translate", file, output, flags,
        options={**wanted, "least": least}, field=field, format=format, limit=limit, json=json, quiet=quiet,
    )  # fmt: skip
