"""`augtui clusters`: the map of a project's records, and the clusters that one can look into, prune or expand."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from augtui.cli import options

if TYPE_CHECKING:
    from augtui.pipelines.mapping.reading import Embed, Options
    from augtui.store.maps import State
    from augtui.store.projects import Project

app = typer.Typer(help="List the clusters of a project's records.", invoke_without_command=True, rich_markup_mode=None)

Path = Annotated[str, typer.Argument(help="A cluster's number: 3, or 3.1 for one inside of it.")]
Order = Annotated[
    str, typer.Option(help="size, sparse (fewest like each other first), acceptance (worst first), or duplicates.")
]
On = Annotated[str, typer.Option(help="What is compared: instruction, response, or both.")]
Layout = Annotated[str, typer.Option(help="How the map is drawn: tsne, or pca (at once, and coarse).")]
Count = Annotated[int | None, typer.Option("--clusters", min=1, max=200, help="Clusters. Default: by the records.")]
Seed = Annotated[int, typer.Option(help="The same seed and records are the same map.")]
Renew = Annotated[bool, typer.Option("--renew", help="Make it anew, even where later records could be put into it.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.callback()
def ls(
    context: typer.Context,
    project: options.Project = None,
    order: Order = "size",
    all_levels: Annotated[bool, typer.Option("--all", help="The clusters inside of clusters, too.")] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """List the clusters of a project's records; the map is made first where there is none."""
    if context.invoked_subcommand is not None:
        context.obj = project
        return
    from augtui.cli import clusters_display
    from augtui.metrics import clusters as figures
    from augtui.settings import load
    from augtui.store.projects import open_project

    with open_project(load(project=project).project, create=False) as opened:
        state = known_state(opened, quiet)
        listed = figures.ordered(figures.figures(opened), order, all_levels=all_levels)
        clusters_display.show(opened, state, listed, json=json)


@app.command("map")
def make(
    context: typer.Context,
    project: options.Project = None,
    on: On = "instruction",
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Compare by this model's embeddings. Default: by the words.")
    ] = None,
    layout: Layout = "tsne",
    clusters: Count = None,
    seed: Seed = 42,
    renew: Renew = False,
    slots: options.Slots = None,
    threads: options.Threads = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make the map: records that are alike stand together. It is kept beside the project, and made once.

    Later records are put into the map that is there while they are few; --renew makes it anew.
    """
    import sys

    from augtui.errors import UsageError
    from augtui.pipelines.decisions import ONS
    from augtui.pipelines.mapping.layout import METHODS
    from augtui.pipelines.mapping.reading import Options
    from augtui.settings import load
    from augtui.store.projects import open_project

    looked_at = next((known for known in ONS if known == on), None)
    method = next((known for known in METHODS if known == layout), None)
    if looked_at is None:
        raise UsageError(f"--on is one of {', '.join(ONS)}, not {on!r}")
    if method is None:
        raise UsageError(f"--layout is one of {', '.join(METHODS)}, not {layout!r}")
    with open_project(load(project=project or context.obj).project, create=False) as opened:
        flags = {"model": model, "slots": slots, "threads": threads}
        state = _made(opened, Options(looked_at, method, clusters, seed), flags, renew=renew, quiet=quiet)
    if json:
        import json as encoder
        from dataclasses import asdict

        typer.echo(encoder.dumps(asdict(state), ensure_ascii=True))
    elif not quiet:
        print(f"augtui clusters: a map of {state.records:,} records ({state.seconds:,.1f} s)", file=sys.stderr)


@app.command("show")
def show(
    context: typer.Context,
    cluster: Path,
    project: options.Project = None,
    limit: Annotated[int, typer.Option(min=1, help="Records to show, the most central first.")] = 10,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Write its records, but for rejected ones, as JSONL.")
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show a cluster: its figures, the clusters inside, its most central records; or write its records to a file."""
    from augtui.cli import clusters_display
    from augtui.settings import load
    from augtui.store import maps
    from augtui.store.projects import open_project

    with open_project(load(project=project or context.obj).project, create=False) as opened:
        known_state(opened, quiet)
        found = maps.find(opened, cluster)
        if output is not None:
            clusters_display.write(opened, found, output, quiet=quiet)
        else:
            clusters_display.show_one(opened, found, limit, json=json)


