"""Find the instruction, the response and the id in a row, by the names that published data sets use."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

INSTRUCTION_NAMES: Final = (
    "instruction",
    "prompt",
    "query",
    "question",
    "text",
    "messages",
    "conversations",
)
"""Names of an instruction, the first that a row has wins; any case."""
RESPONSE_NAMES: Final = ("output", "response", "answer", "completion", "chosen")
ID_NAMES: Final = ("id", "_id", "idx", "uuid")

_USER_ROLES: Final = frozenset({"user", "human", "prompter"})
_ASSISTANT_ROLES: Final = frozenset({"assistant", "gpt", "chatgpt", "model", "bot"})
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
    """What a row holds, under augtui's names."""

    instruction: str
    response: str | None = None
    source_id: str | int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a row with certain keys keeps what; rows of one file mostly share it."""

    instruction: tuple[str, ...]
    input: str | None
    instances: str | None
    response: tuple[str, ...]
    id: str | None


class Finder:
    """Finds the fields of rows of one file."""

    def __init__(self, name: str | None = None) -> None:
        """Keep the user's own `name` of the instruction, a key or a dotted path such as `task.prompt`."""
        self._name = name
        self._layouts: dict[tuple[str, ...], _Layout] = {}

    def find(self, row: Any) -> Found:
        """Return what the row holds.

        A row is an object, a string (the instruction), or a list of strings (a dialogue, as in LCCC: the
        first turn is the instruction, the second the response). Raises NoRecord.
        """
        if isinstance(row, dict):
            found = self._in_object(row)
        elif self._name is not None:
            raise NoRecord(NOT_AN_OBJECT)
        elif isinstance(row, str):
            found = Found(row)
        elif isinstance(row, list) and row and all(isinstance(turn, str) for turn in row):
            found = Found(row[0], row[1] if len(row) > 1 else None)
            if len(row) > 2:
                found.extra["turns"] = row
        else:
            raise NoRecord(NOT_AN_OBJECT)
        if is_blank(found.instruction):
            raise NoRecord(EMPTY)
        if found.response is not None and is_blank(found.response):
            found.response = None
        if "\0" in found.instruction or (found.response and "\0" in found.response):
            raise NoRecord(NUL)
        return found

    def _in_object(self, row: dict[str, Any]) -> Found:
        layout = self._layout(row)
        extra = dict(row)
        found = self._instruction(row, layout, extra)
        found.extra = extra
        if found.response is None:
            _take_response(found, row, layout)
        if layout.id is not None:
            identity = row[layout.id]
            if isinstance(identity, str) or (isinstance(identity, int) and not isinstance(identity, bool)):
                fits = isinstance(identity, str) or -_SQLITE_INTEGER <= identity < _SQLITE_INTEGER
                found.source_id = identity if fits else str(identity)
                del extra[layout.id]
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

        def named(*names: str) -> tuple[str, ...]:
            return tuple(key for name in names for key, lowered in plain if lowered == name)

        if self._name is None:
            instruction = named(*INSTRUCTION_NAMES)
        elif self._name in keys:
            instruction = (self._name,)
        else:
            instruction = named(self._name.strip().lower())
        return _Layout(
            instruction=instruction,
            input=next(iter(named("input")), None),
            instances=next(iter(named("instances")), None),
            response=named(*RESPONSE_NAMES),
            id=next(iter(named(*ID_NAMES)), None),
        )

    def _instruction(self, row: dict[str, Any], layout: _Layout, extra: dict[str, Any]) -> Found:
        for key in layout.instruction:
            value = row[key]
            if value is None:
                continue
            if isinstance(value, str):
                del extra[key]
                joins = key.strip().lower() == "instruction"
                return _with_input(value, row, layout, extra) if joins else Found(value)
            return _conversation(key, value, extra)
        if self._name is not None and "." in self._name:
            value = _at(row, self._name.split("."))
            if isinstance(value, str):
                return Found(value)
            if value is not None:
                return _conversation(None, value, extra)
        raise NoRecord(NO_FIELD)


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
    """Join Alpaca's `input`, or that of Self-Instruct's first instance, to the instruction.

    Sources: the data formats of github.com/tatsu-lab/stanford_alpaca and github.com/yizhongw/self-instruct.
    """
    found = Found(instruction)
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
        elif (turns := _turns(value)) and (text := _first(turns, _ASSISTANT_ROLES)) is not None:
            found.response = text
            if len(turns) == 1:
                del found.extra[key]
        elif isinstance(value, list) and value and all(isinstance(text, str) for text in value):
            found.response = value[0]
            if len(value) == 1:
                del found.extra[key]
        if found.response is not None and not is_blank(found.response):
            return


def _conversation(key: str | None, value: Any, extra: dict[str, Any]) -> Found:
    """Return the first user turn and the assistant's after it; `extra` keeps the whole if there is more."""
    turns = _turns(value)
    if not turns:
        text = _content(value)
        if text is None:
            raise NoRecord(NOT_TEXT)
        if key is not None and isinstance(value, list) and all(_only_text(part) for part in value):
            del extra[key]
        return Found(text)
    at = next((n for n, (role, text) in enumerate(turns) if role in _USER_ROLES and text is not None), None)
    if at is None:
        raise NoRecord(NOT_TEXT)
    instruction = turns[at][1] or ""
    response = None
    if at + 1 < len(turns) and turns[at + 1][0] in _ASSISTANT_ROLES:
        response = turns[at + 1][1]
    if key is not None and len(turns) == (1 if response is None else 2):
        del extra[key]
    return Found(instruction, response)


def _turns(value: Any) -> list[tuple[str, str | None]]:
    """Return (role, text) of each OpenAI (`role`, `content`) or ShareGPT (`from`, `value`) turn, else []."""
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        return []
    turns = []
    for turn in value:
        if not isinstance(turn, dict):
            return []
        role = turn.get("role", turn.get("from"))
        if not isinstance(role, str):
            return []
        turns.append((role.lower(), _content(turn.get("content", turn.get("value", turn.get("text"))))))
    return turns


def _first(turns: Sequence[tuple[str, str | None]], roles: frozenset[str]) -> str | None:
    return next((text for role, text in turns if role in roles and text is not None), None)


def _content(value: Any) -> str | None:
    """Return a turn's text: a string, or a list of parts of which those with a `text` are joined."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return None
    texts = [part if isinstance(part, str) else part.get("text") for part in value if isinstance(part, str | dict)]
    kept = [text for text in texts if isinstance(text, str)]
    return "".join(kept) if kept else None


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
