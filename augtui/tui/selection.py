"""The records that a list shows, as a file for steps that read files; equal selections are the same file."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from augtui import locations
from augtui.pipelines.export import WholeFile
from augtui.store import db, listings, runs
from augtui.store.listings import Filter
from augtui.store.projects import Project

KEPT_S = 2 * 86_400
"""How long a selection is kept that no run needs."""
KEPT_EXTRA = ("system", "history", "rejected")
"""Fields beside instruction and response that are part of a record's name."""


def write(project: Project, wanted: Filter, attached: bool) -> tuple[Path | None, int]:
    """Write the records that `wanted` lists to a file in augtui's home; return it and their number, None for none.

    The file is named after its content, so that the same records are the same input, and a run on them is resumed.
    Raises OutputError when it cannot be written.
    """
    listed = listings.listing(project, wanted, attached=attached and bool(wanted.text))
    if not listed.total:
        return None, 0
    folder = place()
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{_prefix(project)}{os.getpid()}.part"
    total = hashlib.sha256()
    with WholeFile(part) as file:
        for number in range(listed.pages):
            for row in _rows(project, [one.number for one in listings.page(project, listed, number)]):
                line = json.dumps(row, ensure_ascii=False) + "\n"
                total.update(line.encode())
                file.write(line)
    path = folder / f"{_prefix(project)}{total.hexdigest()[:12]}.jsonl"
    part.replace(path)
    return path, listed.total


def place() -> Path:
    """Return the folder of selections."""
    return locations.home() / "selections"


def clean(project: Project, also: Iterable[str] = (), *, now: float | None = None) -> list[Path]:
    """Remove the project's selections that nothing needs any more; return what was removed.

    A run that is not finished reads its file again when it goes on, so the file stays; so do files that the words of
    `also` name, and those of the last two days, for which a form may be open or a job may wait.
    """
    needed = {Path(word).name for word in also}
    for run in runs.list_runs(project):
        if run.status != "finished":
            needed.add(Path(run.source).name)
            needed |= {Path(word.partition("=")[2] or word).name for word in (run.command.words if run.command else ())}
            needed |= {Path(word).name for word in (run.command.words if run.command else ())}
    removed = []
    for path in place().glob(f"{glob.escape(_prefix(project))}*"):
        with suppress(OSError):
            is_old = (time.time() if now is None else now) - path.stat().st_mtime > KEPT_S
            if is_old and path.name not in needed:
                path.unlink()
                removed.append(path)
    return removed


def _prefix(project: Project) -> str:
    """Return how the names of a project's selections begin: another project of that name elsewhere has others."""
    return f"{project.name}-{hashlib.sha256(str(project.path).encode()).hexdigest()[:8]}-"


def _rows(project: Project, numbers: list[int]) -> list[dict[str, Any]]:
    found = project.read(
        "SELECT instruction, response, extra FROM records WHERE number IN"
        f" ({', '.join('?' * len(numbers))}) ORDER BY number",
        numbers,
    )
    rows = []
    for instruction, response, extra in found:
        row: dict[str, Any] = {"instruction": instruction}
        if response is not None:
            row["response"] = response
        known = db.mapping(extra)
        row.update({name: known[name] for name in KEPT_EXTRA if name in known})
        rows.append(row)
    return rows
