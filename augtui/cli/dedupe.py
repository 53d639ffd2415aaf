"""`augtui dedupe`: of records that say the same, the first one stays."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from augtui.cli import options

if TYPE_CHECKING:
    from augtui.pipelines.decisions import Progress
    from augtui.pipelines.dedupe import Embed

Method = Annotated[
    str,
    typer.Option(
        help="exact (equal but for case and spaces), minhash (shingles in common), rouge-l (words in the same order), "
        "or embedding (meaning, by --model)."
    ),
]
Threshold = Annotated[float, typer.Option(help="Drop what is at least so like an earlier record, 0 to 1.")]
Dropped = Annotated[str | None, typer.Option(help="Write the dropped records here, each with what it is like.")]
On = Annotated[str, typer.Option(help="What is compared: instruction, response, or both.")]


def dedupe(
    file: options.File,
    method: Method = "rouge-l",
    threshold: Threshold = 0.7,
    on: On = "instruction",
    output: options.Out = None,
    dropped: Dropped = None,
    model: options.Model = None,
    slots: options.Slots = None,
    threads: options.Threads = None,
    field: options.Field = None,
    format: options.Format = None,
    limit: options.Limit = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Drop records that are like an earlier one; the first of its kind stays, the order too.

    Exit code 4: some lines of the input could not be read.
    """
    from augtui.cli.sifting import Sieve
    from augtui.errors import UsageError
    from augtui.pipelines import dedupe as deduping
    from augtui.pipelines.decisions import ONS, require_threshold

    chosen = next((known for known in deduping.METHODS if known == method), None)
    if chosen is None:
        raise UsageError(f"there is no method {method!r}", hint="methods: " + ", ".join(deduping.METHODS))
    looked_at = next((known for known in ONS if known == on), None)
    if looked_at is None:
        raise UsageError(f"--on is one of {', '.join(ONS)}, not {on!r}")
    require_threshold(threshold)
    common: dict[str, Any] = {"method": chosen, "threshold": threshold, "on": on}
    with Sieve("dedupe", file, outputs=[output, dropped], field=field, format=format, limit=limit,
               json=json, quiet=quiet) as sieve, ExitStack() as stack:  # fmt: skip
        embed = None
        if chosen == "embedding":
            flags = {"model": model, "slots": slots, "threads": threads}
            embed, common["model"] = embedding(stack, flags, sieve.progress("embedding"))
        decisions = deduping.decide(
            sieve.records(), chosen, threshold, looked_at, embed=embed, progress=sieve.progress("comparing")
        )
        stack.close()

        def shown(detail: Mapping[str, Any]) -> dict[str, Any]:
            return {**detail, "of": sieve.named(detail["of"])} if detail else {}

        common.pop("method")
        common = {"method": method, **common}
        sieve.write(decisions, common, output, dropped, shown=shown)
        sieve.finish()


def embedding(stack: ExitStack, flags: dict[str, Any], progress: Progress) -> tuple[Embed, str]:
    """Return what turns texts into vectors with the model that the flags mean, and the model's name."""
    from augtui.cli import engines
    from augtui.models import catalog
    from augtui.pipelines.embeddings import embedder
    from augtui.settings import load

    settings = load(**flags)
    model = catalog.resolve(settings.model, timeout_s=settings.timeout)
    engines.check(model, settings)
    engine = stack.enter_context(engines.opened(model, settings))
    return embedder(engine, progress), model.name
