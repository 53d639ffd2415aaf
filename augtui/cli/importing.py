"""`augtui import`: data sets into a project."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from augtui.cli import options
from augtui.cli.transfers import display_for
from augtui.errors import ExitCode

if TYPE_CHECKING:
    from augtui.pipelines.import_rows import Reading
    from augtui.pipelines.imports import Summary
    from augtui.store.projects import Project

EVERY_S = 0.5
PLAIN_EVERY_S = 5.0

Files = Annotated[
    list[str],
    typer.Argument(
        help="Files (JSONL, JSON, CSV/TSV, Parquet, text; also .gz, .xz, .bz2, .zst), - for a pipe,"
        " or hf:OWNER/NAME[:CONFIG][/SPLIT] for a data set of the Hugging Face Hub."
    ),
]
As = Annotated[
    str | None,
    typer.Option(
        "--as",
        help="The layout, if it is not the usual: openhermes, sharegpt, messages, alpaca, belle, dolly,"
        " self-instruct, qa, gsm8k, dpo, oasst, lccc, snips, text.",
    ),
]
Turns = Annotated[
    str, typer.Option(help="Of a conversation: first (pair of turns), last (with those before it as history), all.")
]
ResponseField = Annotated[
    str | None, typer.Option("--response", help="The field that holds the response, if it has no usual name.")
]
Encoding = Annotated[str | None, typer.Option(help="The text's encoding, such as latin-1 or gb18030. Default: UTF-8.")]
Licence = Annotated[str | None, typer.Option("--license", help="The data's licence, for the card of an export.")]


def import_(
    files: Files,
    project: options.Project = None,
    shape: As = None,
    turns: Turns = "first",
    field: options.Field = None,
    response: ResponseField = None,
    format: options.Format = None,
    encoding: Encoding = None,
    limit: options.Limit = None,
    license: Licence = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Put data sets into a project: records with their sources, languages, and the lines that are none.

    The same file again adds nothing; after an interruption the same command goes on. Exit code 4: some lines were
    set aside.
    """
    from augtui.errors import UsageError
    from augtui.pipelines import hub, shapes, source
    from augtui.pipelines.import_rows import Reading
    from augtui.settings import load
    from augtui.store.projects import open_project

    if turns not in ("first", "last", "all"):
        raise UsageError(f"--turns {turns!r} is not known", hint="first, last or all")
    shapes.named(shape)
    choice = cast(Literal["first", "last", "all"], turns)
    reading = Reading(field, format, shape, choice, encoding, limit, response)
    aside = 0
    settings = load(project=project)
    for name in files:
        if not hub.is_hub_name(name):
            source.require_readable(name)
    with open_project(settings.project) as opened:
        for name in files:
            for summary in _imported(opened, name, reading, license, quiet, settings.stall):
                aside += summary.quarantined
                _tell(summary, json=json, quiet=quiet)
    raise typer.Exit(ExitCode.PARTIAL if aside else ExitCode.DONE)


def _imported(
    project: Project, name: str, reading: Reading, licence: str | None, quiet: bool, stall_s: float
) -> Iterator[Summary]:
    from augtui.pipelines import hub, imports, source

    see = (lambda _: None) if quiet else _Progress()
    if not hub.is_hub_name(name):
        with source.opened(name) as opened:
            yield imports.import_source(project, opened, reading, licence=licence, see=see)
        return
    try:
        with display_for("import", quiet=quiet) as display:
            files = hub.files(name, say=display.say, see=display.see, stall_s=stall_s)
    except KeyboardInterrupt:
        _say("augtui import: stopped; what came is kept, and the same command goes on from there")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    for file in files:
        with source.opened(str(file.path)) as opened:
            named = source.Source(file.name, opened.path, opened.sha256)
            yield imports.import_source(project, named, reading, licence=licence or file.licence, see=see)


class _Progress:
    """Says now and then how far an import has come: on a terminal on one line, elsewhere a line each."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._said = time.monotonic()

    def __call__(self, summary: Summary) -> None:
        now = time.monotonic()
        if now - self._said < (EVERY_S if self._terminal else PLAIN_EVERY_S):
            return
        self._said = now
        speed = (summary.records + summary.quarantined) / max(summary.seconds, 1e-9)
        text = f"{summary.records:,} records · {speed:,.0f} lines/s"
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
        else:
            _say(text)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _tell(summary: Summary, *, json: bool, quiet: bool) -> None:
    from augtui.domain.visible import excerpt, visible

    if json:
        import json as encoder

        # ASCII only: what a file's name says must not reach a terminal as control characters.
        typer.echo(encoder.dumps(summary.as_json()))
    if quiet:
        return
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    name = visible(summary.source)
    if summary.known:
        _say(f"{name} was imported before: {summary.records:,} records (run {summary.run})")
        return
    told = f"{summary.records:,} records from {name}, {summary.added:,} of them new, in {summary.seconds:.1f} s"
    _say(told)
    if summary.languages:
        _say("languages: " + " · ".join(f"{name} {count:,}" for name, count in summary.languages.most_common(8)))
    if summary.quarantined:
        reasons = " · ".join(f"{visible(reason)} {count:,}" for reason, count in summary.reasons.most_common(8))
        _say(f"{summary.quarantined:,} lines set aside" + (f": {reasons}" if reasons else ""))
        for line in summary.examples:
            _say(f"  line {line.line}: {visible(line.reason)}: {excerpt(line.excerpt, 80)}")
        if summary.reasons["not UTF-8"]:
            _say("  name the text's encoding, if it has another: --encoding latin-1")
        _say(f"all of them: augtui runs show {summary.run} --json")
