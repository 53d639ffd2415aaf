"""Find the instruction, the response and the id in a row, by the names that published data sets use."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from augtui.domain.records import history
from augtui.pipelines import turns
from augtui.pipelines.shapes import AUTO, ID_NAMES, Shape
from augtui.pipelines.turns import Choice, Pair, Turn

INSTRUCTION_NAMES: Final = AUTO.instruction

_SYSTEM_NAMES: Final = ("system", "system_prompt")
_LAYOUTS_KEPT: Final = 1024
_SQLITE_INTEGER: Final = 1 << 63

NO_FIELD: Final = "no instruction field"
NOT_TEXT: Final = "instruction is not text"
EMPTY: Final = "empty"
NUL: Final = "NUL byte"
NOT_AN_OBJECT: Final = "not an object"


class NoRecord(Exception):
    """The row cannot become a record; `reason` says why in a few words."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Found:
    """What a row holds, under augtui's names; `extra` may have `system`, `history` and `rejected`."""

    instruction: str
    response: str | None = None
    source_id: str | int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Layout:
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


class Finder:
    """Finds the fields of rows of one file."""

    def __init__(self, name: str | None = None, shape: Shape = AUTO, choice: Choice = "first") -> None:
        """Keep the user's own `name` of the instruction, a key or a dotted path such as `task.prompt`.

        `shape` says which names count, `choice` which pairs of a conversation.
        """
        self._name = name
        self._shape = shape
        self._choice = choice
        self._layouts: dict[tuple[str, ...], _Layout] = {}

    def find(self, row: Any) -> Found:
        """Return what the row holds, of several records the first. Raises NoRecord."""
        return self.find_all(row)[0]

    def find_all(self, row: Any) -> list[Found]:
        """Return what the row holds: one record, or several of a conversation if they are wanted.

        A row is an object, a string (the instruction), or a list of strings (a dialogue, as in LCCC: the
        first turn is the instruction, the second the response). Raises NoRecord.
        """
        if isinstance(row, dict):
            found = self._in_object(row)
        elif self._name is not None:
            raise NoRecord(NOT_AN_OBJECT)
        elif isinstance(row, str) and self._shape.strings:
            found = [Found(row)]
        elif self._shape.lists and _is_dialogue(row):
            extra: dict[str, Any] = {"turns": row}
            found = self._conversation("turns", turns.from_dialogue(row), extra)
        else:
            raise NoRecord(NOT_AN_OBJECT)
        return _whole(found)

    def _in_object(self, row: dict[str, Any]) -> list[Found]:
        layout = self._layout(row)
        extra = dict(row)
        found = self._instruction(row, layout, extra)
        for one in found:
            if one.response is None and len(found) == 1:
                _take_response(one, row, layout)
            _take_rejected(one, row, layout)
            _take_context(one, layout)
        if layout.id is not None:
            identity = row[layout.id]
            if isinstance(identity, str) or (isinstance(identity, int) and not isinstance(identity, bool)):
                fits = isinstance(identity, str) or -_SQLITE_INTEGER <= identity < _SQLITE_INTEGER
                for one in found:
                    one.source_id = identity if fits else str(identity)
                    one.extra.pop(layout.id, None)
        return found

    def _layout(self, row: Mapping[str, Any]) -> _Layout:
        keys = tuple(row)
        layout = self._layouts.get(keys)
        if layout is None:
            if len(self._layouts) >= _LAYOUTS_KEPT:
                self._layouts.clear()
            layout = self._layouts[keys] = self._arranged(keys)
        return layout

    def _arranged(self, keys: tuple[str, ...]) -> _Layout:
        plain = [(key, key.strip().lower()) for key in keys]
        shape = self._shape

        def named(names: Iterable[str]) -> tuple[str, ...]:
            return tuple(key for name in names for key, lowered in plain if lowered == name)

        if self._name is None:
            instruction = named(shape.instruction)
        elif self._name in keys:
            instruction = (self._name,)
        else:
            instruction = named((self._name.strip().lower(),))
        return _Layout(
            instruction=instruction,
            joins=frozenset(named(shape.joins)),
            input=next(iter(named(shape.input)), None),
            instances=next(iter(named(("instances",))), None),
            response=named(shape.response),
            rejected=named(shape.rejected),
            system=named(_SYSTEM_NAMES),
            history=next(iter(named(("history",))), None),
            id=next(iter(named(ID_NAMES)), None),
        )

    def _instruction(self, row: dict[str, Any], layout: _Layout, extra: dict[str, Any]) -> list[Found]:
        for key in layout.instruction:
            value = row[key]
            if value is None:
                continue
            if isinstance(value, str):
                del extra[key]
                return [_with_input(value, row, layout, extra) if key in layout.joins else Found(value, extra=extra)]
            return self._in_turns(key, value, extra)
        if self._name is not None and "." in self._name:
            value = _at(row, self._name.split("."))
            if isinstance(value, str):
                return [Found(value, extra=extra)]
            if value is not None:
                return self._in_turns(None, value, extra)
        if self._name is None and (said := _said(row, layout)):
            key, spoken = said
            return self._conversation(key, spoken, extra, choice="last")
        raise NoRecord(NO_FIELD)

    def _in_turns(self, key: str | None, value: Any, extra: dict[str, Any]) -> list[Found]:
        """Return what a conversation holds: turns, a tree of them, a dialogue's lines, or the parts of one turn."""
        if isinstance(value, dict) and "replies" in value:
            return self._in_tree(key, value, extra)
        if spoken := turns.of(value):
            return self._conversation(key, spoken, extra)
        if _is_dialogue(value) and len(value) > 1:
            return self._conversation(key, turns.from_dialogue(value), extra)
        text = turns.content(value)
        if text is None:
            raise NoRecord(NOT_TEXT)
        if key is not None and isinstance(value, list) and all(_only_text(part) for part in value):
            del extra[key]
        return [Found(text, extra=extra)]

    def _conversation(
        self, key: str | None, spoken: list[Turn], extra: dict[str, Any], choice: Choice | None = None
    ) -> list[Found]:
        """Return the wanted pairs; `extra` keeps the whole conversation where they do not hold all of it."""
        choice = choice or self._choice
        pairs = turns.pairs(spoken)
        if not pairs:
            raise NoRecord(NOT_TEXT)
        wanted = turns.chosen(pairs, choice)
        if key is not None and _covers(wanted[-1], spoken):
            extra.pop(key, None)
        found = [_found(pair, extra if at == 0 else _without(extra, key)) for at, pair in enumerate(wanted)]
        if choice == "first":
            found[0].extra.pop("history", None)
        return found

    def _in_tree(self, key: str | None, tree: Any, extra: dict[str, Any]) -> list[Found]:
        paths = turns.from_tree(tree)
        if not paths:
            raise NoRecord(NOT_TEXT)
        if self._choice != "all":
            return self._conversation(None, paths[0], extra)
        rest = _without(extra, key)
        found = (pair for path in paths for pair in turns.chosen(turns.pairs(path), "all"))
        records = [_found(pair, rest) for pair in dict.fromkeys(found)]
        if not records:
            raise NoRecord(NOT_TEXT)
        return records


