"""`augtui balance`: task-aware sampling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from augtui.cli import options

if TYPE_CHECKING:
    from augtui.pipelines.balance import Label, Plan

Size = Annotated[int | None, typer.Option(min=1, help="Rows to end with. Default: as many as there are records.")]
Mix = Annotated[
    str,
    typer.Option(metavar="tapir|uniform|FILE.toml", help="The share of each class; a file says Math = 0.2, and so on."),
]
LabelField = Annotated[
    str | None,
    typer.Option(help="The field that holds a record's class, such as label, which augtui classify writes."),
]
Classifier = Annotated[
    str | None, typer.Option(help="A model that labels, instead of the small classifier: a GGUF file or a server.")
]
Confidence = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="What the classifier is less sure of is one of the Others. Default: 0.25."),
]
Shortage = Annotated[
    str,
    typer.Option(help="What a class with too few rows gets: repeat (copies), less, or expand (see --seeds)."),
]
Seeds = Annotated[
    str | None,
    typer.Option(help="With --shortage expand: write the records to expand here, each with the number that is wanted."),
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed takes the same rows.")]
Dropped = Annotated[str | None, typer.Option(help="Write the records that are left over here.")]


def balance(
    file: options.File,
    size: Size = None,
    mix: Mix = "tapir",
    label_field: LabelField = None,
    classifier: Classifier = None,
    project: options.Project = None,
    confidence: Confidence = None,
    shortage: Shortage = "repeat",
    seeds: Seeds = None,
    seed: Seed = 42,
    output: options.Out = None,
    dropped: Dropped = None,
    field: options.Field = None,
    format: options.Format = None,
    limit: options.Limit = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Give each class of tasks its share of the data, renormalised over the classes that are there.

    The classes come from a field, or from the small classifier that ships with augtui, which needs no model.
    Exit code 4: some lines of the input could not be read.
    """
    from augtui.cli.sifting import Sieve
    from augtui.domain.taxonomy import SHARES
    from augtui.errors import UsageError
    from augtui.pipelines import balance as balancing
    from augtui.pipelines import originals, settings_file

    chosen = next((known for known in balancing.SHORTAGES if known == shortage), None)
    if chosen is None:
        raise UsageError(f"--shortage is one of {', '.join(balancing.SHORTAGES)}, not {shortage!r}")
    if classifier is not None and label_field is not None:
        raise UsageError("--classifier and --label-field are two ways to the same labels")
    if (chosen == "expand") != (seeds is not None):
        raise UsageError("--shortage expand and --seeds FILE go together")
    named = {"tapir": lambda: dict(SHARES), "uniform": balancing.uniform}
    shares = named[mix]() if mix in named else balancing.mix(settings_file.read(mix))

    with Sieve("balance", file, outputs=[output, dropped, seeds], field=field, format=format, limit=limit,
               json=json, quiet=quiet) as sieve:  # fmt: skip
        told: list[str | None] = []
        if classifier is not None:
            from augtui.cli.judging import classified

            told = classified(sieve, classifier, project, quiet=quiet)

        def label(number: int, row: dict[str, Any]) -> object:
            if told:
                return told[number]
            return None if label_field is None else originals.at(row, label_field)

        given = ((record, label(number, row)) for number, (record, row) in enumerate(sieve.rows()))
        labels = list(balancing.labels(given, confidence, sieve.progress("labelling"), shares))
        if label_field is not None and labels and all(one.confidence is not None for one in labels):
            raise UsageError(
                f"no row has a class in its field {label_field!r}",
                hint="name the field that holds it, or leave --label-field out: then the small classifier labels",
            )
        plan = balancing.plan([label.name for label in labels], size or len(labels), shares, chosen, seed)
        common = {"mix": mix, "size": size or len(labels), "seed": seed, "shortage": chosen}
        decisions = list(_decisions(labels, plan))
        sieve.write(decisions, common, output, dropped, times=plan.times)
        if seeds is not None:
            wanted = {expansion.position: expansion.count for expansion in plan.expansions}
            sieve.write_some(wanted, lambda position, count: {**labels[position].as_json(), "expand": count}, seeds)
        sieve.summary.further = _figures(plan, json=json)
        sieve.finish()


def _decisions(labels: list[Label], plan: Plan) -> Iterator[Any]:
    from augtui.pipelines.decisions import Decision

    for position, label in enumerate(labels):
        yield Decision(plan.reason(position), label.as_json())


def _figures(plan: Plan, *, json: bool) -> dict[str, Any]:
    taken = plan.taken
    expanded = dict.fromkeys(plan.present, 0)
    for expansion in plan.expansions:
        expanded[expansion.label] += expansion.count
    if json:
        return {
            "rows": sum(taken.values()),
            "to_expand": sum(expanded.values()),
            "classes": {
                name: {
                    "present": count, "target": plan.targets.get(name, 0),
                    "rows": taken[name], "expand": expanded[name],
                }
                for name, count in plan.present.items()
            },
        }  # fmt: skip
    figures: dict[str, Any] = {"rows": f"{sum(taken.values()):,}"}
    if plan.expansions:
        figures["to expand"] = f"{sum(expanded.values()):,} from {len(plan.expansions):,} records"
    for name, count in plan.present.items():
        more = f" + {expanded[name]:,} to expand" if expanded[name] else ""
        figures[f"  {name}"] = f"{count:,} present, {plan.targets.get(name, 0):,} wanted, {taken[name]:,} taken{more}"
    return figures
