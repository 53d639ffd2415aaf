"""From records to training sets for augmentation models, on the command line."""

from __future__ import annotations

import json as encoder
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from augtui.domain.records import Quarantined, Record
from augtui.domain.visible import visible
from augtui.errors import InputError
from augtui.pipelines import export, source
from augtui.pipelines.choices import one_of
from augtui.pipelines.planning import Given, Input
from augtui.settings import load
from augtui.store.projects import open_project


def make_trainset(
    output: str,
    kinds: Sequence[str],
    files: Sequence[str] | None,
    project_name: str | None,
    *,
    validation: float,
    shuffle: float,
    seed: int,
    json: bool,
    quiet: bool,
) -> None:
    """Write training sets from files or a project, and tell what they came to."""
    from augtui.pipelines.trainset import sources, writing
    from augtui.pipelines.trainset.examples import KINDS

    for kind in kinds:
        one_of("--kind", kind, KINDS)
    wanted = [kind for kind in KINDS if kind in kinds]
    targets = {kind: _target(output, kind, len(wanted)) for kind in wanted}
    for path in targets.values():
        export.require_writable(str(path))
    aside: list[Quarantined] = []
    with ExitStack() as stack:
        if files:
            supplies = [Input(stack.enter_context(source.opened(name))) for name in files]
            outcomes = (outcome for supply in supplies for outcome in supply.given())
            made = sources.of_file(_records(outcomes, aside))
        else:
            project = stack.enter_context(open_project(load(project=project_name).project, create=False))
            made = sources.of_project(project)
        report = writing.write(made, targets, validation=validation, seed=seed, shuffle=shuffle)
    if json:
        print(encoder.dumps(report.as_json()))
    elif not quiet:
        for kind in wanted:
            counts = ", ".join(f"{name} {count:,}" for name, count in report.table_2[kind].items())
            held = f", {report.validation[kind]:,} of them for validation" if validation else ""
            where = visible(report.paths[kind])
            print(
                f"augtui trainset: D_{kind.upper()}: {report.examples[kind]:,} examples ({counts}){held}: {where}",
                file=sys.stderr,
            )
        for reason, count in Counter(line.reason for line in aside).most_common():
            print(f"augtui trainset: {count:,} lines set aside: {reason}", file=sys.stderr)
    if not any(report.examples.values()):
        raise InputError(
            "nothing was made that a model could be trained on", hint="First: augtui expand, refine or pairs."
        )


def _records(outcomes: Iterable[Given | Quarantined], aside: list[Quarantined]) -> Iterator[Record]:
    """Yield the records of an input; what is none goes aside."""
    for outcome in outcomes:
        if isinstance(outcome, Quarantined):
            aside.append(outcome)
        else:
            yield outcome[0]


def _target(output: str, kind: str, kinds: int) -> Path:
    path = Path(output)
    return path if kinds == 1 else path.with_name(f"{path.stem}.{kind}.jsonl")
