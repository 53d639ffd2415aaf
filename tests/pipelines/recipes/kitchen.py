"""A pipeline with scripted engines, for tests: the hands, and an engine that does every task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from augtui.engines.base import Request
from augtui.models.catalog import Model
from augtui.pipelines.augment import Augmentation, Summary
from augtui.pipelines.planning import Input
from augtui.pipelines.recipes import execution, recipe
from augtui.pipelines.recipes.execution import PipelineReport
from augtui.pipelines.recipes.workshop import Workshop
from augtui.pipelines.source import opened
from augtui.settings import Settings
from augtui.store.projects import Project
from tests.engines.scripted import ScriptedEngine

SEEDS = [
    {"id": "s1", "instruction": "Describe the oldest bridge of Prague in a few words.", "output": "It is of stone."},
    {"id": "s2", "instruction": "How do bees find their way home?", "output": "By the sun and by what they see."},
    {"id": "s3", "instruction": "List 12 words that rhyme with light.", "output": "Night, sight, bright and so on."},
    {"id": "s4", "instruction": "Which wood is best for a violin, and why?", "output": "Spruce, since it is stiff."},
    {
        "id": "s5",
        "instruction": "Give me a recipe for bread without yeast.",
        "output": "Flour, soda, buttermilk, salt.",
    },
    {"id": "s6", "instruction": "Explain to a child what a loan is.", "output": "Something that you give back."},
]
WORDS = ("lake", "tower", "garden", "castle", "harbour", "island", "forest", "mill", "chapel", "market", "tunnel")


def reply(request: Request) -> str:
    """Do what the prompt asks, by the request's seed alone."""
    system = request.messages[0].content
    name = hashlib.sha256(str(request.seed).encode()).digest()
    words = " ".join(WORDS[byte % len(WORDS)] for byte in name[:5])
    if "expand this instruction" in system:
        return f"Draw the {words} on one page."
    if "refine this instruction" in system:
        return f"{request.messages[-1].content} Write in full sentences, for children."
    if "continue writing" in system:
        return f"### Instruction:\nExplain the {words} to a guest.\n\n### Response:\nThe {words} are old."
    if "strict and precise assistant" in system:
        return json.dumps({"evidence": "ok", "correctness": 8, "helpfulness": 8, "informativeness": 7, "factuality": 8})
    return f"Here is what I know of it: the {words} are worth a visit in spring."


class Hands:
    """Runs with scripted engines; stops after a number of polls if it is told so."""

    def __init__(self, answer: Callable[[Request], Any] = reply, stop_after: int = 10**9) -> None:
        self.engines: dict[str, ScriptedEngine] = {}
        self.answer = answer
        self.stop_after = stop_after
        self.polls = 0
        self.told: list[tuple[str, str]] = []

    @property
    def asked(self) -> int:
        return sum(len(engine.asked) for engine in self.engines.values())

    def stop(self) -> bool:
        self.polls += 1
        return self.polls > self.stop_after

    def engine(self, model: Model, settings: Settings) -> Any:
        return self.engines.setdefault(model.name, ScriptedEngine(self.answer))

    def work(
        self, step: str, run: Augmentation, model: Model, teachers: Mapping[str, Model], settings: Settings
    ) -> Summary:
        others = {
            tongue: (lambda teacher=teacher: self.engine(teacher, settings)) for tongue, teacher in teachers.items()
        }
        return run.work(lambda: self.engine(model, settings), self.stop, lambda event: None, others)

    def tell(self, step: str, what: str, done: int, total: int) -> None:
        self.told.append((step, what))


def cook(
    project: Project, text: str, path: Path, hands: Hands, output: Path | None = None, **flags: Any
) -> PipelineReport:
    """Take a file through a recipe."""
    made = recipe.parse(recipe.tomllib.loads(text), "test.toml", text)
    with opened(str(path)) as source:
        workshop = Workshop(project, made, hands, flags, None if output is None else str(output))
        return execution.run(workshop, Input(source), lambda place, name, records: None, lambda stage: None)
