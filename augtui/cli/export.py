"""`augtui export`: training data in the format of the tool that is to read it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from augtui.cli import options
from augtui.cli.records import Language, Run, Search, State, Task

if TYPE_CHECKING:
    from augtui.pipelines.exports.writer import Report

File = Annotated[
    str | None, typer.Option("--file", "-f", help="Export this file (or - for a pipe) instead of a project's records.")
]
As = Annotated[
    str,
    typer.Option(
        "--as",
        help="alpaca, sharegpt, messages, trl-sft, trl-sft-chat, trl-dpo, trl-dpo-chat, jsonl, csv, parquet,"
        " or hf-dataset (a folder with a card).",
    ),
]
Out = Annotated[
    str | None, typer.Option("--output", "-o", help="The file or folder, written whole or not at all. Default: stdout.")
]
Validation = Annotated[
    float, typer.Option(min=0, max=0.5, help="Share for a validation set; relatives stay on one side.")
]
Seed = Annotated[int, typer.Option(min=0, help="Decides which families the validation set gets.")]
Pairs = Annotated[
    bool,
    typer.Option(
        "--pairs",
        help="Of a project, pairs of a better and a worse response, as trl-dpo takes them anyway: those of imported"
        " records, accepted against rejected tries, people's edits against both.",
    ),
]
Title = Annotated[str | None, typer.Option(help="The data set's name on its card.")]
Licence = Annotated[str | None, typer.Option("--license", help="The licence of the whole, for the card.")]
Layout = Annotated[str | None, typer.Option("--layout", help="The file's layout: what `augtui import` takes as --as.")]


def export(
    shape: As,
    file: File = None,
    output: Out = None,
    project: options.Project = None,
    state: State = None,
    task: Task = None,
    language: Language = None,
    search: Search = None,
    run: Run = None,
    pairs: Pairs = False,
    validation: Validation = 0.0,
    seed: Seed = 42,
    title: Title = None,
    license: Licence = None,
    field: options.Field = None,
    format: options.Format = None,
    layout: Layout = None,
    limit: options.Limit = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write training data for TRL, LLaMA-Factory, OpenAI and others, from a project's records or from a file.

    Rows that a format cannot hold, such as those without a response, are left out and counted.
    """
    from contextlib import ExitStack

    from augtui.errors import ExitCode, OutputError, UsageError
    from augtui.pipelines.exports import formats, rows, writer
    from augtui.pipelines.exports.card import CardFacts
    from augtui.settings import load
    from augtui.store import browse
    from augtui.store.projects import open_project

    made = formats.named(shape)
    if file is not None and project is not None:
        raise UsageError("--file and --project do not go together")
    if output is None and (made.container in ("parquet", "folder") or validation):
        raise UsageError("this needs a name to write to", hint="-o NAME")
    with ExitStack() as stack:
        facts = CardFacts(title or "Training data", license)
        found: Iterator[Any]
        if file is not None:
            if any(one is not None for one in (state, task, language, search, run)) or pairs:
                raise UsageError("filters and --pairs are for a project's records, not for --file")
            found = _of_file(stack, file, field=field, format=format, shape=layout)
        else:
            opened = stack.enter_context(open_project(load(project=project).project, create=False))
            filters = browse.Filters(state, task, language, search, None, run)
            licences = {rows.source_label(name): licence for name, licence in browse.licences(opened).items()}
            facts = CardFacts(title or opened.name, license, licences)
            wants_pairs = pairs or shape in formats.PREFERENCES
            found = rows.pairs_of_project(opened, filters) if wants_pairs else rows.of_project(opened, filters)
        if limit is not None:
            from itertools import islice

            found = islice(found, limit)
        try:
            target = output or "/dev/stdout"
            if output is None and sys.stdout.isatty():
                # A terminal would obey what texts say: they wait in a file, and come out harmless.
                target = str(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="augtui-"))) / "rows")
            report = writer.write(found, shape, target, validation=validation, seed=seed, facts=facts)
            if target not in (output, "/dev/stdout"):
                _print_harmless(Path(target), is_json=made.container != "csv")
        except OutputError as error:
            if output is None and isinstance(error.__context__, BrokenPipeError):
                raise BrokenPipeError from None  # `| head` has all it wants
            raise
    _tell(report, output, json=json, quiet=quiet)
    raise typer.Exit(ExitCode.PARTIAL if report.quarantined else ExitCode.DONE)


def _print_harmless(path: Path, *, is_json: bool) -> None:
    """Print a file on a terminal: JSON in ASCII, which is the same JSON, other text with its controls made visible."""
    import json as encoder
    import re

    from augtui.domain.visible import visible

    with path.open(encoding="utf-8", newline="") as file:
        for line in file:
            if is_json:
                print(re.sub(r"[^\n -~]", lambda match: encoder.dumps(match[0])[1:-1], line), end="")
            else:
                print(visible(line.rstrip("\r\n")))


def _of_file(stack: Any, file: str, **reading: Any) -> Iterator[Any]:
    from augtui.pipelines import source
    from augtui.pipelines.exports import rows

    opened = stack.enter_context(source.opened(file))
    return rows.of_path(opened.path, name=opened.name, **reading)


def _tell(report: Report, output: str | None, *, json: bool, quiet: bool) -> None:
    from augtui.domain.visible import visible

    if json and output is not None:
        import json as encoder

        typer.echo(encoder.dumps(report.as_json()))
    if quiet:
        return
    for split, count in report.written.items():
        where = visible(report.paths.get(split, "")) if output is not None else "stdout"
        print(f"{count:,} rows{'' if len(report.written) == 1 else f' ({split})'}: {where or 'none'}", file=sys.stderr)
    for reasons, what in ((report.left_out, "left out"), (report.quarantined, "lines that are no rows")):
        for reason, count in reasons.most_common():
            print(f"{count:,} {what}: {visible(reason)}", file=sys.stderr)
    if report.left_out["no response"] and not report.rows:
        print("nothing has a response yet: augtui respond makes them", file=sys.stderr)
