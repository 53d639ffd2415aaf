"""Where the rows of a data set keep what: found once for rows with the same keys."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from augtui.pipelines.shapes import AUTO, CHOSEN, ID_NAMES, Shape

_SYSTEM_NAMES: Final = ("system", "system_prompt")
_REFINED: Final = frozenset({"instruction", "refined", "status", "provenance"})
"""The keys by which a row of `augtui refine` is known: its refined prompt is what the next step works on."""


@dataclass(slots=True)
class Found:
    """What a row holds, under augtui's names; `extra` may have `system`, `history` and `rejected`."""

    instruction: str
    response: str | None = None
    source_id: str | int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a row with certain keys keeps what; rows of one file mostly share it."""

    instruction: tuple[str, ...]
    joins: frozenset[str]
    input: str | None
    instances: str | None
    response: tuple[str, ...]
    rejected: tuple[str, ...]
    system: tuple[str, ...]
    history: str | None
    id: str | None
    is_plain: bool
    """Whether there is one instruction, one response at most, and nothing of a conversation or of instances."""
    rest: tuple[str, ...]
    """The keys that a plain row keeps as extra fields."""
    joined: str | None
    """The key whose text a plain row joins to its instruction."""


def arranged(keys: tuple[str, ...], shape: Shape, own_name: str | None, own_response: str | None = None) -> Layout:
    """Return where rows with these keys keep what, by a shape's names or the user's own for the two texts."""
    plain = [(key, key.strip().lower()) for key in keys]

    def named(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(key for name in names for key, lowered in plain if lowered == name)

    if own_name is None:
        instruction = named(shape.instruction)
    elif own_name in keys:
        instruction = (own_name,)
    else:
        instruction = named((own_name.strip().lower(),))
    if own_name is None and shape is AUTO and set(keys) >= _REFINED:
        instruction = ("refined", *instruction)
    joins = frozenset(named(shape.joins))
    given = next(iter(named(shape.input)), None)
    instances, turned = named(("instances",)), named(("history",))
    response, rejected, system = named(shape.response), named(shape.rejected), named(_SYSTEM_NAMES)
    if own_response is not None:
        response = (own_response,) if own_response in keys else named((own_response.strip().lower(),))
    elif rejected:
        # Whatever else a row has as its response: what was rejected was rejected in favour of the chosen one.
        response = tuple(sorted(response, key=lambda key: key.strip().lower() not in CHOSEN))
    identity = next(iter(named(ID_NAMES)), None)
    taken = {*instruction[:1], *response[:1], identity}
    joined = given if instruction and instruction[0] in joins else None
    taken.add(joined)
    return Layout(
        instruction=instruction,
        joins=joins,
        input=given,
        instances=next(iter(instances), None),
        response=response,
        rejected=rejected,
        system=system,
        history=next(iter(turned), None),
        id=identity,
        is_plain=len(instruction) == 1 and len(response) <= 1 and not (rejected or system or instances or turned),
        rest=tuple(key for key in keys if key not in taken),
        joined=joined,
    )


def is_blank(text: str) -> bool:
    """Return whether nothing of the text can be seen: only spaces, control and format characters."""
    # Nearly all real text begins with a letter or a digit, and this is asked several times a row.
    if text[:1].isalnum():
        return False
    return all(char.isspace() or unicodedata.category(char) in ("Cc", "Cf") for char in text)
