"""What belongs to an instruction: its input, the better and the worse response, the system prompt, earlier turns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from augtui.domain.records import history
from augtui.pipelines import jsontext, turns
from augtui.pipelines.layout import Found, Layout, is_blank
from augtui.pipelines.turns import Pair, Turn


def with_input(instruction: str, row: dict[str, Any], layout: Layout, extra: dict[str, Any]) -> Found:
    """Join Alpaca's `input`, Dolly's `context`, or the input of Self-Instruct's first instance, to the instruction.

    Sources: the data formats of github.com/tatsu-lab/stanford_alpaca and github.com/yizhongw/self-instruct.
    """
    found = Found(instruction, extra=extra)
    given = _number_as_text(row[layout.input]) if layout.input is not None else None
    if layout.input is not None and (given is None or isinstance(given, str)):
        del extra[layout.input]
    if layout.instances is not None and not given:
        instances = row[layout.instances]
        if isinstance(instances, list) and instances and isinstance(instances[0], dict):
            first = instances[0]
            given = _number_as_text(first.get("input"))
            output = _as_text(first.get("output"))
            found.response = output if isinstance(output, str) and not is_blank(output) else None
            if len(instances) == 1 and first.keys() <= {"input", "output"}:
                del extra[layout.instances]
    if isinstance(given, str) and given and not is_blank(given) and not is_blank(instruction):
        found.instruction = f"{instruction}\n\n{given}"
    return found


def take_response(found: Found, row: Mapping[str, Any], layout: Layout) -> None:
    """Find the response, the first field that has one; of several responses the first, of turns the last answer.

    A number or a truth value is one where no field has a text: `{"question": …, "answer": 42}`.
    """
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
            # A ranking of LLaMA-Factory's: the better response, then the worse one. Of an `answer` all are right.
            is_ranking = len(value) == 2 and key.strip().lower() == "output"
            if is_ranking and not is_blank(value[1]):
                found.extra.setdefault("rejected", value[1])
            if is_ranking or len(value) == 1:
                del found.extra[key]
        if found.response is not None and not is_blank(found.response):
            return
    for key in layout.response:
        if key in found.extra and not isinstance(row[key], str) and isinstance(text := _as_text(row[key]), str):
            del found.extra[key]
            found.response = text
            return


def _number_as_text(value: Any) -> Any:
    return value if isinstance(value, bool) else _as_text(value)


def _as_text(value: Any) -> Any:
    """Return a number or a truth value as JSON writes it, anything else as it is."""
    return json.dumps(value) if isinstance(value, bool | int | float) else value


def _repeats(spoken: Sequence[Turn], instruction: str) -> bool:
    """Say whether a response's turns are the instruction, which is held already, and one answer."""
    return len(spoken) == 2 and spoken[0] == ("user", instruction)


def take_rejected(found: Found, row: Mapping[str, Any], layout: Layout) -> None:
    """Find the response that was rejected, where there is one to prefer to it."""
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


def take_context(found: Found, layout: Layout) -> None:
    """Keep a row's own system prompt and earlier turns under the names that a record has for them."""
    for key in layout.system:
        value = found.extra.get(key)
        if isinstance(value, str) and not is_blank(value):
            del found.extra[key]
            found.extra.setdefault("system", value)
    if layout.history is None or (value := found.extra.get(layout.history)) is None:
        return
    if isinstance(value, str):  # as augtui's own JSON lines have it
        value = _parsed(value)
        if value is None:
            return
        found.extra[layout.history] = value
    if spoken := turns.of(value):
        pairs = [pair for pair in turns.pairs(spoken) if pair.response is not None]
        del found.extra[layout.history]
        if pairs:
            found.extra["history"] = [[pair.instruction, pair.response] for pair in pairs]
    elif value == [] or (layout.history != "history" and history({"history": value})):
        del found.extra[layout.history]
        if value:
            found.extra["history"] = value


def _parsed(text: str) -> Any:
    """Return the list that a text of JSON holds, [] for an empty one, None for any other text."""
    if not text:
        return []
    with suppress(jsontext.Refused):
        value = jsontext.parse(text) if text.startswith("[") else None
        return value if isinstance(value, list) else None
    return None


def said(row: Mapping[str, Any], layout: Layout) -> tuple[str, list[Turn]] | None:
    """Return the conversation that ends in the chosen response, where the prompt has no field of its own.

    Formats: https://huggingface.co/docs/trl/dataset_formats (implicit prompt), https://github.com/anthropics/hh-rlhf.
    """
    for key in layout.response:
        value = row[key]
        spoken = turns.from_transcript(value) if isinstance(value, str) else turns.of(value)
        if any(role in turns.USER_ROLES for role, _ in spoken):
            return key, spoken
    return None


def asked(value: Any) -> Pair | None:
    """Return the last pair of a prompt in turns whose answer has a field of its own; None where that is not so."""
    spoken = turns.of(value)
    if len(spoken) < 2 or spoken[-1][0] not in turns.USER_ROLES:
        return None
    last = turns.pairs(spoken)[-1:]
    return last[0] if last and turns.covers(last[0], spoken) else None
