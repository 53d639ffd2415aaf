"""Recipes: TOML files that name the steps of a pipeline and their options."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from augtui.errors import UsageError
from augtui.pipelines import settings_file
from augtui.pipelines.choices import nearest
from augtui.pipelines.recipes.options import SETTINGS, StepKind, checked, kind_named

HEADS = ("name", "description", "settings", "steps")


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One step of a recipe, checked."""

    name: str
    """Its own name in the recipe, by default that of its kind."""
    kind: StepKind
    options: Mapping[str, Any]
    """All options of its kind, with the defaults, and the settings of its model that it gives."""

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings of its model that it gives for itself."""
        return {name: value for name, value in self.options.items() if name not in self.kind.options}


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe, checked."""

    name: str
    description: str
    settings: Mapping[str, Any]
    steps: tuple[StepSpec, ...]
    source: str
    """The TOML text."""


def load(name_or_path: str, changes: Sequence[str] = (), left_out: Sequence[str] = ()) -> Recipe:
    """Return a shipped recipe by its name, or one in a file, without the steps that are left out.

    `changes` are texts STEP.OPTION=VALUE.

    Raises UsageError: no such recipe, no TOML, an unknown step or option (with the nearest name), a wrong value.
    """
    known = shipped()
    if name_or_path in known:
        source, where = known[name_or_path], name_or_path
        content = tomllib.loads(source)
    else:
        if not name_or_path.endswith(".toml") and not Path(name_or_path).exists():
            raise UsageError(f"there is no recipe {name_or_path!r}", hint=nearest(name_or_path, known))
        content, where = settings_file.read(name_or_path), name_or_path
        source = Path(name_or_path).expanduser().read_text("utf-8")
    recipe = parse(content, where, source)
    for change in changes:
        recipe = changed(recipe, change)
    return without(recipe, left_out)


def shipped() -> dict[str, str]:
    """Return the recipes that ship with augtui: TOML text by name."""
    folder = files("augtui.pipelines.recipes").joinpath("shipped")
    found = [(entry.name.removesuffix(".toml"), entry) for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return {name: entry.read_text(encoding="utf-8") for name, entry in sorted(found, key=lambda pair: pair[0])}


def parse(content: Mapping[str, Any], where: str, source: str) -> Recipe:
    """Return the recipe that a TOML file's content is. Raises UsageError."""
    for name in content:
        if name not in HEADS:
            raise UsageError(f"{where}: a recipe has no {name!r}", hint=nearest(name, HEADS))
    name, about = content.get("name", Path(where).stem), content.get("description", "")
    if not isinstance(name, str) or not isinstance(about, str) or not name.strip():
        raise UsageError(f"{where}: name and description are texts")
    steps = content.get("steps")
    if not isinstance(steps, list) or not steps or not all(isinstance(step, dict) for step in steps):
        raise UsageError(f"{where}: there are no steps", hint='Each step is a table: [[steps]], then use = "expand".')
    settings = _settings(content.get("settings", {}), where)
    recipe = Recipe(name, about.strip(), settings, tuple(_steps(steps, where)), source)
    _require_sense(recipe, where)
    return recipe


def changed(recipe: Recipe, change: str) -> Recipe:
    """Return the recipe with one option changed: STEP.OPTION=VALUE, VALUE as TOML writes it, or a bare text."""
    path, equals, text = change.partition("=")
    step_name, dot, option = path.strip().partition(".")
    if not equals or not dot or not option:
        raise UsageError(f"--set takes STEP.OPTION=VALUE, not {change!r}")
    _require_step(recipe, step_name, f"--set {change}")
    value = _toml_value(text.strip())
    head, _, inner = option.partition(".")
    steps = []
    for step in recipe.steps:
        if step.name == step_name:
            given = {**step.options, head: {**step.options.get(head, {}), inner: value} if inner else value}
            step = replace(step, options=checked(step.kind, given, f"--set {change}"))
        steps.append(step)
    return replace(recipe, steps=tuple(steps))


def without(recipe: Recipe, names: Sequence[str]) -> Recipe:
    """Return the recipe without some of its steps. Raises UsageError: no such step, or none is left."""
    for name in names:
        _require_step(recipe, name, f"--without {name}")
    steps = tuple(step for step in recipe.steps if step.name not in names)
    if not steps:
        raise UsageError(f"without {', '.join(names)} the recipe has no steps")
    return replace(recipe, steps=steps)


def _require_step(recipe: Recipe, name: str, where: str) -> None:
    names = [step.name for step in recipe.steps]
    if name not in names:
        raise UsageError(f"{where}: the recipe has no step {name!r}", hint=nearest(name, names))


def _toml_value(text: str) -> Any:
    if "\n" in text:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _settings(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise UsageError(f"{where}: [settings] is a table")
    for name in given:
        if name not in SETTINGS:
            raise UsageError(f"{where}: there is no setting {name!r}", hint=nearest(name, SETTINGS))
    return dict(given)


def _steps(steps: Sequence[Mapping[str, Any]], where: str) -> Iterator[StepSpec]:
    taken: set[str] = set()
    for number, step in enumerate(steps, start=1):
        here = f"{where}: step {number}"
        if "use" not in step:
            raise UsageError(f"{here} does not say what it uses", hint='For instance: use = "expand"')
        kind = kind_named(step["use"], here)
        name = step.get("name", kind.name)
        if not isinstance(name, str) or not name or "." in name:
            raise UsageError(f"{here}: its name is a text without dots, not {name!r}")
        if name in taken:
            raise UsageError(f"{here}: there are two steps {name!r}", hint='Give each a name of its own: name = "…"')
        taken.add(name)
        options = {key: value for key, value in step.items() if key not in ("use", "name")}
        yield StepSpec(name, kind, checked(kind, options, here))


def _require_sense(recipe: Recipe, where: str) -> None:
    """Refuse a step that cannot do anything."""
    for step in recipe.steps:
        if step.kind.name == "decontaminate" and not step.options["against"]:
            raise UsageError(f"{where}: {step.name} has no test sets", hint='against = ["test.jsonl"]')
