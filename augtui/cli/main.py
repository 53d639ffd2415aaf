"""`augtui`: the commands, and how errors leave them. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from augtui import __version__
from augtui.cli import (
    balance,
    bench,
    check,
    classify,
    clusters,
    compare,
    decontaminate,
    dedupe,
    expand,
    export,
    importing,
    models,
    pairs,
    paths,
    pipeline,
    plot,
    project,
    pull,
    quantize,
    records,
    refine,
    respond,
    runs,
    show,
    trainset,
    translate,
    window,
)
from augtui.cli.guarding import guarded
from augtui.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from augtui.tui.catalogue import Command


class _Commands(TyperGroup):
    """The commands. Typer would make a reader that leaves an error, and say nothing of an interruption."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the words: a run remembers the command that began it."""
        ctx.meta["augtui.words"] = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        from augtui.store import commanded

        try:
            with commanded.saying(ctx.meta["augtui.words"]):
                return super().invoke(ctx)
        except BrokenPipeError:
            # The reader has all it wants (`| head`): that is no error, and Python must not try to flush again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(ExitCode.DONE) from None
        except KeyboardInterrupt:
            print("augtui: interrupted", file=sys.stderr)
            raise typer.Exit(ExitCode.INTERRUPTED) from None


app = typer.Typer(
    name="augtui",
    cls=_Commands,
    help="Make fine-tuning data with small, specialised language models, on your own machine.",
    invoke_without_command=True,
    rich_markup_mode=None,  # Rich would take longer to load than the help takes to print
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"augtui {__version__}")
        raise typer.Exit


def _described() -> tuple[Command, ...]:
    from augtui.cli import catalogue

    return catalogue.commands(app)


def _offline(wanted: bool) -> None:
    if wanted:
        from augtui.models import offline

        offline.engage()


@app.callback()
def _root(
    ctx: typer.Context,
    project: Annotated[str | None, typer.Option("--project", "-p", help="The project that the app opens.")] = None,
    screen: Annotated[
        str | None, typer.Option(help="The app's first screen: home, batch, review, models, plots or training.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", callback=_offline, help="Reach for nothing beyond this machine.")
    ] = False,
) -> None:
    """Make fine-tuning data with small, specialised language models, on your own machine.

    Without a command: the terminal app, on a terminal.
    """
    if ctx.invoked_subcommand is not None:
        if project is not None or screen is not None:
            raise UsageError(
                "--project and --screen before a command are for the app", hint="Give --project after the command."
            )
        return
    if window.has_terminal():
        raise typer.Exit(window.open_app(_described, project, screen))
    if project is not None or screen is not None:
        what = " that can place text; this one is TERM=dumb" if os.environ.get("TERM") == "dumb" else ""
        raise UsageError(f"the app needs a terminal{what}", hint="For scripts there are the commands: augtui --help")
    typer.echo(ctx.get_help())


app.command("import")(importing.import_)
app.command("export")(export.export)
app.add_typer(project.app, name="project")
app.add_typer(records.app, name="records")
app.command("refine")(refine.refine)
app.command("expand")(expand.expand)
app.command("respond")(respond.respond)
app.command("pairs")(pairs.pairs)
app.command("translate")(translate.translate)
app.command("classify")(classify.classify)
app.command("check")(check.check)
app.command("balance")(balance.balance)
app.command("dedupe")(dedupe.dedupe)
app.command("decontaminate")(decontaminate.decontaminate)
app.add_typer(pipeline.app, name="pipeline")
app.command("trainset")(trainset.trainset)
app.add_typer(runs.app, name="runs")
app.add_typer(quantize.app, name="quantize")
app.command("compare")(compare.compare)
app.command("bench", cls=bench.Command)(bench.bench)
app.command("pull")(pull.pull)
app.command("ls")(models.ls)
app.command("show")(show.show)
app.command("rm")(models.rm)
app.command("verify")(models.verify)
app.command("ps")(models.ps)
app.add_typer(clusters.app, name="clusters")
app.command("plot")(plot.plot)
app.command("paths")(paths.paths)


def entry() -> None:
    """Run the command line; an error that a user can mend is one or two lines, never a traceback."""
    guarded(app)


if __name__ == "__main__":
    entry()