def _whole(found: list[Found]) -> list[Found]:
    """Check the texts. Raises NoRecord where none is a record; of several the empty ones are left out."""
    refused = EMPTY
    kept = []
    for one in found:
        if is_blank(one.instruction):
            continue
        if one.response is not None and is_blank(one.response):
            one.response = None
        if "\0" in one.instruction or (one.response and "\0" in one.response):
            refused = NUL
            continue
        kept.append(one)
    if not kept:
        raise NoRecord(refused)
    return kept


def _is_dialogue(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(turn, str) for turn in value)


def _covers(pair: Pair, spoken: Sequence[Turn]) -> bool:
    """Say whether the pair with its system prompt and history is all of a conversation."""
    held = 2 * len(pair.history) + (1 if pair.response is None else 2) + (pair.system is not None)
    return held == len(spoken)


def _found(pair: Pair, extra: Mapping[str, Any]) -> Found:
    own = dict(extra)
    if pair.system is not None:
        own["system"] = pair.system
    if pair.history:
        own["history"] = [list(turn) for turn in pair.history]
    return Found(pair.instruction, pair.response, extra=own)


def _without(extra: Mapping[str, Any], key: str | None) -> dict[str, Any]:
    return {name: value for name, value in extra.items() if name != key}


def _said(row: Mapping[str, Any], layout: _Layout) -> tuple[str, list[Turn]] | None:
    """Return the conversation that ends in the chosen response, where the prompt has no field of its own.

    Formats: https://huggingface.co/docs/trl/dataset_formats (implicit prompt), https://github.com/anthropics/hh-rlhf.
    """
    for key in layout.response:
        value = row[key]
        spoken = turns.from_transcript(value) if isinstance(value, str) else turns.of(value)
        if any(role in turns.USER_ROLES for role, _ in spoken):
            return key, spoken
    return None


def is_blank(text: str) -> bool:
    """Return whether nothing of the text can be seen: only spaces, control and format characters."""
    # Nearly all real text begins with a letter or a digit, and this is asked several times a row.
    if text[:1].isalnum():
        return False
    return all(char.isspace() or unicodedata.category(char) in ("Cc", "Cf") for char in text)


