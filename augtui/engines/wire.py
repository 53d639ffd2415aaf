"""What client and worker say to each other: one JSON object a line, each way.

To the worker: `{"op": "load", …}` once, then `submit`, `cancel`, `close`. From it: `{"event": "ready", …}` or
`{"event": "refused", …}`, then `admitted` (the ids in the next decode), `completion`, `score`,
`embedding`, `failure`, `progress` and `beat`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from augtui.domain.templates import Message
from augtui.engines.base import (
    Completion,
    Embedding,
    EmbedRequest,
    Failure,
    ModelInfo,
    Outcome,
    Partial,
    Progress,
    Request,
    Sampling,
    Score,
    ScoreRequest,
    Timing,
    Work,
)


def encode(message: Mapping[str, Any]) -> bytes:
    """Return one line; text that is not Unicode (lone surrogates) is replaced rather than refused."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Return the object of one line; raises ValueError if it is none."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not a message")
    return message


def pack_work(work: Work) -> dict[str, Any]:
    """Return a piece of work as JSON values, its kind under `kind`."""
    packed = {"kind": _WORK_NAMES[type(work)], **asdict(work)}
    if not isinstance(work, EmbedRequest):
        packed["messages"] = [[message.role, message.content] for message in work.messages]
    return packed


def unpack_work(packed: Mapping[str, Any]) -> Work:
    """Return the work that `pack_work` packed; raises KeyError for another kind."""
    values = dict(packed)
    kind = _WORK[values.pop("kind")]
    if "messages" in values:
        values["messages"] = tuple(Message(role, content) for role, content in values["messages"])
    if "sampling" in values:
        sampling = dict(values["sampling"])
        sampling["stop"] = tuple(sampling["stop"])
        values["sampling"] = Sampling(**sampling)
    work: Work = kind(**values)
    return work


def pack_event(event: Outcome | Progress | ModelInfo | Partial) -> dict[str, Any]:
    """Return an event as JSON values, its kind under `event`."""
    return {"event": _EVENT_NAMES[type(event)], **asdict(event)}


def unpack_event(packed: Mapping[str, Any]) -> Outcome | Progress | ModelInfo | Partial:
    """Return the event that `pack_event` packed; raises KeyError for another kind."""
    values = dict(packed)
    kind = _EVENTS[values.pop("event")]
    for name in _TUPLES & values.keys():
        values[name] = tuple(values[name])
    if "timing" in values:
        values["timing"] = Timing(**values["timing"])
    event: Outcome | Progress | ModelInfo | Partial = kind(**values)
    return event


_WORK: dict[str, Any] = {"generate": Request, "score": ScoreRequest, "embed": EmbedRequest}
_WORK_NAMES = {kind: name for name, kind in _WORK.items()}
_EVENTS: dict[str, Any] = {
    "completion": Completion,
    "score": Score,
    "embedding": Embedding,
    "failure": Failure,
    "partial": Partial,
    "progress": Progress,
    "ready": ModelInfo,
}
_EVENT_NAMES = {kind: name for name, kind in _EVENTS.items()}
_TUPLES = {"given", "alone", "vector", "adapters"}
