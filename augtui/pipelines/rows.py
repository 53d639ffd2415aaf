"""Result rows: what a run made of each record, as the lines of its output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augtui.store.items import ResultRow


def output_row(task: str, row: ResultRow, common: Mapping[str, Any]) -> dict[str, Any]:
    """Return one output line.

    Refine: `{"id", "instruction" (the original), "refined", "status", "reason", "provenance"}`; `refined` is the
    original where it was kept, and null where the record failed. Expand: `{"id", "instruction" (the new one, null where
    it failed), "source_id", "source", "status", "reason", "provenance"}`. An id is the one that the user's file gave,
    or the record's own.
    """
    given = row.source_id if row.source_id is not None else row.record_id
    provenance = _provenance(row, common)
    if task == "refine":
        refined = row.instruction if row.status == "kept_original" else row.text
        line: dict[str, Any] = {"id": given, "instruction": row.instruction, "refined": refined}
    else:
        name = row.result_record_id or f"{given}#{row.sample}"
        line = {"id": name, "instruction": row.text, "source_id": given, "source": row.instruction}
    return {**line, "status": row.status, "reason": row.reason, "provenance": provenance}


def _provenance(row: ResultRow, common: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **common,
        "run": row.run_id,
        "record": row.record_id,
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
