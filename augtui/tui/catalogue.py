"""What the command line can do, as data: the app offers each command as a form, and runs it as a child process."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Kind = Literal["text", "integer", "number", "path", "flag", "choice"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One option or argument of a command."""

    name: str
    flags: tuple[str, ...]
    """Its spellings, the long one first; empty for an argument, which is given by its place."""
    kind: Kind
    help: str = ""
    choices: tuple[str, ...] = ()
    default: str | None = None
    required: bool = False
    multiple: bool = False
    off: str | None = None
    """The flag that says no, where there is one."""
    minimum: float | None = None
    """The least number that it takes."""
    maximum: float | None = None
    """The greatest one."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command, by the words that call it."""

    path: tuple[str, ...]
    help: str
    parameters: tuple[Parameter, ...] = ()

    @property
    def name(self) -> str:
        """Return the words of the command."""
        return " ".join(self.path)

    @property
    def summary(self) -> str:
        """Return the first sentence of its help."""
        first = self.help.strip().split("\n\n")[0].replace("\n", " ")
        return first.split(". ")[0].rstrip(".")

    def parameter(self, name: str) -> Parameter | None:
        """Return the parameter of that name, None where the command has none."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    def arguments(self, values: Mapping[str, str | bool | None]) -> list[str]:
        """Return the command's words and options for the values given; what is None or empty is left out.

        A value of an option that takes several is a shell-like list of words.
        """
        words = list(self.path)
        positional: list[str] = []
        for parameter in self.parameters:
            value = values.get(parameter.name)
            if value is None or value == "" or value is False:
                continue
            if parameter.kind == "flag":
                words.append(parameter.flags[0])
                continue
            each = shlex.split(str(value)) if parameter.multiple else [str(value)]
            if not parameter.flags:
                positional += each
                continue
            for one in each:
                # In one word, so that a value that begins with a dash is not taken for an option.
                words += [f"{parameter.flags[0]}={one}"] if one.startswith("-") else [parameter.flags[0], one]
        return words + (["--", *positional] if any(word.startswith("-") for word in positional) else positional)


@dataclass(frozen=True)
class Catalogue:
    """All commands, and how a process that runs one is started."""

    source: Sequence[Command] | Callable[[], Sequence[Command]]
    """The commands, or what describes them: the app paints its first screen before it loads the command line."""
    program: tuple[str, ...]
    """The words before the command's: an interpreter and a module."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def commands(self) -> tuple[Command, ...]:
        """Return the commands, described when they are first asked for."""
        return tuple(self.source() if callable(self.source) else self.source)

    def get(self, name: str) -> Command | None:
        """Return a command by its words, None where there is none."""
        return next((command for command in self.commands if command.name == name), None)


def shown(arguments: Sequence[str], prefix: str = "augtui") -> str:
    """Return a command as one would type it."""
    return f"{prefix} {shlex.join(arguments)}"
