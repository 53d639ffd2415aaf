"""Teachers: which model writes the responses in which language (paper, 3.1.2: one for Chinese, one for the rest).

The model that ships with augtui writes prompts: for anything else it is asked only if it is named.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from augtui.domain.language import Language
from augtui.errors import UsageError
from augtui.settings import Settings, load

DEFAULT = "default"
GENERAL = {"translate": "translate", "classify": "label tasks"}
"""What only a general model can do, by task; for responses there are teachers."""
WANTING = (*GENERAL, "respond")
"""The tasks that want a model named."""
LANGUAGES = (Language.EN.value, Language.ZH.value, Language.OTHER.value)


@dataclass(frozen=True, slots=True)
class Teachers:
    """Models' names by language, and the one for all other records (None: they are left without)."""

    by_language: Mapping[str, str]
    default: str | None


def teachers_of(given: Sequence[str], model: str | None) -> Teachers:
    """Return the teachers that `--teacher LANGUAGE=MODEL` options and `-m` name; raises UsageError if none is."""
    named: dict[str, str] = {}
    for text in given:
        tongue, sign, name = text.partition("=")
        if not sign:
            raise UsageError(f"--teacher {text}: LANGUAGE=MODEL is wanted")
        if tongue in named:
            raise UsageError(f"--teacher names two models for {tongue}")
        named[tongue] = name
    teachers = teachers_named(named, model or _set_model())
    if teachers.default is None and not teachers.by_language:
        raise _nobody("write responses", "-m MODEL.gguf, or --teacher zh=… default=…")
    return teachers


def require_named(task: str, settings: Settings) -> None:
    """Raise UsageError for work that only a general model can do, where the settings name no model."""
    if (work := GENERAL.get(task)) and "model" not in settings.model_fields_set:
        raise _nobody(work, "or -m MODEL.gguf")


def _nobody(work: str, others: str) -> UsageError:
    return UsageError(
        f"no model is named that could {work}: the default model writes prompts only",
        hint=f"For instance -m http://localhost:11434/v1#qwen2.5, {others}",
    )


def teachers_named(named: Mapping[str, object], model: str | None) -> Teachers:
    """Return the teachers of a table by language, `model` for what it leaves out; raises UsageError."""
    by_language: dict[str, str] = {}
    for tongue, name in named.items():
        if tongue not in (*LANGUAGES, DEFAULT):
            raise UsageError(f"teachers are for {', '.join((*LANGUAGES, DEFAULT))}, not for {tongue!r}")
        if not isinstance(name, str) or not name:
            raise UsageError(f"the teacher for {tongue} is the name of a model, not {name!r}")
        by_language[tongue] = name
    default = by_language.pop(DEFAULT, None)
    if default is not None and model is not None and default != model:
        raise UsageError("two models are named for the same records", hint=f"default={default}, and {model}")
    return Teachers(by_language, default or model)


def _set_model() -> str | None:
    """Return the model of the user's own settings, None if they name none."""
    settings = load()
    return settings.model if "model" in settings.model_fields_set or os.environ.get("AUGTUI_MODEL") else None
