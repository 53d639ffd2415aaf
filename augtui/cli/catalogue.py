"""The commands described as data, for the terminal app: what a new command offers appears there by itself."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from typer.main import get_command

from augtui.cli.window import PROGRAM
from augtui.tui.catalogue import Catalogue, Command, Kind, Parameter

HIDDEN = {"help", "version", "json", "quiet", "install_completion", "show_completion"}
"""What the app decides itself."""


def describe(app: typer.Typer) -> Catalogue:
    """Return every command of the command line."""
    return Catalogue(commands(app), PROGRAM)


def commands(app: typer.Typer) -> tuple[Command, ...]:
    """Return every command of the command line as a description."""
    return tuple(_commands(get_command(app), ()))


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[Command]:
    children = getattr(command, "commands", None)
    if children is None or (path and command.invoke_without_command):
        parameters = (_parameter(found) for found in command.params if found.name not in HIDDEN)
        yield Command(path, command.help or "", tuple(found for found in parameters if found is not None))
    for name, child in (children or {}).items():
        if not child.hidden:
            yield from _commands(child, (*path, name))


def _parameter(found: Any) -> Parameter | None:
    if getattr(found, "hidden", False):
        return None
    is_option = found.param_type_name == "option"
    flags = tuple(sorted(found.opts, key=len, reverse=True)) if is_option else ()
    default = found.default
    return Parameter(
        name=found.name,
        flags=flags,
        kind=_kind(found),
        help=getattr(found, "help", None) or "",
        choices=_choices(_annotation(found)),
        default=None if default is None or callable(default) or _is_unset(default) else str(default),
        required=bool(found.required),
        multiple=bool(found.multiple or found.nargs not in (1, None)),
        off=next(iter(found.secondary_opts), None) if is_option else None,
        minimum=getattr(found, "min", None),
        maximum=getattr(found, "max", None),
    )


def _annotation(found: Any) -> Any:
    """Return the Python type of a parameter's value."""
    return getattr(getattr(found, "type_descriptor", None), "annotation", str)


def _choices(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return tuple(map(str, get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(str(member.value) for member in annotation)
    return ()


def _kind(found: Any) -> Kind:
    annotation = _annotation(found)
    if getattr(found, "is_flag", False) or annotation is bool:
        return "flag"
    if _choices(annotation):
        return "choice"
    return _KINDS.get(annotation, "text")


def _is_unset(default: object) -> bool:
    return type(default).__name__ == "Sentinel" or default in ((), [])


_KINDS: dict[Any, Kind] = {int: "integer", float: "number", Path: "path"}
