"""What can be said of each step in a recipe, and the check that it is said right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from augtui.errors import UsageError
from augtui.pipelines.choices import nearest
from augtui.settings import Settings

Check = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its kinds of value, its default, what it is for."""

    kinds: tuple[type, ...]
    default: Any
    about: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class StepKind:
    """One step that recipes can use."""

    name: str
    about: str
    options: Mapping[str, Option]
    has_model: bool = False
    """Whether a model works on it, so that every setting of a model may be given."""
    has_task: bool = field(default=False)
    """Whether its model step is the task of the same name."""


def _text(default: str | None, about: str, *choices: str) -> Option:
    return Option((str,), default, about, choices)


def _number(default: float, about: str, least: float, most: float) -> Option:
    return Option((int, float), default, about, (), least, most)


def _count(default: int, about: str, least: int = 1, most: int = 1_000_000) -> Option:
    return Option((int,), default, about, (), least, most)


def _flag(default: bool, about: str) -> Option:
    return Option((bool,), default, about)


_KINDS: Final = (
    StepKind(
        "expand",
        "new instructions of the same task type (IE)",
        {
            "count": _count(3, "new instructions for each record", 1, 10_000),
            "coverage": _flag(False, "more for sparse regions, which come first"),
        },
        has_model=True,
        has_task=True,
    ),
    StepKind(
        "refine",
        "clearer instructions (IR)",
        {
            "response": _text("keep", "what becomes of the response: it stays with the refined one", "keep", "none"),
            "originals": _text("drop", "whether refined instructions take the place of theirs", "drop", "keep"),
        },
        has_model=True,
        has_task=True,
    ),
    StepKind(
        "respond",
        "responses by a model or teachers; ground truth stays",
        {
            "teachers": Option((dict,), {}, "models by language: en, zh, other, default"),
            "system": _text(None, "a system prompt"),
            "unanswered": _text("keep", "what becomes of records without a response", "keep", "drop"),
        },
        has_model=True,
        has_task=True,
    ),
    StepKind(
        "pairs",
        "new instruction-response pairs (IRE)",
        {
            "count": Option((int, float), 1.0, "new pairs: a number, or a share of the pairs there are (1.0: as many)"),
            "k": _text("1..3", "examples at a time"),
            "headings": _text("colon", "Table 11's headings with or without colons", "colon", "bare"),
        },
        has_model=True,
        has_task=True,
    ),
    StepKind(
        "translate",
        "pairs in the other language",
        {
            "to": _text("both", "zh, en, or both", "zh", "en", "both"),
            "measure": _text("chrf", "how the back-translation is compared", "chrf", "rouge-l"),
            "least": _number(0.4, "least likeness of the back-translation; 0 makes none", 0, 1),
        },
        has_model=True,
        has_task=True,
    ),
    StepKind(
        "check",
        "quality assessment: rules, then a judge if one is named",
        {
            "rules": Option((str, list), "usual", "rules or groups by name"),
            "without": Option((str, list), [], "rules to leave out"),
            "limits": Option((dict,), {}, "from where on something is a fault"),
            "judge": _text(None, "the model that scores"),
            "least": Option((int, dict), {}, "least scores: one for all, or by criterion"),
        },
        has_model=True,
    ),
    StepKind(
        "balance",
        "task-aware sampling: each class of tasks gets its share",
        {
            "size": _count(0, "rows to end with; 0: as many as there are", 0, 10_000_000),
            "mix": Option((str, dict), "tapir", "tapir, uniform, or a table of classes and their shares"),
            "shortage": _text("less", "what a class with too few gets: less, or expansion", "less", "expand"),
            "classifier": _text(None, "a model that labels; default: the small classifier that ships"),
        },
        has_model=True,
    ),
    StepKind(
        "dedupe",
        "of records that say the same, the first one",
        {
            "method": _text("rouge-l", "how likeness is found", "exact", "minhash", "rouge-l", "embedding"),
            "threshold": _number(0.7, "from which likeness on a record is dropped", 0, 1),
            "on": _text("instruction", "what is compared", "instruction", "response", "both"),
        },
        has_model=True,
    ),
    StepKind(
        "decontaminate",
        "keep what test sets ask out",
        {
            "against": Option((str, list), [], "test sets"),
            "ngram": _count(13, "words in a row that must not be shared", 1, 1000),
            "near": _text("rouge-l", "how nearly equal texts are found", "rouge-l", "minhash", "off"),
            "threshold": _number(0.8, "from which likeness on they are nearly equal", 0, 1),
            "on": _text("both", "which text is looked at", "instruction", "response", "both"),
        },
    ),
    StepKind(
        "export",
        "write the records",
        {
            "format": _text("messages", "the format"),
            "output": _text(None, "the file; default: the command's -o"),
            "validation": _number(0.0, "share of families in a second file", 0, 0.5),
        },
    ),
    StepKind(
        "trainset",
        "training sets for augmentation models (Table 2)",
        {
            "kinds": Option((str, list), ["ie", "ir", "ire"], "ie, ir, ire"),
            "output": _text(None, "the folder; default: beside the command's -o"),
            "validation": _number(0.05, "share of families in second files", 0, 0.5),
            "shuffle": _number(0.15, "share of pair outputs that are shuffled", 0, 1),
        },
    ),
)
KINDS: Final[Mapping[str, StepKind]] = {kind.name: kind for kind in _KINDS}
"""Every step that recipes can use, by name."""

SETTINGS: Final = tuple(name for name in Settings.model_fields if name != "project")
"""Settings that a recipe can give for all steps, and each step that a model works on for itself."""


def kind_named(name: object, where: str) -> StepKind:
    """Return the kind of step of that name; raises UsageError with the nearest one."""
    if isinstance(name, str) and name in KINDS:
        return KINDS[name]
    raise UsageError(f"{where}: there is no step {name!r}", hint=nearest(str(name), KINDS))


def checked(kind: StepKind, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a step's options with the defaults; settings of its model are returned as they are.

    Raises UsageError: an option that the step does not have (with the nearest), a value of the wrong kind or range.
    """
    found = {name: option.default for name, option in kind.options.items()}
    for name, value in given.items():
        option = kind.options.get(name)
        if option is not None:
            found[name] = _value(option, value, f"{where}: {name}")
        elif kind.has_model and name in SETTINGS:
            found[name] = value
        else:
            known = [*kind.options, *(SETTINGS if kind.has_model else ())]
            raise UsageError(f"{where}: {kind.name} has no option {name!r}", hint=nearest(name, known))
    return found


def _value(option: Option, value: Any, where: str) -> Any:
    if value is None and option.default is None:
        return None
    fits = isinstance(value, option.kinds) and (bool in option.kinds or not isinstance(value, bool))
    if not fits:
        names = " or ".join(_NAMES[kind] for kind in option.kinds)
        raise UsageError(f"{where} is {names}, not {value!r}")
    if option.choices and value not in option.choices:
        raise UsageError(f"{where}: there is no {value!r}", hint=nearest(value, option.choices))
    if option.least is not None and option.most is not None and not option.least <= value <= option.most:
        raise UsageError(f"{where} is from {option.least:g} to {option.most:g}, not {value!r}")
    return value


_NAMES: Final = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}
