"""A record as one reads it: its texts, and where it came from."""

from __future__ import annotations

from textual.content import Content

from augtui.domain.visible import visible
from augtui.store import dataset, lineage
from augtui.store.dataset import StoredRecord
from augtui.store.lineage import Step
from augtui.store.projects import Project
from augtui.tui.text import assemble, duration, line, plain


def read(project: Project, record_id: str) -> tuple[StoredRecord, list[Step], list[Step]] | None:
    """Return a record with what it was made from and what was made of it, None where it is gone."""
    found = dataset.get(project, record_id)
    if found is None:
        return None
    return found, lineage.ancestors(project, record_id), lineage.descendants(project, record_id)[:50]


def detail(record: StoredRecord, before: list[Step], after: list[Step]) -> Content:
    """Return a record with its texts and its lineage."""
    pieces: list[str | tuple[str, str] | Content] = [plain(record.instruction)]
    if record.response is not None:
        pieces += [("\n\nresponse\n", "$foreground-muted"), plain(record.response)]
    pieces.append(("\n\nlineage\n", "$foreground-muted"))
    chain = [f"{step.parent[:6]} ─ {visible(step.task)} → " for step in reversed(before)]
    pieces += [("".join(chain), "$foreground-muted"), (record.id[:6], "bold $accent")]
    for step in after:
        pieces.append((f"\n{'  ' * step.depth}└ {visible(step.task)} → {step.child[:6]}", "$foreground-muted"))
    pieces.append("\n")
    for step in before[:1] or after[:1]:
        facts = [
            f"run {step.run_id}",
            visible(step.model_name or ""),
            "" if step.template_hash is None else f"{visible(step.template_name or '')}@{step.template_hash[:6]}",
            f"seed {step.seed}" if step.seed is not None else "",
            f"{step.completion_tokens} tok" if step.completion_tokens else "",
            duration(step.duration_s) if step.duration_s else "",
        ]
        pieces.append((" · ".join(fact for fact in facts if fact), "$foreground-muted"))
    place = record.source_name
    if place is not None:
        at = "" if record.line is None else f" line {record.line:,}"
        pieces += [("\nfrom ", "$foreground-muted"), line(place, 80, "$foreground-muted"), (at, "$foreground-muted")]
    return assemble(pieces)
