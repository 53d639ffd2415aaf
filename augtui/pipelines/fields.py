"""Find the instruction, the response and the id in a row, by the names that published data sets use."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from augtui.pipelines import answers, turns
from augtui.pipelines.layout import Found, Layout, arranged, is_blank
from augtui.pipelines.shapes import AUTO, Shape
from augtui.pipelines.turns import Choice, Pair, Turn

INSTRUCTION_NAMES: Final = AUTO.instruction

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


class Finder:
    """Finds the fields of rows of one file."""

    def __init__(
        self, name: str | None = None, shape: Shape = AUTO, choice: Choice = "first", response: str | None = None
    ) -> None:
        """Keep the user's own `name` of the instruction, a key or a dotted path such as `task.prompt`.

        `response` is the user's own name of the response, a key.
        `shape` says which names count, `choice` which pairs of a conversation.
        """
        self._name = name
        self._shape = shape
        self._choice = choice
        self._response = response
        self._layouts: dict[tuple[str, ...], Layout] = {}

    def find(self, row: Any) -> Found:
        """Return what the row holds, of several records the first. Raises NoRecord."""
        return self.find_all(row)[0]

    def find_all(self, row: Any) -> list[Found]:
        """Return what the row holds: one record, or several of a conversation if they are wanted.

        A row is an object, a string (the instruction), or a list of strings (a dialogue, as in LCCC: the
        first turn is the instruction, the second the response). Raises NoRecord.
        """
        if isinstance(row, dict):
            if (plain := self._plain(row)) is not None:
                return [plain]
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

    def _plain(self, row: dict[str, Any]) -> Found | None:
        layout = self._layouts.get(tuple(row)) or self._layout(row)
        return _plain(row, layout) if layout.is_plain else None

    def _in_object(self, row: dict[str, Any]) -> list[Found]:
        layout = self._layout(row)
        extra = dict(row)
        found = self._instruction(row, layout, extra)
        for one in found:
            if one.response is None and len(found) == 1:
                answers.take_response(one, row, layout)
            answers.take_rejected(one, row, layout)
            answers.take_context(one, layout)
        if layout.id is not None:
            identity = row[layout.id]
            if isinstance(identity, str) or (isinstance(identity, int) and not isinstance(identity, bool)):
                fits = isinstance(identity, str) or -_SQLITE_INTEGER <= identity < _SQLITE_INTEGER
                for one in found:
                    one.source_id = identity if fits else str(identity)
                    one.extra.pop(layout.id, None)
        return found

    def _layout(self, row: Mapping[str, Any]) -> Layout:
        keys = tuple(row)
        layout = self._layouts.get(keys)
        if layout is None:
            if len(self._layouts) >= _LAYOUTS_KEPT:
                self._layouts.clear()
            layout = self._layouts[keys] = arranged(keys, self._shape, self._name, self._response)
        return layout

    def _instruction(self, row: dict[str, Any], layout: Layout, extra: dict[str, Any]) -> list[Found]:
        for key in layout.instruction:
            value = row[key]
            if value is None:
                continue
            if isinstance(value, str):
                del extra[key]
                return [
                    answers.with_input(value, row, layout, extra) if key in layout.joins else Found(value, extra=extra)
                ]
            if layout.response and (asked := answers.asked(value)) is not None:
                del extra[key]
                return [_found(asked, extra)]
            return self._in_turns(key, value, extra)
        if self._name is not None and "." in self._name:
            value = _at(row, self._name.split("."))
            if isinstance(value, str):
                return [Found(value, extra=extra)]
            if value is not None:
                return self._in_turns(None, value, extra)
        if self._name is None and (said := answers.said(row, layout)):
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
        if key is not None and turns.covers(wanted[-1], spoken):
            extra.pop(key, None)
        return [_found(pair, extra if at == 0 else _without(extra, key)) for at, pair in enumerate(wanted)]

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


def _plain(row: dict[str, Any], layout: Layout) -> Found | None:
    """Return what a row of a plain layout holds if it is nothing but texts; None where there is more to it."""
    instruction = row[layout.instruction[0]]
    if type(instruction) is not str or not instruction[:1].isalnum() or "\0" in instruction:
        return None
    response = None
    if layout.response:
        response = row[layout.response[0]]
        if type(response) is not str or not response[:1].isalnum() or "\0" in response:
            return None
    if layout.joined is not None:
        given = row[layout.joined]
        if type(given) is not str or "\0" in given:
            return None
        if given and not is_blank(given):
            instruction = f"{instruction}\n\n{given}"
    identity = None
    if layout.id is not None:
        identity = row[layout.id]
        if type(identity) is not str and (type(identity) is not int or not 0 <= identity < _SQLITE_INTEGER):
            return None
    return Found(instruction, response, identity, {name: row[name] for name in layout.rest} if layout.rest else {})


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


def _found(pair: Pair, extra: Mapping[str, Any]) -> Found:
    own = dict(extra)
    if pair.system is not None:
        own["system"] = pair.system
    if pair.history:
        own["history"] = [list(turn) for turn in pair.history]
    return Found(pair.instruction, pair.response, extra=own)


def _without(extra: Mapping[str, Any], key: str | None) -> dict[str, Any]:
    return {name: value for name, value in extra.items() if name != key}


def names_in(rows: Iterable[Any]) -> list[str]:
    """Return the keys of the rows that are objects, in order of appearance, for a message."""
    return list(dict.fromkeys(key for row in rows if isinstance(row, dict) for key in row))


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
