"""What client and worker say to each other: one JSON object a line, each way.

To the worker: `{"op": "load", …}` once, then `submit`, `cancel`, `close`. From it: `{"event": "ready", …}` or
`{"event": "refused", …}`, then `admitted` (the ids in the next decode), `completion`, `failure`, `progress` and `beat`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from augtui.domain.templates import Message
from augtui.engines.base import Completion, Failure, ModelInfo, Progress, Request, Sampling


def encode(message: Mapping[str, Any]) -> bytes:
    """Return one line; text that is not Unicode (lone surrogates) is replaced rather than refused."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Return the object of one line; raises ValueError if it is none."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not a message")
    return message


def pack_request(request: Request) -> dict[str, Any]:
    """Return a request as JSON values."""
    return {
        "id": request.id,
        "seed": request.seed,
        "messages": [[message.role, message.content] for message in request.messages],
        "sampling": asdict(request.sampling),
    }


def unpack_request(packed: Mapping[str, Any]) -> Request:
    """Return the request that `pack_request` packed."""
    sampling = dict(packed["sampling"])
    sampling["stop"] = tuple(sampling["stop"])
    messages = tuple(Message(role, content) for role, content in packed["messages"])
    return Request(packed["id"], messages, packed["seed"], Sampling(**sampling))


def pack_event(event: Completion | Failure | Progress | ModelInfo) -> dict[str, Any]:
    """Return an event as JSON values, its kind under `event`."""
    kinds = {Completion: "completion", Failure: "failure", Progress: "progress", ModelInfo: "ready"}
    return {"event": kinds[type(event)], **asdict(event)}


def unpack_event(packed: Mapping[str, Any]) -> Completion | Failure | Progress | ModelInfo:
    """Return the event that `pack_event` packed; raises KeyError for another kind."""
    types: dict[str, Any] = {
        "completion": Completion,
        "failure": Failure,
        "progress": Progress,
        "ready": ModelInfo,
    }
    values = dict(packed)
    event: Completion | Failure | Progress | ModelInfo = types[values.pop("event")](**values)
    return event
