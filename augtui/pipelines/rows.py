"""What all result rows have in common: the name of a record, and how its result came about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augtui.store.items import ResultRow


def given_id(row: ResultRow) -> str | int:
    """Return the id that the user's file gave the record, or the record's own."""
    return row.source_id if row.source_id is not None else row.record_id


def made_id(row: ResultRow) -> str:
    """Return the id of the record that was made; where none was, a name for the sample of the original."""
    return row.result_record_id or f"{given_id(row)}#{row.sample}"


def provenance(row: ResultRow, common: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a row came about; `common` is what all rows of the run share, unless the try says otherwise."""
    own = {name: row.engine[name] for name in ("model", "model_sha256") if name in row.engine}
    context = {"context": list(row.context)} if row.context else {}
    return {
        **common,
        **own,
        "run": row.run_id,
        "record": row.record_id,
        **context,
        "result": row.result_record_id,
        "line": row.line,
        "sample": row.sample,
        "seed": row.seed,
        "tries": None if row.attempt is None else row.attempt + 1,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "queued_s": row.queued_s,
        "first_token_s": row.first_token_s,
        "duration_s": row.duration_s,
    }
