"""`augtui pipeline`: recipes, from an input to a training set."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from augtui.cli import options

app = typer.Typer(
    help="Run recipes: the steps from seeds to a training set.", no_args_is_help=True, rich_markup_mode=None
)

Recipe = Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe's name, or a TOML file.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="STEP.OPTION=VALUE", help="Change an option of a step; may be repeated."),
]
Without = Annotated[list[str] | None, typer.Option(metavar="STEP", help="Leave a step out; may be repeated.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what each step would come to: items, tokens, time, cost.")
]
File = Annotated[
    str | None,
    typer.Option("--file", "-f", help="The input, or - for a pipe. Default: the project's imported records."),
]
Out = Annotated[str | None, typer.Option("--output", "-o", help="Where the recipe's export goes.")]


@app.command("run")
@options.generating
def run(
    flags: dict[str, Any],
    recipe: Recipe,
    file: File = None,
    output: Out = None,
    set: Set = None,
    without: Without = None,
    dry_run: DryRun = False,
    field: options.Field = None,
    format: options.Format = None,
    limit: options.Limit = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Take an input through a recipe's steps. What is done stays done: run the same command again to go on.

    Exit code 4: some lines of the input could not be read.
    """
    from augtui.cli.cookery import cook

    cook(
        recipe, file, output, flags, set or [], without or [],
        dry_run=dry_run, field=field, format=format, limit=limit, json=json, quiet=quiet,
    )  # fmt: skip


@app.command("ls")
def ls(project: options.Project = None, json: options.Json = False) -> None:
    """List the recipes that ship with augtui, and the pipelines of a project, newest first."""
    from augtui.cli.cookery import listed

    listed(project, json=json)


Stage = Annotated[
    str | None, typer.Option(help="What became of each record in this stage, as JSON lines: its name, or its place.")
]


@app.command("show")
def show(recipe: Recipe, stage: Stage = None, project: options.Project = None, json: options.Json = False) -> None:
    """Show a recipe's text, or by its number a pipeline of the project, stage by stage."""
    from augtui.cli.cookery import shown

    shown(recipe, project, stage, json=json)
