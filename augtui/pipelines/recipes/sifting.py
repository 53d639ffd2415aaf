"""Stages that keep or drop records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from augtui.domain.records import Quarantined, Record
from augtui.errors import UsageError
from augtui.models.catalog import Model
from augtui.pipelines import dedupe, originals, rules, source
from augtui.pipelines.choices import least_scores
from augtui.pipelines.decisions import Decision, require_threshold
from augtui.pipelines.decontaminate import Examination
from augtui.pipelines.embeddings import embedder
from augtui.pipelines.recipes.making import Making
from augtui.pipelines.recipes.recipe import StepSpec
from augtui.pipelines.recipes.stage import Result
from augtui.pipelines.recipes.workshop import Workshop
from augtui.pipelines.steps.judge import LEAST
from augtui.store.items import ResultRow
from augtui.store.stages import Fated


class Checking(Making):
    """The cheap rules first; what passes them is scored, if a judge is named."""

    def model(self) -> Model:
        """Return the judge."""
        return self.workshop.model(str(self.options["judge"]), self.settings())

    def wanted(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return the least scores."""
        return {"options": {"least": dict(self._least())}}

    def _least(self) -> Mapping[str, int]:
        given = self.options["least"]
        if isinstance(given, int):
            return least_scores(str(given)) or LEAST
        text = ",".join(f"{name}={value}" for name, value in given.items())
        return least_scores(text or None) or LEAST

    def _rules(self) -> tuple[list[str], rules.Limits]:
        left_out = rules.named(_names(self.options["without"]))
        names = [name for name in rules.named(_names(self.options["rules"])) if name not in left_out]
        return names, rules.limits(self.options["limits"])

    def config(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return the rules, and the judge if there is one."""
        names, _ = self._rules()
        judge = super().config(ids) if self.options["judge"] else None
        return {"rules": names, "limits": dict(self.options["limits"]), "judge": judge}

    def apply(self, ids: Sequence[str]) -> Result:
        """Drop what breaks a rule, then what the judge does not let pass. Raises Interrupted."""
        names, limits = self._rules()
        told = list(rules.decisions(self.workshop.records(ids), names, limits))
        fates = [_fated(record_id, decision, _fault) for record_id, decision in zip(ids, told, strict=True)]
        passed = tuple(fated.record_id for fated in fates if fated.fate == "kept")
        if not self.options["judge"] or not passed:
            return Result(fates)
        rows, run_id = self.worked(self.job(passed), passed)
        judged = {row.record_id: row for row in rows}
        return Result([_judged(fated, judged) for fated in fates], run_id, self.detail(rows))


def _fault(decision: Decision) -> str:
    faults = decision.detail["faults"]
    return "; ".join(f"{name}: {what}" for name, what in faults.items())


def _judged(fated: Fated, rows: Mapping[str, ResultRow]) -> Fated:
    row = rows.get(fated.record_id)
    if fated.fate != "kept" or row is None or row.status == "accepted":
        return fated
    return Fated(fated.record_id, "dropped", row.reason)


class Deduping:
    """Of records that say the same, the first one."""

    def __init__(self, workshop: Workshop, step: StepSpec) -> None:
        """Prepare; refuses a threshold that is none."""
        self.workshop = workshop
        self.step = step
        require_threshold(step.options["threshold"])

    @property
    def _embeds(self) -> bool:
        return bool(self.step.options["method"] == "embedding")

    def config(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return how likeness is found."""
        found = {name: self.step.options[name] for name in ("method", "threshold", "on")}
        if self._embeds:
            settings = self.workshop.settings(self.step)
            found["model"] = self.workshop.model(settings.model, settings).sha256()
        return found

    def apply(self, ids: Sequence[str]) -> Result:
        """Drop what is like an earlier record."""
        options, workshop = self.step.options, self.workshop
        embed = None
        if self._embeds:
            settings = workshop.settings(self.step)
            engine = workshop.hands.engine(workshop.model(settings.model, settings), settings)
            embed = embedder(engine, workshop.progress(self.step.name, "embedding"))
        decisions = dedupe.decide(
            workshop.records(ids), options["method"], options["threshold"], options["on"],
            embed=embed, progress=workshop.progress(self.step.name, "comparing"),
        )  # fmt: skip

        def reason(decision: Decision) -> str:
            of, likeness = ids[decision.detail["of"]], decision.detail["similarity"]
            return f"{decision.reason}: of {of}, {options['method']} {likeness:.2f}"

        return Result([_fated(record_id, told, reason) for record_id, told in zip(ids, decisions, strict=True)])


class Decontaminating:
    """Keep out what test sets ask."""

    def __init__(self, workshop: Workshop, step: StepSpec) -> None:
        """Prepare."""
        self.workshop = workshop
        self.step = step
        self._names = _names(step.options["against"])
        require_threshold(step.options["threshold"])

    def config(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return the test sets' digests, and how they are compared."""
        with ExitStack() as stack:
            tests = [stack.enter_context(source.opened(name)).sha256 for name in self._names]
        return {"against": tests, **{name: self.step.options[name] for name in ("ngram", "near", "threshold", "on")}}

    def apply(self, ids: Sequence[str]) -> Result:
        """Drop what shares a run of words with a test, or is nearly the same."""
        options = self.step.options
        exam = Examination(self._tests(), size=options["ngram"], near=options["near"], threshold=options["threshold"])
        see = self.workshop.progress(self.step.name, "comparing")
        decisions = exam.decide(self.workshop.records(ids), options["on"], see)

        def reason(decision: Decision) -> str:
            match = decision.detail["matches"][0]
            return f"{decision.reason}: test {match['test'] + 1} by {match['method']}"

        fates = [_fated(record_id, told, reason) for record_id, told in zip(ids, decisions, strict=True)]
        return Result(fates, None, {"tests": exam.tests})

    def _tests(self) -> Iterator[Record]:
        with ExitStack() as stack:
            for name in self._names:
                for record, _ in originals.records(stack.enter_context(source.opened(name))):
                    if not isinstance(record, Quarantined):
                        yield record


def _fated(record_id: str, decision: Decision, reason: Any) -> Fated:
    return Fated(record_id, "kept") if decision.kept else Fated(record_id, "dropped", reason(decision))


def _names(given: str | Sequence[Any]) -> list[str]:
    names = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(name, str) for name in names):
        raise UsageError(f"a list of texts is wanted, not {given!r}")
    return names
