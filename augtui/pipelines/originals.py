"""The rows of an input as they stand in it, with what a step found out added under `augtui`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from augtui.domain.records import Quarantined, Record
from augtui.errors import InputError
from augtui.pipelines import collect
from augtui.pipelines.source import Source

KEY: Final = "augtui"
"""The field of an output row that holds what augtui knows of it, by step."""


def records(
    source: Source, *, field: str | None = None, format: str | None = None, limit: int | None = None
) -> Iterator[tuple[Record | Quarantined, dict[str, Any]]]:
    """Yield what each row of a source is, and the row itself; a row that is no object as an object of its texts.

    Raises InputError, while it is iterated; see `collect.read`.
    """
    rows: list[Any] = [None]

    def see(value: Any) -> None:
        rows[0] = value

    try:
        for found in collect.read(source.path, field=field, format=format, limit=limit, see=see):
            row = rows[0]
            if isinstance(found, Quarantined):
                yield found, {}
            elif isinstance(row, dict):
                yield found, row
            else:
                answered = {} if found.response is None else {"response": found.response}
                yield found, {"instruction": found.instruction, **answered}
    except InputError as error:
        # A pipe's temporary copy means nothing to the user.
        named = error.message.replace(str(source.path), source.shown)
        raise InputError(named, hint=error.hint) from None


def annotated(row: Mapping[str, Any], step: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with a step's facts under `augtui`, beside those of earlier steps.

    A field of that name that is none of augtui's is kept as `given` in it.
    """
    former = row.get(KEY, {})
    known = dict(former) if isinstance(former, dict) else {"given": former}
    return {**row, KEY: {**known, step: dict(facts)}}


def at(row: Mapping[str, Any], path: str) -> Any:
    """Return what a row holds under a key, or at a dotted path such as `augtui.balance.label`; None if nothing."""
    if path in row:
        return row[path]
    found: Any = row
    for key in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(key)
    return found
