"""`augtui project`: make, list and remove projects."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from augtui.cli import options

app = typer.Typer(help="Make, list and remove projects.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="The project's name, or the path of its file.")]
Names = Annotated[list[str], typer.Argument(help="Names of projects, or paths of their files.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("new")
def new(name: Name, json: options.Json = False) -> None:
    """Make an empty project."""
    from augtui.domain.visible import visible
    from augtui.errors import UsageError
    from augtui.store.projects import locate, open_project

    path = locate(name)
    if path.exists():
        raise UsageError(f"there is a project {name} already", hint="See: augtui project ls")
    with open_project(name) as opened:
        if json:
            _print_json({"name": opened.name, "path": str(opened.path)})
        else:
            typer.echo(visible(str(opened.path)))


@app.command("ls")
def ls(json: options.Json = False) -> None:
    """List the projects with what they hold; an asterisk marks the one that commands use by default."""
    from datetime import datetime

    from augtui.domain.visible import visible
    from augtui.settings import load
    from augtui.store.projects import list_projects

    default = load().project
    found = list_projects()
    if not found and not json:
        typer.echo("no projects yet: augtui import FILE, or augtui project new NAME", err=True)
    for file in found:
        held = _held(file.name)
        if json:
            _print_json(
                {"name": file.name, "path": str(file.path), "bytes": file.bytes, "modified": file.modified, **held}
            )
            continue
        changed = datetime.fromtimestamp(file.modified).strftime("%Y-%m-%d %H:%M")
        if "error" in held:
            what = f"cannot be read: {held['error']}"
        else:
            what = f"{held['imported']:>9,} imported {held['generated']:>9,} generated {held['runs']:>4} runs"
        mark = "*" if file.name == default else " "
        typer.echo(f"{mark} {file.name:<24} {_size(file.bytes):>9}  {changed}  {visible(what)}")


@app.command("rm")
def rm(names: Names, yes: Yes = False, quiet: options.Quiet = False) -> None:
    """Remove projects with all they hold; asks first, and needs --yes where nobody can be asked."""
    from augtui.domain.visible import visible
    from augtui.errors import UsageError
    from augtui.store.projects import locate, remove

    paths = [locate(name) for name in names]
    for name, path in zip(names, paths, strict=True):
        if path.exists() and not yes:
            held = _held(name)
            content = (
                held["error"]
                if "error" in held
                else f"{held['imported'] + held['generated']:,} records, {held['runs']} runs"
            )
            if not sys.stdin.isatty():
                raise UsageError(f"{name} would be removed ({content})", hint="Say --yes to remove it.")
            question = f"Remove {visible(name)} ({visible(str(content))}, {_size(path.stat().st_size)}) for good?"
            if not typer.confirm(question, err=True):
                typer.echo("kept", err=True)
                continue
        remove(name)
        if not quiet:
            typer.echo(f"removed {visible(name)}", err=True)


def _held(name: str) -> dict[str, Any]:
    """Return what a project holds, or why it cannot be told."""
    from augtui.errors import AugtuiError
    from augtui.store import browse
    from augtui.store.projects import open_project

    try:
        with open_project(name, create=False) as opened:
            held = browse.holdings(opened)
    except AugtuiError as error:
        return {"error": error.message}
    return {
        "imported": held.imported, "generated": held.generated, "answered": held.answered, "runs": held.runs,
        "languages": held.languages,
    }  # fmt: skip


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _print_json(value: dict[str, Any]) -> None:
    import json as encoder

    typer.echo(encoder.dumps(value, ensure_ascii=True))
