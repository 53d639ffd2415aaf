"""Stages on which a model works: their items are those of a run, so that they go on where they were stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from augtui.models.catalog import Model
from augtui.pipelines.augment import Augmentation, kind_of
from augtui.pipelines.choices import context_sizes
from augtui.pipelines.job import Job
from augtui.pipelines.jobs import job_for
from augtui.pipelines.planning import Stored
from augtui.pipelines.recipes.recipe import StepSpec
from augtui.pipelines.recipes.stage import Interrupted, Result
from augtui.pipelines.recipes.workshop import Workshop
from augtui.pipelines.steps import MODEL_TASKS
from augtui.pipelines.teachers import require_named, teachers_named
from augtui.settings import Settings
from augtui.store import items
from augtui.store.items import ResultRow
from augtui.store.stages import Fated

ANSWERED, REFINED = "answered", "refined"
"""Why a record is no longer needed: another one, made of it, takes its place."""


class Making:
    """A run over the stage's records; what is made comes behind what was there."""

    def __init__(self, workshop: Workshop, step: StepSpec) -> None:
        """Prepare."""
        self.workshop = workshop
        self.step = step

    @property
    def options(self) -> Mapping[str, Any]:
        """Return the step's options."""
        return self.step.options

    @property
    def task(self) -> str:
        """Return the name of the task that the model is given."""
        return self.step.kind.name

    def settings(self) -> Settings:
        """Return the settings of the run."""
        return self.workshop.settings(self.step)

    def model(self) -> Model:
        """Return the model that works; raises UsageError for work that wants one named, where none is."""
        settings = self.settings()
        require_named(self.task, settings)
        return self.workshop.model(settings.model, settings)

    def teachers(self) -> dict[str, Model]:
        """Return further models by language."""
        return {}

    def job(self, ids: Sequence[str]) -> Job:
        """Return the job on these records."""
        return job_for(MODEL_TASKS[self.task], self.settings(), self.model(), **self.wanted(ids))

    def wanted(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return what the job has of its own: samples, options, variant, coverage."""
        return {}

    def config(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return the job and what is done with its results."""
        job = self.job(ids)
        further = {tongue: teacher.config() for tongue, teacher in job.teachers}
        own = {"samples": job.samples, "coverage": job.coverage, "teachers": further}
        return {"job": job.config(), **own, **self.handling()}

    def handling(self) -> dict[str, Any]:
        """Return the options that say what becomes of the records, beside the job."""
        return {}

    def apply(self, ids: Sequence[str]) -> Result:
        """Work through the run. Raises Interrupted."""
        rows, run_id = self.worked(self.job(ids), tuple(ids))
        return Result(list(self.fates(ids, rows)), run_id, self.detail(rows))

    def worked(
        self, job: Job, ids: tuple[str, ...], samples: tuple[int, ...] | None = None, by: str | None = None
    ) -> tuple[list[ResultRow], int]:
        """Return the results of a run over records, in their order, and the run's number; `by` is another model."""
        workshop = self.workshop
        model = self.model() if by is None else workshop.model(by, self.settings())
        supply = Stored(f"{workshop.recipe.name}: {self.step.name}", ids, workshop.records, samples=samples)
        with Augmentation(workshop.project, job, supply, model.location, model.bytes) as run:
            run.plan()
            summary = workshop.hands.work(self.step.name, run, model, self.teachers(), self.settings())
            if summary.interrupted:
                raise Interrupted(self.step.name)
            return list(items.results(workshop.project, run.run.id)), run.run.id

    def fates(self, ids: Sequence[str], rows: Sequence[ResultRow]) -> Iterator[Fated]:
        """Yield what becomes of the records: all stay, and the new ones come behind them."""
        yield from (Fated(record_id, "kept") for record_id in ids)
        made = dict.fromkeys(row.result_record_id for row in rows if row.result_record_id is not None)
        known = set(ids)
        yield from (Fated(record_id, "made") for record_id in made if record_id not in known)

    def detail(self, rows: Sequence[ResultRow]) -> dict[str, Any]:
        """Return the counts of the items by status, and why some failed."""
        counts = Counter(row.status for row in rows)
        reasons = Counter(kind_of(row.reason) for row in rows if row.status == "failed" and row.reason)
        return {"items": len(rows), **dict(sorted(counts.items())), "failures": dict(sorted(reasons.items()))}


class Expanding(Making):
    """New instructions."""

    def wanted(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return how many, and where."""
        return {"samples": self.options["count"], "coverage": self.options["coverage"]}


class Pairing(Making):
    """New pairs."""

    def wanted(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return how many pairs and out of how many examples."""
        count = self.options["count"]
        if isinstance(count, float):
            usable = sum(bool(record.response) for record in self.workshop.records(ids))
            count = max(1, round(count * usable))
        variant = "bare" if self.options["headings"] == "bare" else ""
        return {"samples": count, "options": {"k": context_sizes(self.options["k"])}, "variant": variant}


class Translating(Making):
    """The same pairs in the other language."""

    def wanted(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return into which language, and how it is checked."""
        return {"options": {name: self.options[name] for name in ("to", "measure", "least")}}


class Replacing(Making):
    """Stages whose new records take the place of those that they were made from."""

    reason = ""

    def keeps_original(self) -> bool:
        """Say whether the original stays beside the new one."""
        return False

    def fates(self, ids: Sequence[str], rows: Sequence[ResultRow]) -> Iterator[Fated]:
        """Yield what becomes of each record, and the new one behind it."""
        by_record = {row.record_id: row for row in rows}
        for record_id in ids:
            row = by_record[record_id]
            if row.result_record_id is None or row.result_record_id == record_id:
                yield self.unmade(row)
                continue
            stays = self.keeps_original()
            yield Fated(record_id, "kept" if stays else "dropped", None if stays else self.reason)
            yield Fated(row.result_record_id, "made")

    def unmade(self, row: ResultRow) -> Fated:
        """Return the fate of a record of which nothing was made."""
        return Fated(row.record_id, "kept", row.reason)


class Refining(Replacing):
    """Refined instructions."""

    reason = REFINED

    def wanted(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return what becomes of responses."""
        return {"options": {"response": "keep"} if self.options["response"] == "keep" else {}}

    def keeps_original(self) -> bool:
        """Say whether originals stay."""
        return bool(self.options["originals"] == "keep")

    def handling(self) -> dict[str, Any]:
        """Return what becomes of originals."""
        return {"originals": self.options["originals"]}


class Responding(Replacing):
    """Responses."""

    reason = ANSWERED

    def model(self) -> Model:
        """Return the model for all languages without a teacher; the default one where nobody is asked."""
        settings = self.settings()
        return self.workshop.model(self._named().default or settings.model, settings)

    def _named(self) -> Any:
        settings = self.step.settings
        return teachers_named(self.options["teachers"], settings.get("model"))

    def teachers(self) -> dict[str, Model]:
        """Return the teachers by language."""
        settings = self.settings()
        return {tongue: self.workshop.model(name, settings) for tongue, name in self._named().by_language.items()}

    def wanted(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return who writes, under which system prompt."""
        system = {"system": self.options["system"]}
        return {"options": system, "teachers": self.teachers(), "unasked": self._named().default is None}

    def handling(self) -> dict[str, Any]:
        """Return what becomes of records without a response."""
        return {"unanswered": self.options["unanswered"]}

    def unmade(self, row: ResultRow) -> Fated:
        """Return the fate of a record that had its response, or got none."""
        gone = row.status == "failed" and self.options["unanswered"] == "drop"
        return Fated(row.record_id, "dropped" if gone else "kept", row.reason)