@app.command("prune")
def prune(
    context: typer.Context,
    cluster: Path,
    project: options.Project = None,
    keep: Annotated[int | None, typer.Option(min=0, help="Reject all but its KEEP most central records.")] = None,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Reject what nearly repeats an earlier record of the cluster.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why, in your words.")] = None,
    yes: Yes = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Reject records of a cluster: exports leave them out. Nothing is deleted; `augtui clusters undo` takes it back.

    Without --keep or --duplicates: all of its records.
    """
    import sys

    from augtui.errors import UsageError
    from augtui.metrics import clusters as figures
    from augtui.settings import load
    from augtui.store import maps, pruning
    from augtui.store.projects import open_project
    from augtui.store.reviewers import Reviewer

    if keep is not None and duplicates:
        raise UsageError("--keep and --duplicates exclude each other", hint="One after the other.")
    settings = load(project=project or context.obj)
    with open_project(settings.project, create=False) as opened:
        known_state(opened, quiet)
        found = maps.find(opened, cluster)
        wanted = figures.prunable(opened, found, keep=keep, duplicates=duplicates)
        said = reason or figures.why(found, keep=keep, duplicates=duplicates)
        if wanted and not yes:
            if not (sys.stdin.isatty() and sys.stderr.isatty()):
                raise UsageError(f"{len(wanted):,} records would be rejected", hint="Say so with --yes.")
            typer.confirm(f"Reject {len(wanted):,} of {found.size:,} records?", abort=True, err=True)
        count = pruning.prune(opened, wanted, said, Reviewer.here(settings.reviewer)) if wanted else 0
    if json:
        import json as encoder

        typer.echo(encoder.dumps({"cluster": found.path, "rejected": count, "reason": said}, ensure_ascii=True))
    elif not quiet:
        print(f"augtui clusters: {count:,} records rejected; augtui clusters undo takes it back", file=sys.stderr)


@app.command("undo")
def undo(
    context: typer.Context,
    project: options.Project = None,
    anybody: Annotated[bool, typer.Option("--anybody", help="Another person's as well.")] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Take your newest pruning back; once more the one before."""
    import sys

    from augtui.domain.visible import visible
    from augtui.settings import load
    from augtui.store import pruning
    from augtui.store.projects import open_project
    from augtui.store.reviewers import Reviewer

    settings = load(project=project or context.obj)
    by = None if anybody else Reviewer.here(settings.reviewer)
    with open_project(settings.project, create=False) as opened:
        taken = pruning.undo(opened, by)
        other = pruning.newest(opened) if taken is None else None
    count, reason = (0, "") if taken is None else (taken.count, taken.reason)
    if json:
        import json as encoder

        typer.echo(encoder.dumps({"taken_back": count, "reason": reason}, ensure_ascii=True))
    elif not quiet:
        said = "no pruning to take back"
        if taken is not None:
            said = f"{count:,} verdicts taken back ({visible(reason)})"
        elif other is not None:
            said = f"no pruning of yours to take back; the newest is of {visible(str(other.reviewer))} (--anybody)"
        print(f"augtui clusters: {said}", file=sys.stderr)


def known_state(project: Project, quiet: bool) -> State:
    """Return the map's state, made first where there is none; tell of records that are not in it."""
    import sys

    from augtui.pipelines.mapping.reading import Options
    from augtui.store import maps

    state = maps.state(project)
    if state is None:
        return _made(project, Options(), {}, renew=False, quiet=quiet)
    later = maps.fresh(project, state)
    if later and not quiet:
        print(f"augtui clusters: {later:,} later records are not in the map: augtui clusters map", file=sys.stderr)
    return state


def _made(project: Project, wanted: Options, flags: dict[str, Any], *, renew: bool, quiet: bool) -> State:
    from dataclasses import replace

    from augtui.cli import progress, signals
    from augtui.pipelines.mapping import build

    with ExitStack() as stack:
        stack.enter_context(signals.ending())
        tell = stack.enter_context(progress.shown("clusters", quiet=quiet))
        embed: Embed | None = None
        if flags.get("model") is not None:
            from augtui.cli.dedupe import embedding

            embed, name = embedding(stack, flags, lambda done, total: tell("embedding", done, total))
            wanted = replace(wanted, model=name)
        state, _ = build.make(project, wanted, tell, embed, renew=renew)
    return state
