"""`augtui plot`: a project's figures as SVG or PNG."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from augtui.cli import options


class Name(StrEnum):
    """The figures; a test holds them to those of `augtui.metrics.figures`, and the map."""

    LENGTHS = "lengths"
    TASKS = "tasks"
    LANGUAGES = "languages"
    ACCEPTANCE = "acceptance"
    REASONS = "reasons"
    SPEED = "speed"
    DIVERSITY = "diversity"
    MAP = "map"


def plot(
    name: Annotated[Name, typer.Argument(help="What to show.")],
    output: Annotated[str, typer.Option("--output", "-o", help="A file that ends in .svg or .png.")],
    project: options.Project = None,
    cluster: Annotated[str | None, typer.Option(help="Of the map: what is inside of this cluster, such as 3.")] = None,
    json: options.Json = False,
) -> None:
    """Draw a figure of a project: lengths before and after, mixes, acceptance, reasons, speed, diversity, the map."""
    from dataclasses import asdict
    from functools import partial
    from pathlib import Path

    from augtui.errors import OutputError, UsageError
    from augtui.metrics import figures, mapplot, plots
    from augtui.pipelines.export import WholeFile
    from augtui.settings import load
    from augtui.store.projects import open_project

    kind = Path(output).suffix.lower()
    if kind not in (".svg", ".png"):
        raise UsageError(f"{output}: a plot is a .svg or a .png file", hint=f"Such as: --output {name.value}.svg")
    if cluster is not None and name is not Name.MAP:
        raise UsageError("--cluster is for the map")
    with open_project(load(project=project).project, create=False) as opened:
        if name is Name.MAP:
            from augtui.cli.clusters import known_state

            known_state(opened, quiet=False)
            shown = mapplot.picture(opened, cluster)
            draw_svg, draw_png = partial(mapplot.svg, shown), partial(mapplot.png, shown)
            said = {"name": "map", "title": shown.title, "note": shown.note, "points": len(shown.points)}
        else:
            figure = figures.FIGURES[name.value](opened)
            draw_svg, draw_png = partial(plots.svg, figure), partial(plots.png, figure)
            said = asdict(figure)
    if kind == ".svg":
        with WholeFile(output) as file:
            file.write(draw_svg())
    else:
        try:
            drawn = draw_png()
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

        typer.echo(encoder.dumps(said))
    else:
        typer.echo(f"augtui plot: written to {output}", err=True)
