"""`augtui`: the commands, and how errors leave them. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from augtui import __version__
from augtui.cli import expand, paths, refine, runs
from augtui.errors import AugtuiError, ExitCode

app = typer.Typer(
    name="augtui",
    help="Make fine-tuning data with small, specialised language models, on your own machine.",
    no_args_is_help=True,
    rich_markup_mode=None,  # Rich would take longer to load than the help takes to print
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"augtui {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Make fine-tuning data with small, specialised language models, on your own machine."""


app.command("refine")(refine.refine)
app.command("expand")(expand.expand)
app.add_typer(runs.app, name="runs")
app.command("paths")(paths.paths)


def entry() -> None:
    """Run the command line; an error that a user can mend is one or two lines, never a traceback."""
    try:
        app()
    except AugtuiError as error:
        if os.environ.get("AUGTUI_DEBUG"):
            raise
        from augtui.domain.visible import visible

        print(f"augtui: {visible(error.message)}", file=sys.stderr)
        if error.hint:
            print(f"        {visible(error.hint)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader has all it wants (`| head`): that is no error, and Python must not try to flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.DONE)
    except KeyboardInterrupt:
        print("augtui: interrupted", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:
        if os.environ.get("AUGTUI_DEBUG"):
            raise
        print(f"augtui: unexpected {type(error).__name__}: {error}", file=sys.stderr)
        print("        That is a fault of augtui; AUGTUI_DEBUG=1 shows where. Nothing saved is lost.", file=sys.stderr)
        sys.exit(ExitCode.FAILED)


if __name__ == "__main__":
    entry()
