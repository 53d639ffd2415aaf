"""What a recipe would come to: items, tokens, time and cost of each step, before anything is done for real.

What a project has finished counts as done. The rest is told from what the project has recorded of the same task and
model; else, for models on this machine, from trying the step on a few records in a project that is thrown away; else,
for servers, which may cost money, from the lengths of the prompts and what is usual. Each step says which.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from augtui.domain.records import Quarantined, Record, digest
from augtui.engines.http.spending import Prices
from augtui.errors import InputError
from augtui.models.catalog import Model
from augtui.pipelines.job import Job
from augtui.pipelines.planning import Stored, Supply
from augtui.pipelines.recipes.balancing import Balancing
from augtui.pipelines.recipes.execution import STAGES, WRITING
from augtui.pipelines.recipes.making import Making, Responding
from augtui.pipelines.recipes.recipe import StepSpec
from augtui.pipelines.recipes.sifting import Checking
from augtui.pipelines.recipes.stage import Stage
from augtui.pipelines.recipes.workshop import Workshop
from augtui.pipelines.steps import step_for
from augtui.settings import Settings
from augtui.store import dataset, pace, stages
from augtui.store.items import Parent, PendingItem
from augtui.store.projects import open_project

Basis = Literal["done", "recorded", "measured", "assumed", "no model"]

SAMPLE_ITEMS = 16
"""Items that a step is tried on."""
READ = 200
"""Records of the input that stand for all where texts are measured."""
USUAL = {"refine": 3.0, "expand": 1.0, "pairs": 3.0, "translate": 1.1}
"""Answer tokens for each token of the instruction (and its response), where nothing is known."""
USUAL_TOKENS = {"respond": 300.0, "check": 130.0, "classify": 12.0}
"""Answer tokens where they do not depend on the length of the instruction."""


@dataclass(frozen=True, slots=True)
class StepForecast:
    """One step: what goes in, what it takes, what comes out."""

    step: str
    use: str
    records: int
    items: int
    """Items for a model that are not done yet."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float | None
    """None: nobody knows."""
    cost: float | None
    """US dollars; None where there are no prices."""
    out: int
    """Records that come out, as far as can be told."""
    basis: Basis
    model: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the forecast as JSON values."""
        return {
            "step": self.step, "use": self.use, "records": self.records, "items": self.items,
            "prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "cost": None if self.cost is None else round(self.cost, 6), "out": self.out, "basis": self.basis,
            "model": self.model,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _State:
    """The records between two steps: how many, how many with a response, and a few of them."""

    count: int
    answered: int
    sample: tuple[Record, ...]
    ids: tuple[str, ...] | None = None
    """All of them, as long as they are known."""


@dataclass(frozen=True, slots=True)
class _Rate:
    """What one item takes."""

    prompt_tokens: float
    completion_tokens: float
    seconds: float | None
    accepted: float
    """Share of items that make a record, or let one pass."""
    basis: Basis


def forecast(workshop: Workshop, supply: Supply) -> Iterable[StepForecast]:
    """Yield the forecast of each step, in order. Raises what reading the input raises."""
    with tempfile.TemporaryDirectory(prefix="augtui-forecast-") as folder:
        trial = Path(folder) / "trial.db"
        state = _start(workshop, supply)
        for step in workshop.recipe.steps:
            told, state = _step(workshop, step, state, trial)
            yield told


def _start(workshop: Workshop, supply: Supply) -> _State:
    count = answered = 0
    sample: list[Record] = []
    ids: list[str] | None = []
    for outcome in supply.given():
        if isinstance(outcome, Quarantined):
            continue
        record, known = outcome
        count += 1
        answered += bool(record.response)
        if len(sample) < READ:
            sample.append(record)
        if ids is not None:
            ids.append(known or record.id)
    if not count:
        raise InputError(f"{supply.name} holds no records")
    return _State(count, answered, tuple(sample), tuple(ids or ()))


def _step(workshop: Workshop, step: StepSpec, state: _State, trial: Path) -> tuple[StepForecast, _State]:
    if step.kind.name in WRITING:
        return _plain(step, state, state.count), state
    stage = STAGES[step.kind.name](workshop, step)
    done = _done(workshop, step, stage, state)
    if done is not None:
        return StepForecast(step.name, step.kind.name, state.count, 0, 0, 0, 0.0, 0.0, done.count, "done"), done
    free = isinstance(stage, Checking) and not step.options["judge"]
    if isinstance(stage, Balancing):
        return _balancing(workshop, step, stage, state)
    if free or not isinstance(stage, Making):
        return _plain(step, state, state.count), replace(state, ids=None)
    return _making(workshop, step, stage, state, trial)


def _plain(step: StepSpec, state: _State, out: int) -> StepForecast:
    return StepForecast(step.name, step.kind.name, state.count, 0, 0, 0, 0.0, 0.0, out, "no model")


def _done(workshop: Workshop, step: StepSpec, stage: Stage, state: _State) -> _State | None:
    """Return what a finished stage has made of the records."""
    if state.ids is None or not _has(workshop, state.ids):
        return None
    key = digest({
        "step": step.kind.name,
        "config": stage.config(state.ids),
        "input": digest({"records": list(state.ids)}),
    })  # fmt: skip
    found = stages.find(workshop.project, key)
    if found is None:
        return None
    ids = tuple(stages.outputs(workshop.project, found.id))
    answered = sum(bool(record.response) for record in workshop.records(ids))
    return _State(len(ids), answered, tuple(workshop.records(ids[:READ])), ids)


def _has(workshop: Workshop, ids: Sequence[str]) -> bool:
    """Say whether the project has all of these records."""
    known = {row[0] for row in workshop.project.read("SELECT id FROM records")}
    return known.issuperset(ids)


def _making(
    workshop: Workshop, step: StepSpec, stage: Making, state: _State, trial: Path
) -> tuple[StepForecast, _State]:
    settings, model = stage.settings(), stage.model()
    items = _items(step, stage, state)
    if not items:
        after = _after(step, state, 0, 0)
        return _plain(step, state, after.count), after
    left = items - _settled(workshop, stage, state)
    rate = _rate(workshop, step, stage, state, trial)
    prompt, completion = round(left * rate.prompt_tokens), round(left * rate.completion_tokens)
    seconds = None if rate.seconds is None else left * rate.seconds
    made = round(items * rate.accepted)
    after = _after(step, state, made, items)
    told = StepForecast(
        step.name, step.kind.name, state.count, left, prompt, completion, seconds,
        _cost(model, settings, prompt, completion), after.count, rate.basis, model.name,
    )  # fmt: skip
    return told, after


def _balancing(workshop: Workshop, step: StepSpec, stage: Balancing, state: _State) -> tuple[StepForecast, _State]:
    """Tell what the labels take, if a model gives them; what will be expanded only they can tell."""
    out = min(step.options["size"] or state.count, state.count)
    after = replace(state, count=out, answered=min(state.answered, out), ids=None)
    job = stage.classifying()
    if job is None:
        return _plain(step, state, out), after
    model, settings = workshop.model(str(step.options["classifier"]), stage.settings()), stage.settings()
    recorded = pace.of_model(workshop.project, job.task.name, model.sha256())
    if recorded is None:
        rate = _usual(job, state)
    else:
        rate = _Rate(recorded.prompt_tokens, recorded.completion_tokens, recorded.seconds, 1.0, "recorded")
    prompt, completion = round(state.count * rate.prompt_tokens), round(state.count * rate.completion_tokens)
    seconds = None if rate.seconds is None else state.count * rate.seconds
    told = StepForecast(
        step.name, step.kind.name, state.count, state.count, prompt, completion, seconds,
        _cost(model, settings, prompt, completion), out, rate.basis, model.name,
    )  # fmt: skip
    return told, after


def _settled(workshop: Workshop, stage: Making, state: _State) -> int:
    """Return how many items an interrupted run has done already."""
    if state.ids is None or not _has(workshop, state.ids):
        return 0
    supply = Stored("", state.ids, workshop.records)
    key = stage.job(state.ids).run_key(supply.sha256, supply.limit, supply.field, supply.stated_format)
    found = workshop.project.read(
        "SELECT COUNT(*) FROM run_items r JOIN items i ON i.number = r.item JOIN runs q ON q.id = r.run_id"
        " WHERE q.key = ? AND i.status <> 'pending' AND i.attempt IS NOT NULL",
        (key,),
    )
    return int(found[0][0])


def _items(step: StepSpec, stage: Making, state: _State) -> int:
    match step.kind.name:
        case "expand":
            return int(state.count * step.options["count"])
        case "pairs":
            count = step.options["count"]
            return max(1, round(count * state.answered)) if isinstance(count, float) else int(count)
        case "respond":
            asked = isinstance(stage, Responding) and not stage.wanted(())["unasked"]
            return state.count - state.answered if asked or stage.teachers() else 0
        case _:
            return state.count


def _after(step: StepSpec, state: _State, made: int, items: int) -> _State:
    count, answered = state.count, state.answered
    match step.kind.name:
        case "expand":
            count += made
        case "pairs":
            count, answered = count + made, answered + made
        case "translate":
            count, answered = count + made, answered + round(made * answered / max(1, count))
        case "respond":
            answered += made
            count = answered if step.options["unanswered"] == "drop" else count
        case "refine":
            count += made if step.options["originals"] == "keep" else 0
        case "check":
            answered = round(answered * made / max(1, items))
            count = made
    return replace(state, count=count, answered=answered, ids=None)


def _rate(workshop: Workshop, step: StepSpec, stage: Making, state: _State, trial: Path) -> _Rate:
    model = stage.model()
    recorded = pace.of_model(workshop.project, stage.task, model.sha256())
    if recorded is not None:
        return _Rate(
            recorded.prompt_tokens, recorded.completion_tokens, recorded.seconds, recorded.accepted, "recorded"
        )
    if model.server is None:
        measured = _measured(workshop, step, state, trial)
        if measured is not None:
            return measured
    return _assumed(stage, state)


def _measured(workshop: Workshop, step: StepSpec, state: _State, trial: Path) -> _Rate | None:
    """Try the step on a few records in a project that is thrown away; None where there are too few for it."""
    with open_project(trial) as project:
        bench = Workshop(project, workshop.recipe, workshop.hands, workshop.flags)
        stage = STAGES[step.kind.name](bench, step)
        assert isinstance(stage, Making)
        wanted = (
            max(3, -(-SAMPLE_ITEMS // step.options.get("count", 1))) if step.kind.name == "expand" else SAMPLE_ITEMS
        )
        chosen = state.sample
        if step.kind.name in ("pairs", "check"):
            chosen = tuple(record for record in chosen if record.response)
        if step.kind.name == "respond":
            chosen = tuple(record for record in chosen if not record.response)
        dataset.add_records(project, chosen[:wanted])
        ids = tuple(record.id for record in chosen[:wanted])
        if not ids or (step.kind.name == "pairs" and len(ids) < 3):
            return None
        model, settings = stage.model(), stage.settings()
        _ = workshop.hands.engine(model, settings).model  # loaded before the clock starts
        started = time.monotonic()
        result = stage.apply(ids)
        seconds = time.monotonic() - started
        tried = project.read(
            "SELECT TOTAL(prompt_tokens), TOTAL(completion_tokens), COUNT(DISTINCT item) FROM attempts"
            " WHERE run_id = ?",
            (result.run_id,),
        )[0]
        items = int(tried[2])
        if not items:
            return None
        accepted = result.detail.get("accepted", 0)
        return _Rate(tried[0] / items, tried[1] / items, seconds / items, accepted / items, "measured")


def _assumed(stage: Making, state: _State) -> _Rate:
    # The job of no records is like that of any: what is needed of it is its prompt.
    return _usual(stage.job(()), state)


def _usual(job: Job, state: _State) -> _Rate:
    """Return what is usual: prompts as long as they are, answers as long as the task's mostly are."""
    lengths: list[tuple[float, float]] = []
    step, task = step_for(job), job.task.name
    for number, record in enumerate(state.sample):
        item = PendingItem(
            number, str(number), str(number), record.instruction, record.response, 0, 0, None, None, record.extra
        )
        if task == "pairs":
            others = [other for other in state.sample if other.response][:2]
            parents = tuple(Parent(str(place), other.instruction, other.response) for place, other in enumerate(others))
            item = replace(item, context=parents)
        prompt = sum(tokens_about(message.content) for message in step.messages(item))
        own = tokens_about(record.instruction) + tokens_about(record.response or "")
        answer = USUAL_TOKENS.get(task) or own * USUAL.get(task, 1.0)
        lengths.append((prompt, min(answer, job.sampling.max_tokens or answer)))
    count = max(1, len(lengths))
    doubled = 2 if task == "translate" and job.option("least") else 1
    prompt_mean = doubled * sum(prompt for prompt, _ in lengths) / count
    return _Rate(prompt_mean, doubled * sum(answer for _, answer in lengths) / count, None, 1.0, "assumed")


def tokens_about(text: str) -> float:
    """Return about how many tokens a text has: four characters of English make one, three of Chinese two."""
    han = sum("\u3400" <= char <= "\u9fff" for char in text)
    return (len(text) - han) / 4 + han * 0.7 + 1


def _cost(model: Model, settings: Settings, prompt: int, completion: int) -> float | None:
    if model.server is None:
        return 0.0
    if settings.price_in is None or settings.price_out is None:
        return None
    return Prices(settings.price_in, settings.price_out).cost(prompt, completion)
