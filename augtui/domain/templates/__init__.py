"""The prompts as templates, the paper's (Tables 7-13) and a few of ours, each versioned by the hash of its source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import jinja2

Role = Literal["system", "user", "assistant"]

PAPER_TABLES: Mapping[str, int] = {
    "refine-general": 7,
    "expand-general": 8,
    "refine": 9,
    "expand": 10,
    "pairs": 11,
    "refine-card": 9,
    "expand-card": 10,
    "pairs-card": 11,
    "refine-hinted": 9,
    "expand-hinted": 10,
    "judge-truthfulness": 12,
    "judge-detail": 13,
}
OWN: tuple[str, ...] = ("respond", "translate", "check", "classify")
"""Prompts that the paper mentions without printing them, in augtui's own words."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat, as models are trained to read it."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt: its name, the number of its table in the paper, its source and the sha256 of that source."""

    name: str
    paper_table: int | None
    source: str
    hash: str

    @property
    def version(self) -> str:
        """Return the short name that results carry, e.g. `refine@3fa1b2c4`."""
        return f"{self.name}@{self.hash[:8]}"

    def render(self, **values: object) -> tuple[Message, ...]:
        """Return the chat messages: the system prompt if the table has one, then the user prompt.

        Values are put in as they are: whatever a record contains, it is never read as template source.
        Raises `jinja2.UndefinedError` if a value that the prompt needs is missing.
        """
        compiled = _compiled(self.name)
        context = compiled.new_context(dict(values))
        roles: tuple[Role, ...] = ("system", "user")
        return tuple(
            Message(role, "".join(compiled.blocks[role](context))) for role in roles if role in compiled.blocks
        )


@cache
def load(name: str) -> Template:
    """Return the template called `name` (of `PAPER_TABLES` or `OWN`); raises KeyError if there is none."""
    table = None if name in OWN else PAPER_TABLES[name]
    source = files(__name__).joinpath(f"{name}.jinja").read_text(encoding="utf-8")
    return Template(name, table, source, hashlib.sha256(source.encode()).hexdigest())


@cache
def _compiled(name: str) -> jinja2.Template:
    compiled: jinja2.Template = _environment().from_string(load(name).source)
    return compiled


@cache
def _environment() -> Any:
    # Imported late: rendering is the only thing that needs Jinja, and `augtui --help` renders nothing.
    import jinja2

    return jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
