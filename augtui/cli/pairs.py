"""`augtui pairs`: instruction-response pair expansion (IRE)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from augtui.cli import options

Count = Annotated[int, typer.Option("--count", "-n", min=1, max=1_000_000, help="New pairs in all.")]
Examples = Annotated[
    str, typer.Option("-k", help="Pairs that are shown as examples at a time: 1 to 3, such as 2 or 1..3.")
]
Headings = Annotated[
    str,
    typer.Option(help="`colon`: ### Instruction: as in Table 11; `bare`: as Qwen2-7B-Instruct-Response-Exp's card."),
]
Similarity = Annotated[
    float | None, typer.Option(help="Reject what is at least so like an example or any other new pair (ROUGE-L F1).")
]


@options.generating
def pairs(
    flags: dict[str, Any],
    file: options.File,
    count: Count = 100,
    examples: Examples = "1..3",
    output: options.Out = None,
    headings: Headings = "colon",
    similarity: Similarity = None,
    field: options.Field = None,
    format: options.Format = None,
    limit: options.Limit = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make new instruction-response pairs out of a file of pairs, a few of which are shown as examples each time.

    Run the same command again to go on after an interruption. Exit code 4: some pairs failed.
    """
    from augtui.cli.augment import augment
    from augtui.pipelines.choices import context_sizes, one_of

    flags["similarity"] = similarity
    variant = one_of("headings", headings, ("colon", "bare"))
    augment(
        "pairs", file, output, flags,
        samples=count, options={"k": context_sizes(examples)}, variant="bare" if variant == "bare" else "",
        field=field, format=format, limit=limit, json=json, quiet=quiet,
    )  # fmt: skip
