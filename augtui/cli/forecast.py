"""A forecast as a table, or as JSON."""

from __future__ import annotations

import json as encoder
import sys

from augtui.domain.visible import excerpt
from augtui.pipelines.planning import Supply
from augtui.pipelines.recipes.forecast import StepForecast, forecast
from augtui.pipelines.recipes.workshop import Workshop
from augtui.settings import Settings

_HEAD = (
    f"{'step':<16}{'records':>9}{'items':>9}{'prompt':>12}{'answer':>12}{'time':>10}{'cost':>10}{'out':>9}  told from"
)


def show_forecast(workshop: Workshop, supply: Supply, settings: Settings, *, json: bool, quiet: bool) -> None:
    """Print each step's forecast as it is ready, and the sum. `quiet` leaves the explanations out."""
    told: list[StepForecast] = []
    if not json:
        print(_HEAD)
    for step in forecast(workshop, supply):
        told.append(step)
        if not json:
            print(_line(step), flush=True)
    if json:
        print(encoder.dumps({"recipe": workshop.recipe.name, "steps": [step.as_json() for step in told], **_sum(told)}))
        return
    print(_line(_total(told)))
    if quiet:
        return
    if any(step.basis == "assumed" for step in told):
        print(
            "assumed: from the lengths of the prompts; a server is not asked, since it may cost money", file=sys.stderr
        )
    if any(step.basis == "measured" for step in told):
        print("measured: on a few records, in a project that was thrown away", file=sys.stderr)
    if any(step.cost is None for step in told):
        print("cost: give --price-in and --price-out (US dollars for a million tokens)", file=sys.stderr)


def _sum(told: list[StepForecast]) -> dict[str, object]:
    total = _total(told).as_json()
    return {name: total[name] for name in ("items", "prompt_tokens", "completion_tokens", "seconds", "cost", "out")}


def _total(told: list[StepForecast]) -> StepForecast:
    seconds = [step.seconds for step in told]
    costs = [step.cost for step in told]
    return StepForecast(
        "in all", "", told[0].records, sum(step.items for step in told),
        sum(step.prompt_tokens for step in told), sum(step.completion_tokens for step in told),
        None if None in seconds else sum(value for value in seconds if value is not None),
        None if None in costs else sum(value for value in costs if value is not None),
        told[-1].out, "no model",
    )  # fmt: skip


def _line(step: StepForecast) -> str:
    cost = "?" if step.cost is None else f"{step.cost:.4f} $" if step.cost else "-"
    basis = step.basis if step.use else ""
    return (
        f"{excerpt(step.step, 15):<16}{step.records:>9,}{step.items:>9,}{step.prompt_tokens:>12,}"
        f"{step.completion_tokens:>12,}{_duration(step.seconds):>10}{cost:>10}{step.out:>9,}  {basis}"
    ).rstrip()


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    if seconds == 0:
        return "-"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
