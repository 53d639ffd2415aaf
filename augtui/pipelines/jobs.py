"""From a user's settings and a model to the job that a run does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from augtui.domain.guard import Strictness
from augtui.domain.tasks import REFINE, Task
from augtui.engines.base import Sampling
from augtui.errors import ModelError
from augtui.models import checksums
from augtui.models.catalog import Model
from augtui.pipelines.job import HINTED, Job
from augtui.settings import Settings

RETRIES = 3
"""New seeds to try after a rejected answer, where neither the user nor the model says otherwise."""


def job_for(
    task: Task[Any],
    settings: Settings,
    model: Model,
    *,
    samples: int = 1,
    options: Mapping[str, Any] | None = None,
    variant: str = "",
    coverage: bool = False,
    teachers: Mapping[str, Model] | None = None,
    unasked: bool = False,
) -> Job:
    """Return the job; what the user left open is what suits the model and the task.

    `options` that are None are left out. `teachers` are models by language for records that they work on instead; if
    `unasked`, nobody works on the other records.
    """
    given = {name: value for name, value in (options or {}).items() if value is not None}
    style = model.style if settings.style == "auto" else settings.style
    job = Job(
        task=task,
        style=style,
        model_name=model.name,
        model_sha256=model.sha256(),
        sampling=_sampling(task, settings, model),
        seed=settings.seed,
        guard=model.guard if settings.guard == "auto" else Strictness(settings.guard),
        retries=_retries(task, model) if settings.retries is None else settings.retries,
        samples=samples,
        languages=model.languages,
        answer_room=model.answer_room if task.name == REFINE.name else None,
        similarity=settings.similarity,
        adapter=adapter_name(settings),
        adapter_sha256=adapter_sha256(settings),
        numerics=tuple(_numerics(settings, model)),
        variant=HINTED if model.is_hinted and style == "specialised" and HINTED in task.template_names else variant,
        options=tuple(sorted({**given, **({"unasked": True} if unasked else {})}.items())),
        coverage=coverage,
    )
    if not teachers:
        return job
    others = [
        (tongue, job_for(task, settings, teacher, samples=samples, options=options, variant=variant))
        for tongue, teacher in sorted(teachers.items())
    ]
    return replace(job, teachers=tuple(others))


def _retries(task: Task[Any], model: Model) -> int:
    return model.refine_retries if task.name == REFINE.name else RETRIES


def _sampling(task: Task[Any], settings: Settings, model: Model) -> Sampling:
    def chosen(value: Any, suiting: Any) -> Any:
        return suiting if value is None else value

    suiting = 0.0 if task.greedy else max(task.least_temperature, model.temperature)
    return Sampling(
        temperature=chosen(settings.temperature, suiting),
        top_p=chosen(settings.top_p, model.top_p),
        top_k=chosen(settings.top_k, model.top_k),
        min_p=settings.min_p,
        repeat_penalty=settings.repeat_penalty,
        max_tokens=settings.max_tokens,
    )


def _numerics(settings: Settings, model: Model) -> Iterator[tuple[str, str]]:
    if model.server is None and settings.cache_type != "f16":
        yield "cache_type", settings.cache_type
    if model.server is None and settings.deterministic:
        yield "deterministic", "yes"


def adapter_name(settings: Settings) -> str | None:
    """Return the name under which the settings' adapter is loaded, or None."""
    return None if settings.adapter is None else settings.adapter.stem


def adapter_sha256(settings: Settings) -> str | None:
    """Return the sha256 of the settings' adapter, or None; raises ModelError if it cannot be read."""
    if settings.adapter is None:
        return None
    try:
        return checksums.sha256(settings.adapter.expanduser())
    except OSError as error:
        raise ModelError(f"the adapter {settings.adapter} cannot be read: {error.strerror}") from None
