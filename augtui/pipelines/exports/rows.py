"""The rows that every export is made of, from a project's records, its preference pairs, or a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, Final

from augtui.domain import records as domain
from augtui.domain import tasks, templates
from augtui.domain.records import Quarantined, Record
from augtui.pipelines import collect, languages
from augtui.store import browse, family, preferences, reviews
from augtui.store.browse import Filters, ListedRecord
from augtui.store.preferences import Preference
from augtui.store.projects import Project
from augtui.store.reviews import Review

_OF_ITS_OWN_ID: Final = frozenset({"refine", "respond", "classify"})
"""Tasks whose rows have the ids of the rows that they were made from."""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One example: an instruction with its response, what belongs before it, and where it came from."""

    id: str
    instruction: str
    response: str | None = None
    system: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    """Earlier turns, (user, assistant) each."""
    rejected: str | None = None
    """A worse response, for preference training."""
    family: str = ""
    """Rows of one family are relatives: a split never parts them. Empty: none but itself."""
    language: str | None = None
    task: str | None = None
    """The task that made it."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Further facts as JSON values: source, run, model."""


def of_project(project: Project, filters: Filters) -> Iterator[TrainingRow]:
    """Yield a project's records that pass, in the order of arrival; people's edits count, what they rejected is not in.

    Records that people made something else of are looked up at the beginning.
    """
    families = family.families(project)
    makers = _makers(project)
    opinions = reviews.of_results(project)
    for record in browse.records(project, filters):
        row = _of_record(record, families(record.number), makers.get(record.run or 0, {}))
        if record.number not in opinions:
            yield row
        elif (edited := _reviewed(row, *opinions[record.number])) is not None:
            yield edited


def pairs_of_project(project: Project, filters: Filters) -> Iterator[TrainingRow]:
    """Yield a project's preferences: imported pairs, accepted against rejected tries, people's edits against both.

    Of tries the prompt is what the model was asked with, the record's own or the task's template around it.
    """
    for row in of_project(project, filters):
        if row.rejected is not None and row.response is not None:
            yield row
    families = family.families(project)
    makers = _makers(project)
    for preference in preferences.preferences(project, filters):
        pair = _of_preference(preference, families(preference.record_number), makers)
        if pair is not None:
            yield pair


def of_file(outcomes: Iterator[Record | Quarantined]) -> Iterator[TrainingRow | Quarantined]:
    """Yield a row for each record of a file, and what cannot be one as it is.

    A file that augtui wrote names relatives by `family`, `source_id` or `provenance.record`; the family of another
    file's row is the row itself.
    """
    for outcome in outcomes:
        yield outcome if isinstance(outcome, Quarantined) else of_record(outcome)


def of_record(record: Record) -> TrainingRow:
    """Return the row of a record that is in no project."""
    extra = dict(record.extra)
    provenance = _mapping(extra.pop("provenance", None))
    given = record.id if record.source_id is None else str(record.source_id)
    language = extra.pop("language", None)
    task = extra.pop("task", None)
    return TrainingRow(
        id=given,
        instruction=record.instruction,
        response=record.response,
        system=domain.system(extra),
        history=domain.history(extra),
        rejected=domain.rejected(extra),
        family=_family(extra, provenance, given),
        language=language if isinstance(language, str) and language else languages.detect(record.instruction),
        task=task if isinstance(task, str) and task else None,
        provenance=provenance,
    )


def of_path(source: Any, *, name: str | None = None, **reading: Any) -> Iterator[TrainingRow | Quarantined]:
    """Yield the rows of a file: see `collect.read`. `name` is their source, unless they know better."""
    for row in of_file(collect.read(source, **reading)):
        if isinstance(row, Quarantined) or name is None or "source" in row.provenance:
            yield row
        else:
            yield replace(row, provenance={"source": source_label(name), **row.provenance})


def source_label(name: str) -> str:
    """Return a source's name as others may see it: a file without the folders of this machine."""
    return name if name.startswith("hf:") else PurePath(name).name or name


