"""The stage that gives each class of tasks its share; what a class lacks can be made by expansion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from augtui.domain.annotation import CLASSIFY
from augtui.domain.tasks import EXPAND
from augtui.domain.taxonomy import OTHERS, SHARES
from augtui.errors import UsageError
from augtui.pipelines import balance
from augtui.pipelines.choices import nearest
from augtui.pipelines.job import Job
from augtui.pipelines.jobs import job_for
from augtui.pipelines.recipes.making import Making
from augtui.pipelines.recipes.stage import Result
from augtui.store.stages import Fated


class Balancing(Making):
    """Labels by the classifier that ships, or by a model; expansion by the step's own model."""

    @property
    def task(self) -> str:
        """Return the task that makes what is lacking."""
        return EXPAND.name

    def _shares(self) -> Mapping[str, float]:
        given = self.options["mix"]
        if isinstance(given, dict):
            return balance.mix(given)
        named: dict[str, Mapping[str, float]] = {"tapir": SHARES, "uniform": balance.uniform()}
        if given not in named:
            raise UsageError(f"{self.step.name}: there is no mix {given!r}", hint=nearest(given, named))
        return named[given]

    def classifying(self) -> Job | None:
        """Return the job of the model that labels; None where the small classifier does."""
        name = self.options["classifier"]
        if name is None:
            return None
        settings = self.settings()
        return job_for(CLASSIFY, settings, self.workshop.model(name, settings))

    def config(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return the mix, the seed, who labels and who makes what is lacking."""
        labelling = self.classifying()
        return {
            "size": self.options["size"],
            "mix": dict(self._shares()),
            "seed": self.settings().seed,
            "classifier": None if labelling is None else labelling.config(),
            "expand": self.job(ids).config() if self.options["shortage"] == "expand" else None,
        }

    def apply(self, ids: Sequence[str]) -> Result:
        """Drop what a class has too much of; expand what it has too little of, if asked. Raises Interrupted."""
        given = self._given_labels(ids)
        records = zip(self.workshop.records(ids), given, strict=True)
        see = self.workshop.progress(self.step.name, "labelling")
        names = [label.name for label in balance.labels(records, None, see, self._shares())]
        size, shortage = self.options["size"] or len(ids), self.options["shortage"]
        chosen: balance.Shortage = "expand" if shortage == "expand" else "less"
        plan = balance.plan(names, size, self._shares(), chosen, self.settings().seed)
        fates = [
            Fated(record_id, "kept") if times else Fated(record_id, "dropped", f"{plan.reason(place)}: {names[place]}")
            for place, (record_id, times) in enumerate(zip(ids, plan.times, strict=True))
        ]
        detail = {"classes": dict(sorted(plan.taken.items()))}
        if not plan.expansions:
            return Result(fates, None, detail)
        wanted = tuple(ids[one.position] for one in plan.expansions)
        rows, run_id = self.worked(self.job(wanted), wanted, tuple(one.count for one in plan.expansions))
        made = dict.fromkeys(row.result_record_id for row in rows if row.result_record_id is not None)
        fates += [Fated(record_id, "made") for record_id in made]
        return Result(fates, run_id, {**detail, **self.detail(rows)})

    def _given_labels(self, ids: Sequence[str]) -> list[str | None]:
        job = self.classifying()
        if job is None:
            return [None] * len(ids)
        rows, _ = self.worked(job, tuple(ids), by=str(self.options["classifier"]))
        told = {row.record_id: row.text for row in rows}
        # What the model did not label is one of the Others, like what it labelled with no class of the list.
        return [told[record_id] or OTHERS for record_id in ids]
