"""`augtui decontaminate`: keep what a test set asks out of the training data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Annotated, Any

import typer

from augtui.cli import options

Against = Annotated[
    list[str],
    typer.Option("--against", "-a", help="A test set, in any format; give the option again for each further one."),
]
Clean = Annotated[
    str | None, typer.Option("--output", "-o", help="Write the clean rows to this file. Default: stdout.")
]
Size = Annotated[
    int, typer.Option("--ngram", "-n", min=1, help="Words in a row, or Chinese characters, that must not be shared.")
]
Near = Annotated[str, typer.Option(help="How nearly equal texts are found: rouge-l, minhash or off.")]
Threshold = Annotated[float, typer.Option(help="From which similarity on they are nearly equal, 0 to 1.")]
Common = Annotated[
    int, typer.Option(min=1, help="Words in a row that more than so many test rows share are their template.")
]
On = Annotated[str, typer.Option(help="Which text of a record is looked at: instruction, response, or both.")]
Report = Annotated[str | None, typer.Option(help="Write a line for each contaminated record: which test row, and how.")]
TestField = Annotated[
    str | None, typer.Option(help="The field that holds a test row's prompt, if it has no usual name.")
]


def _require_apart(output: str | None, read: Sequence[str], refusal: str) -> None:
    from pathlib import Path

    from augtui.errors import UsageError

    if output is not None and Path(output).resolve() in {Path(name).resolve() for name in read if name != "-"}:
        raise UsageError(refusal, hint="give it a name of its own")


def decontaminate(
    file: options.File,
    against: Against,
    ngram: Size = 13,
    near: Near = "rouge-l",
    threshold: Threshold = 0.8,
    common: Common = 10,
    on: On = "both",
    output: Clean = None,
    report: Report = None,
    field: options.Field = None,
    against_field: TestField = None,
    format: options.Format = None,
    limit: options.Limit = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Drop records that share a run of words with a test set, or are nearly the same as one of its rows.

    Exit code 4: some lines of the input or of a test set could not be read.
    """
    from augtui.cli.sifting import Sieve
    from augtui.domain.records import Quarantined, Record
    from augtui.errors import UsageError
    from augtui.pipelines import originals, source
    from augtui.pipelines.decisions import ONS, require_threshold
    from augtui.pipelines.decontaminate import NEARS, Examination

    chosen = next((known for known in NEARS if known == near), None)
    if chosen is None:
        raise UsageError(f"there is no near match {near!r}", hint="near matches: " + ", ".join(NEARS))
    looked_at = next((known for known in ONS if known == on), None)
    if looked_at is None:
        raise UsageError(f"--on is one of {', '.join(ONS)}, not {on!r}")
    require_threshold(threshold)
    if len([name for name in (file, *against) if name == source.STDIN]) > 1:
        raise UsageError("standard input can be read but once: one of --file and --against may be -")
    _require_apart(output, against, "--output would replace a test set")
    _require_apart(report, [file, *against], "--report would replace what is read")

    with Sieve("decontaminate", file, outputs=[output, report], field=field, format=format, limit=limit,
               json=json, quiet=quiet) as sieve, ExitStack() as stack:  # fmt: skip
        places: list[tuple[str, int | None, str | int | None]] = []
        aside = 0

        def tests() -> Iterator[Record]:
            nonlocal aside
            for name in against:
                opened = stack.enter_context(source.opened(name))
                for record, _ in originals.records(opened, field=against_field):
                    if isinstance(record, Quarantined):
                        aside += 1
                        continue
                    places.append((name, record.line, record.source_id))
                    yield record

        exam = Examination(tests(), size=ngram, near=chosen, threshold=threshold, common=common)
        decisions = exam.decide(sieve.records(), looked_at, sieve.progress("comparing"))

        def shown(detail: Mapping[str, Any]) -> Mapping[str, Any]:
            return {**detail, "matches": [_named(match, places) for match in detail["matches"]]} if detail else {}

        sieve.summary.further = {"tests": exam.tests, "test lines set aside": aside}
        if exam.templates:
            sieve.summary.further["runs of words taken for the tests' template"] = exam.templates
        settings = {"ngram": ngram, "near": near, "threshold": threshold, "on": on, "against": against}
        sieve.write(decisions, settings, output, report, shown=shown, report=True)
        sieve.finish(partial=aside > 0)


def _named(match: Mapping[str, Any], places: list[tuple[str, int | None, str | int | None]]) -> dict[str, Any]:
    """Return a match with its test row as a file, a line, and an id if it has one."""
    name, line, given = places[match["test"]]
    test = {"file": name, "line": line, **({} if given is None else {"id": given})}
    return {**match, "test": test}
