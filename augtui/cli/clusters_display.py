"""What `augtui clusters` prints."""

from __future__ import annotations

import json as encoder
import sys
from collections.abc import Sequence
from typing import Any

import typer

from augtui.domain.visible import excerpt
from augtui.metrics import clusters as figures
from augtui.metrics.centrality import central
from augtui.metrics.clusters import Figures
from augtui.store import db, maps, pruning
from augtui.store.maps import Cluster, State
from augtui.store.projects import Project


def show(project: Project, state: State, listed: Sequence[Figures], *, json: bool) -> None:
    """Print clusters as a table, or as JSON lines."""
    if json:
        for one in listed:
            _print_json(_as_json(one))
        return
    if not listed:
        typer.echo("no records", err=True)
        return
    typer.echo(
        f"{'cluster':<8} {'records':>8} {'share':>6} {'dense':>5} {'accept':>6} {'words':>6} {'repeat':>6}  name"
    )
    for one in listed:
        typer.echo(line(one))
    shown = f"{state.records:,} records, alike by {state.likeness}"
    typer.echo(f"{shown}; made {state.made_at[:16].replace('T', ' ')} UTC", err=True)


def line(one: Figures) -> str:
    """Return a cluster as a line of the table."""
    cluster = one.cluster
    accepted = "–" if one.acceptance is None else f"{100 * one.acceptance:.0f}%"
    gone = f"  ({one.rejected:,} rejected)" if one.rejected else ""
    return (
        f"{cluster.path:<8} {cluster.size:>8,} {100 * one.share:>5.1f}% {cluster.density:>5.2f} {accepted:>6}"
        f" {cluster.length:>6.1f} {100 * one.duplicates:>5.1f}%  {excerpt(cluster.name, 60)}{gone}"
    )


def show_one(project: Project, cluster: Cluster, limit: int, *, json: bool) -> None:
    """Print one cluster, those inside, and its most central records."""
    listed = figures.figures(project)
    own = next(one for one in listed if one.cluster.number == cluster.number)
    inside = [one for one in listed if one.cluster.parent == cluster.number]
    records = _records(project, central(project, cluster)[:limit])
    if json:
        _print_json({**_as_json(own), "inside": [_as_json(one) for one in inside], "records": records})
        return
    typer.echo(line(own))
    for one in inside:
        typer.echo(line(one))
    typer.echo("\nmost central")
    for record in records:
        mark = "✗" if record["rejected"] else " "
        typer.echo(f"{record['number']:>9} {mark} {excerpt(record['instruction'], 100)}")


def write(project: Project, cluster: Cluster, output: str, *, quiet: bool) -> None:
    """Write a cluster's records that nobody rejected as JSON lines, in their order."""
    from augtui.pipelines.export import write_jsonl

    gone = pruning.rejected(project)
    numbers = [number for number, _, _ in maps.members(project, cluster) if number not in gone]
    rows = (row for start in range(0, len(numbers), 500) for row in _rows(project, numbers[start : start + 500]))
    count = write_jsonl(rows, output)
    if not quiet:
        print(f"augtui clusters: {count:,} records written to {excerpt(output, 200)}", file=sys.stderr)


def _rows(project: Project, numbers: Sequence[int]) -> list[dict[str, Any]]:
    found = project.read(
        "SELECT instruction, response, extra FROM records"
        f" WHERE number IN ({', '.join('?' * len(numbers))}) ORDER BY number",
        list(numbers),
    )
    kept = ("system", "history", "rejected")
    return [
        {"instruction": instruction, **({} if response is None else {"response": response}),
         **{name: value for name, value in db.mapping(extra).items() if name in kept}}
        for instruction, response, extra in found
    ]  # fmt: skip


def _records(project: Project, numbers: Sequence[int]) -> list[dict[str, Any]]:
    gone = pruning.rejected(project)
    found = []
    for number in numbers:
        for record_id, text in project.read("SELECT id, instruction FROM records WHERE number = ?", (number,)):
            found.append({"number": number, "id": record_id, "instruction": text, "rejected": number in gone})
    return found


def _as_json(one: Figures) -> dict[str, Any]:
    cluster = one.cluster
    return {
        "cluster": cluster.path, "name": cluster.name, "words": list(cluster.words), "size": cluster.size,
        "share": round(one.share, 4), "density": cluster.density, "acceptance": one.acceptance,
        "accepted": one.accepted, "settled": one.settled, "mean_words": cluster.length,
        "duplicates": cluster.duplicates, "duplicate_rate": round(one.duplicates, 4), "rejected": one.rejected,
        "clusters_inside": one.children, "examples": list(cluster.examples), "x": cluster.x, "y": cluster.y,
    }  # fmt: skip


def _print_json(value: dict[str, Any]) -> None:
    # ASCII only: what a data set says must not reach a terminal as control characters.
    typer.echo(encoder.dumps(value, ensure_ascii=True))
