"""The records that a list shows, as a file for steps that read files; equal selections are the same file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from augtui import locations
from augtui.pipelines.export import WholeFile
from augtui.store import db, listings
from augtui.store.listings import Filter
from augtui.store.projects import Project

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
    folder = locations.home() / "selections"
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{project.name}.part.jsonl"
    total = hashlib.sha256()
    with WholeFile(part) as file:
        for number in range(listed.pages):
            for row in _rows(project, [one.number for one in listings.page(project, listed, number)]):
                line = json.dumps(row, ensure_ascii=False) + "\n"
                total.update(line.encode())
                file.write(line)
    path = folder / f"{project.name}-{total.hexdigest()[:12]}.jsonl"
    part.replace(path)
    return path, listed.total


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
