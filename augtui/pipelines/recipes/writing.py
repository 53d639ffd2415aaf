"""Stages that write files: they are done at every run of the pipeline, since a file may have gone or changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from augtui.domain.records import Record
from augtui.errors import UsageError
from augtui.pipelines.choices import one_of
from augtui.pipelines.exports import formats, rows, writer
from augtui.pipelines.exports.rows import TrainingRow
from augtui.pipelines.recipes.recipe import StepSpec
from augtui.pipelines.recipes.stage import Result
from augtui.pipelines.recipes.workshop import Workshop
from augtui.pipelines.trainset import sources
from augtui.pipelines.trainset import writing as trainset
from augtui.pipelines.trainset.examples import KINDS, Kind
from augtui.store import family
from augtui.store.stages import Fated


class Exporting:
    """The records in a format for training."""

    def __init__(self, workshop: Workshop, step: StepSpec) -> None:
        """Prepare; refuses an unknown format, and a step that has nowhere to write to."""
        self.workshop = workshop
        self.options = step.options
        formats.named(self.options["format"])
        self.target = self.options["output"] or workshop.output
        if self.target is None:
            raise UsageError(f"{step.name} needs a file to write to", hint="Give -o FILE, or output in the recipe.")

    def config(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return format, file and split."""
        return {**{name: self.options[name] for name in ("format", "validation")}, "output": self.target}

    def apply(self, ids: Sequence[str]) -> Result:
        """Write; a record that the format cannot hold is dropped, with the reason."""
        assert self.target is not None
        seed = self.workshop.settings().seed
        made = formats.named(self.options["format"])
        told = list(self._rows(ids))
        fates = [Fated(record_id, *_fate(made, row)) for record_id, row in zip(ids, told, strict=True)]
        report = writer.write(
            told, self.options["format"], self.target, validation=self.options["validation"], seed=seed
        )
        return Result(fates, None, {"written": report.written, "left_out": dict(report.left_out)})

    def _rows(self, ids: Sequence[str]) -> Iterator[TrainingRow]:
        project = self.workshop.project
        family_of = family.families(project)
        numbers: Mapping[str, int] = dict(project.read("SELECT id, number FROM records"))
        for record_id, record in zip(ids, self.workshop.records(ids), strict=True):
            row = rows.of_record(record)
            yield replace(row, id=_given(record, record_id), family=family_of(numbers[record_id]))


def _given(record: Record, record_id: str) -> str:
    return record_id if record.source_id is None else str(record.source_id)


def _fate(made: formats.Format, row: TrainingRow) -> tuple[Any, str | None]:
    try:
        made.shape(row)
    except formats.LeftOut as left_out:
        return "dropped", left_out.reason
    return "kept", None


class Training:
    """D_IE, D_IR and D_IRE of what the pipeline made and kept."""

    def __init__(self, workshop: Workshop, step: StepSpec) -> None:
        """Prepare; refuses an unknown kind, and a step that has nowhere to write to."""
        self.workshop = workshop
        self.options = step.options
        given = self.options["kinds"]
        names = [given] if isinstance(given, str) else list(given)
        self.kinds: list[Kind] = [_kind(name) for name in names]
        folder, output = self.options["output"], workshop.output
        if folder is None and output is None:
            raise UsageError(f"{step.name} needs a folder to write to", hint="Give -o FILE, or output in the recipe.")
        self.stem = Path(folder) / "train" if folder is not None else Path(str(output)).with_suffix("")

    def targets(self) -> dict[Kind, Path]:
        """Return the file of each kind: `OUT.ie.jsonl` beside OUT, or `train.ie.jsonl` in the folder."""
        return {kind: self.stem.with_name(f"{self.stem.name}.{kind}.jsonl") for kind in self.kinds}

    def config(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return kinds, files and split."""
        targets = [str(path) for path in self.targets().values()]
        return {"targets": targets, **{name: self.options[name] for name in ("validation", "shuffle")}}

    def apply(self, ids: Sequence[str]) -> Result:
        """Write."""
        if self.options["output"] is not None:
            self.stem.parent.mkdir(parents=True, exist_ok=True)
        report = trainset.write(
            sources.of_project(self.workshop.project, ids), self.targets(),
            validation=self.options["validation"], seed=self.workshop.settings().seed, shuffle=self.options["shuffle"],
        )  # fmt: skip
        return Result([Fated(record_id, "kept") for record_id in ids], None, report.as_json())


def _kind(name: object) -> Kind:
    chosen = one_of("kinds", str(name), KINDS)
    return next(kind for kind in KINDS if kind == chosen)