def _family(extra: Mapping[str, Any], provenance: Mapping[str, Any], own: str) -> str:
    if (named := domain.kin(extra)) is not None:
        return named
    parent = None if provenance.get("task") in _OF_ITS_OWN_ID else provenance.get("record")
    return parent if isinstance(parent, str) and parent else own


def _mapping(value: Any) -> dict[str, Any]:
    """Return an object, or the one that a text of JSON holds, as Parquet files have it; {} for anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _of_record(record: ListedRecord, family_name: str, maker: Mapping[str, Any]) -> TrainingRow:
    provenance: dict[str, Any] = {"record": record.id, "origin": record.origin}
    if record.source_name is not None:
        provenance["source"] = source_label(record.source_name)
    if record.line is not None:
        provenance["line"] = record.line
    return TrainingRow(
        id=record.id,
        instruction=record.instruction,
        response=record.response,
        system=domain.system(record.extra),
        history=domain.history(record.extra),
        rejected=domain.rejected(record.extra),
        family=family_name,
        language=record.language or languages.detect(record.instruction),
        task=record.task,
        provenance={**provenance, **maker},
    )


def _reviewed(row: TrainingRow, task: str, review: Review) -> TrainingRow | None:
    if review.verdict == "rejected":
        return None
    if review.verdict != "edited" or review.text is None:
        return row
    provenance = {**row.provenance, "edited": review.created_at}
    match task:
        case "respond":
            return replace(row, response=review.text, provenance=provenance)
        case "pairs":
            read = tasks.TASKS["pairs"].parse(review.text, "stop")
            if isinstance(read, tasks.Unparsed):
                return None
            return replace(row, instruction=read.instruction, response=read.response, provenance=provenance)
        case _:
            return replace(row, instruction=review.text, provenance=provenance)


def _makers(project: Project) -> dict[int, dict[str, Any]]:
    """Return for each run what its results have in common."""
    rows = project.read(
        "SELECT r.id, m.name, r.model_sha256, t.name, r.template_hash FROM runs r"
        " LEFT JOIN models m ON m.sha256 = r.model_sha256 LEFT JOIN templates t ON t.hash = r.template_hash"
        " WHERE r.task <> 'import'"
    )
    names = ("run", "model", "model_sha256", "template", "template_hash")
    return {row[0]: {name: value for name, value in zip(names, row, strict=True) if value is not None} for row in rows}


def _of_preference(preference: Preference, family_name: str, makers: Mapping[int, Any]) -> TrainingRow | None:
    maker = makers.get(preference.run_id, {})
    prompt = _prompt(preference, maker)
    if prompt is None:
        return None
    system, instruction = prompt
    return TrainingRow(
        id=f"{preference.item_key[:24]}-{preference.number}",
        instruction=instruction,
        response=preference.chosen,
        system=system,
        history=domain.history(preference.extra) if preference.task == "respond" else (),
        rejected=preference.rejected,
        family=family_name,
        language=preference.language or languages.detect(preference.instruction),
        task=preference.task,
        provenance={"record": preference.record_id, "kind": preference.kind, "reason": preference.reason, **maker},
    )


def _prompt(preference: Preference, maker: Mapping[str, Any]) -> tuple[str | None, str] | None:
    """Return the system prompt and the user prompt that the model had; None where this version does not know them."""
    if preference.task == "respond":
        return domain.system(preference.extra), preference.instruction
    try:
        template = templates.load(str(maker.get("template")))
    except (KeyError, OSError):
        return None
    # A project may come by mail: only a template of our own is rendered, and only the very same one.
    if template.hash != maker.get("template_hash") or preference.task not in ("refine", "expand"):
        return None
    said = {
        message.role: message.content
        for message in template.render(
            instruction=preference.instruction, response=preference.response, task_type=None, pairs=()
        )
    }
    return said.get("system") or None, said["user"]
