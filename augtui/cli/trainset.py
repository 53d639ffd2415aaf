"""`augtui trainset`: training sets for augmentation models."""

from __future__ import annotations

from typing import Annotated

import typer

from augtui.cli import options

File = Annotated[
    list[str] | None,
    typer.Option(
        "--file", "-f", help="What augtui expand, refine, pairs wrote; may be repeated. Default: the project."
    ),
]
Kind = Annotated[
    list[str] | None, typer.Option("--kind", help="ie (Table 10), ir (Table 9), ire (Table 11); may be repeated.")
]
Out = Annotated[str, typer.Option("--output", "-o", help="The file; for several kinds OUT.ie.jsonl, OUT.ir.jsonl …")]
Validation = Annotated[float, typer.Option(min=0, max=0.5, help="Share of families in OUT.validation.jsonl.")]
Shuffle = Annotated[float, typer.Option(min=0, max=1, help="Share of pair outputs that change places (paper: 0.15).")]
Seed = Annotated[int, typer.Option(help="The same seed makes the same set.")]


def trainset(
    output: Out,
    kind: Kind = None,
    file: File = None,
    validation: Validation = 0.0,
    shuffle: Shuffle = 0.15,
    seed: Seed = 42,
    project: options.Project = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write what was expanded, refined and paired as chats to train augmentation models on (section 3.1.3).

    Relatives never stand on both sides of the split. The files are those that `python -m training.sft` reads.
    """
    from augtui.cli.training_sets import make_trainset

    make_trainset(
        output, kind or ["ie", "ir", "ire"], file, project,
        validation=validation, shuffle=shuffle, seed=seed, json=json, quiet=quiet,
    )  # fmt: skip
