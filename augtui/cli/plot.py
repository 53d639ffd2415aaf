"""`augtui plot`: a project's figures as SVG or PNG."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from augtui.cli import options


class Name(StrEnum):
    """The figures; a test holds them to those of `augtui.metrics.figures`."""

    LENGTHS = "lengths"
    TASKS = "tasks"
    LANGUAGES = "languages"
    ACCEPTANCE = "acceptance"
    REASONS = "reasons"
    SPEED = "speed"
    DIVERSITY = "diversity"


def plot(
    name: Annotated[Name, typer.Argument(help="What to show.")],
    output: Annotated[str, typer.Option("--output", "-o", help="A file that ends in .svg or .png.")],
    project: options.Project = None,
    json: options.Json = False,
) -> None:
    """Draw a figure of a project: lengths before and after, mixes, acceptance, reasons, speed, diversity."""
    from pathlib import Path

    from augtui.errors import OutputError, UsageError
    from augtui.metrics import figures, plots
    from augtui.pipelines.export import WholeFile
    from augtui.settings import load
    from augtui.store.projects import open_project

    kind = Path(output).suffix.lower()
    if kind not in (".svg", ".png"):
        raise UsageError(f"{output}: a plot is a .svg or a .png file", hint=f"Such as: --output {name.value}.svg")
    with open_project(load(project=project).project, create=False) as opened:
        figure = figures.FIGURES[name.value](opened)
    if kind == ".svg":
        with WholeFile(output) as file:
            file.write(plots.svg(figure))
    else:
        try:
            drawn = plots.png(figure)
        except ImportError:
            raise UsageError("PNG needs CairoSVG", hint="pip install 'augtui[plots]', or write .svg.") from None
        part = Path(f"{output}.part")
        try:
            part.write_bytes(drawn)
            part.replace(output)
        except OSError as error:
            raise OutputError(f"{output} cannot be written: {error.strerror}") from None
    if json:
        import json as encoder
        from dataclasses import asdict

        typer.echo(encoder.dumps(asdict(figure)))
    else:
        typer.echo(f"augtui plot: written to {output}", err=True)
