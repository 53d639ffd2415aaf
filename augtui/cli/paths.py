"""`augtui paths`: where things are."""

from __future__ import annotations

from typing import Annotated

import typer


def paths(json: Annotated[bool, typer.Option("--json", help="As a JSON object.")] = False) -> None:
    """Print where augtui keeps projects, settings and logs."""
    from augtui import locations
    from augtui.models import cache

    found = {
        "home": locations.home(),
        "projects": locations.projects(),
        "config": locations.config_file(),
        "logs": locations.logs(),
        "models": cache.folder(),
    }
    if json:
        import json as encoder

        typer.echo(encoder.dumps({name: str(path) for name, path in found.items()}))
        return
    for name, path in found.items():
        typer.echo(f"{name:<9} {path}")