def names_in(rows: Iterable[Any]) -> list[str]:
    """Return the keys of the rows that are objects, in order of appearance, for a message."""
    return list(dict.fromkeys(key for row in rows if isinstance(row, dict) for key in row))


def _with_input(instruction: str, row: dict[str, Any], layout: _Layout, extra: dict[str, Any]) -> Found:
    """Join Alpaca's `input`, Dolly's `context`, or the input of Self-Instruct's first instance, to the instruction.

    Sources: the data formats of github.com/tatsu-lab/stanford_alpaca and github.com/yizhongw/self-instruct.
    """
    found = Found(instruction, extra=extra)
    given = row[layout.input] if layout.input is not None else None
    if layout.input is not None and (given is None or isinstance(given, str)):
        del extra[layout.input]
    if layout.instances is not None and not given:
        instances = row[layout.instances]
        if isinstance(instances, list) and instances and isinstance(instances[0], dict):
            first = instances[0]
            given = first.get("input")
            output = first.get("output")
            found.response = output if isinstance(output, str) and not is_blank(output) else None
            if len(instances) == 1 and first.keys() <= {"input", "output"}:
                del extra[layout.instances]
    if isinstance(given, str) and given and not is_blank(given) and not is_blank(instruction):
        found.instruction = f"{instruction}\n\n{given}"
    return found


def _take_response(found: Found, row: Mapping[str, Any], layout: _Layout) -> None:
    for key in layout.response:
        value = row[key]
        if key not in found.extra or value is None:
            continue
        if isinstance(value, str):
            del found.extra[key]
            found.response = value
        elif (spoken := turns.of(value)) and (text := turns.last_answer(spoken)) is not None:
            found.response = text
            if len(spoken) == 1 or _repeats(spoken, found.instruction):
                del found.extra[key]
        elif isinstance(value, list) and value and all(isinstance(text, str) for text in value):
            found.response = value[0]
            # A ranking of LLaMA-Factory's: the better response, then the worse one.
            if len(value) == 2 and not is_blank(value[1]):
                found.extra.setdefault("rejected", value[1])
            if len(value) <= 2:
                del found.extra[key]
        if found.response is not None and not is_blank(found.response):
            return


def _repeats(spoken: Sequence[Turn], instruction: str) -> bool:
    """Say whether a response's turns are the instruction, which is held already, and one answer."""
    return len(spoken) == 2 and spoken[0] == ("user", instruction)


def _take_rejected(found: Found, row: Mapping[str, Any], layout: _Layout) -> None:
    for key in layout.rejected:
        value = row[key]
        text: str | None
        if isinstance(value, str):
            text = turns.last_answer(turns.from_transcript(value)) or value
        else:
            spoken = turns.of(value)
            text = turns.last_answer(spoken)
        if text is not None and not is_blank(text) and found.response is not None:
            found.extra.pop(key, None)
            found.extra["rejected"] = text
            return


def _take_context(found: Found, layout: _Layout) -> None:
    """Keep a row's own system prompt and earlier turns under the names that a record has for them."""
    for key in layout.system:
        value = found.extra.get(key)
        if isinstance(value, str) and not is_blank(value):
            del found.extra[key]
            found.extra.setdefault("system", value)
    if layout.history is None or (value := found.extra.get(layout.history)) is None:
        return
    if spoken := turns.of(value):
        pairs = [pair for pair in turns.pairs(spoken) if pair.response is not None]
        del found.extra[layout.history]
        if pairs:
            found.extra["history"] = [[pair.instruction, pair.response] for pair in pairs]
    elif value == [] or (layout.history != "history" and history({"history": value})):
        del found.extra[layout.history]
        if value:
            found.extra["history"] = value


def _only_text(part: Any) -> bool:
    return isinstance(part, str) or (isinstance(part, dict) and part.keys() <= {"type", "text"})


def _at(row: Any, path: Sequence[str]) -> Any:
    """Return what lies at a path of keys and list positions, None where there is nothing."""
    for step in path:
        if isinstance(row, dict):
            row = row.get(step)
        elif isinstance(row, list) and step.isdecimal() and int(step) < len(row):
            row = row[int(step)]
        else:
            return None
    return row


def jsonable(value: Any) -> Any:
    """Return a Parquet value as JSON can hold it: dates and decimals as text, of bytes their number."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            return f"<{len(value)} bytes>"
        case dict():
            return {str(key): jsonable(item) for key, item in value.items()}
        case list() | tuple():
            return [jsonable(item) for item in value]
        case _:
            return str(value)


def shown(row: Any, limit: int = 200) -> str:
    """Return the beginning of a row as text without surrogates, for a report."""
    text = row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)
    return text[:limit].encode("utf-8", "replace").decode()
