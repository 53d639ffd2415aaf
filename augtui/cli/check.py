"""`augtui check`: quality assessment, the cheap rules first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from augtui.cli import options

Rules = Annotated[
    list[str] | None,
    typer.Option(
        help="Rules or groups by name, joined by commas: usual (the default), self-instruct, all, or any of "
        "empty, length, template, refusal, truncation, repetition, language, copy, self-instruct-length, "
        "self-instruct-keywords, self-instruct-program, self-instruct-first."
    ),
]
Without = Annotated[list[str] | None, typer.Option(help="Rules to leave out.")]
Limits = Annotated[
    str | None, typer.Option("--limits", metavar="FILE.toml", help="From where on something is a fault, by name.")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One such limit, as in --set response_max=500.")
]
Dropped = Annotated[str | None, typer.Option(help="Write the dropped records here, each with its faults.")]

Judge = Annotated[
    str | None,
    typer.Option(
        help="A model that scores what passes the rules: correctness, helpfulness, informativeness, factuality."
    ),
]
Least = Annotated[
    str | None, typer.Option(help="Least scores, 1 to 10: 7 for all, or correctness=8,factuality=6. Default: 6.")
]


@options.generating
def check(
    flags: dict[str, Any],
    file: options.File,
    rules: Rules = None,
    without: Without = None,
    limits: Limits = None,
    set: Set = None,
    output: options.Out = None,
    dropped: Dropped = None,
    judge: Judge = None,
    least: Least = None,
    field: options.Field = None,
    format: options.Format = None,
    limit: options.Limit = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Drop records with faults that need no model to be seen, then what a judge scores low, and say what is wrong.

    With a judge, run the same command again to go on after an interruption. Exit code 4: some lines of the input
    could not be read.
    """
    from augtui.cli.sifting import Sieve
    from augtui.errors import UsageError
    from augtui.pipelines import rules as known
    from augtui.pipelines.choices import least_scores

    judge = judge or flags["model"]
    scores = least_scores(least)
    if judge is None and least is not None:
        raise UsageError("--least is for the scores of a --judge")

    left_out = known.named(without or [])
    names = [name for name in known.named(rules or ["usual"]) if name not in left_out]
    if not names:
        raise UsageError("no rule is left to check")
    values = {**_from_file(limits), **dict(_pairs(set or []))}
    wanted = known.limits(values)
    with Sieve("check", file, outputs=[output, dropped], field=field, format=format, limit=limit,
               json=json, quiet=quiet) as sieve:  # fmt: skip
        decisions = list(known.decisions(sieve.records(), names, wanted))
        if judge is not None:
            from augtui.cli.judging import judged

            decisions = judged(sieve, decisions, judge, scores, flags, quiet=quiet)
        faults: dict[str, int] = {}
        for decision in decisions:
            for name in decision.detail.get("faults", {}):
                faults[name] = faults.get(name, 0) + 1
        if json:
            sieve.summary.further = {"faults": faults}
        changed: dict[str, Any] = {"limits": values} if values else {}
        if judge is not None:
            changed["judge"] = judge
        sieve.write(decisions, {"rules": names, **changed}, output, dropped)
        sieve.finish()


def _from_file(name: str | None) -> dict[str, Any]:
    """Return what a TOML file says; raises UsageError."""
    from augtui.pipelines.settings_file import read

    return {} if name is None else read(name)


def _pairs(given: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of NAME=VALUE, values as TOML writes them; raises UsageError."""
    import tomllib

    from augtui.errors import UsageError

    for text in given:
        name, equals, value = text.partition("=")
        try:
            if not equals or "\n" in value:
                raise ValueError("it is not NAME=VALUE")
            yield name.strip(), tomllib.loads(f"value = {value.strip()}")["value"]
        except ValueError:
            raise UsageError(f"--set takes NAME=VALUE with a number, true or false, not {text!r}") from None
