"""What every engine does: requests in, events out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from augtui.domain.templates import Message

FinishReason = Literal["stop", "length", "loop"]
"""`stop`: the model ended its answer (EOS or a stop string); `length`: it was cut at `max_tokens`; `loop`: it repeated
itself without end (`augtui.engines.loops`) and was cut there."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn; the order of the chain is repetition penalty, top-k, top-p, min-p, temperature, draw."""

    temperature: float = 0.7
    """0 is greedy decoding: always the likeliest token, whatever the seed."""
    top_p: float = 0.9
    top_k: int = 40
    """0 keeps all tokens."""
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    """1 is none; counted over the last 64 tokens."""
    max_tokens: int | None = None
    """Longest answer in tokens; None takes what the context leaves, at most `AUTO_MAX_TOKENS`."""
    stop: tuple[str, ...] = ()
    """Strings that end the answer and are not part of it."""


AUTO_MAX_TOKENS = 1024
LEAST_ANSWER_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Request:
    """One answer to be generated; `seed` makes it the request's own draw."""

    id: str
    messages: tuple[Message, ...]
    seed: int = 0
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished answer with its tokens and times (seconds)."""

    id: str
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    shared_tokens: int
    """How many of the prompt tokens came from the shared prefix and were not computed again."""
    completion_tokens: int
    queued_s: float
    """From submission to the first prompt token in a batch."""
    first_token_s: float
    """From submission to the first token of the answer."""
    duration_s: float
    """From submission to the end of the answer."""


FailureCode = Literal["context overflow", "engine died", "bad request", "cancelled"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no answer, and will not get one by asking this engine again."""

    id: str
    code: FailureCode
    detail: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What the engine is doing: totals since it was started and the present load."""

    prompt_tokens: int
    completion_tokens: int
    active: int
    waiting: int
    slots: int
    context_used: int
    """Cells of the KV cache in use or reserved."""
    context_size: int
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Restarted:
    """The engine died and was started again; what was in flight is queued again by itself."""

    reason: str
    requeued: int


Event = Completion | Failure | Progress | Restarted


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the engine says of the model it loaded."""

    description: str
    """Architecture, size and quantization, as llama.cpp prints them."""
    parameters: int
    bytes: int
    context_train: int
    """Longest sequence (tokens) that the model was trained for."""
    context_sequence: int
    """Longest prompt plus answer (tokens) that this engine takes."""
    slots: int
    metadata: dict[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """Turns requests into completions, many at a time; one thread owns an engine."""

    @property
    def model(self) -> ModelInfo:
        """Return what was loaded; starts the engine if need be."""

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests; each ends in exactly one `Completion` or `Failure`."""

    def poll(self, timeout_s: float) -> Iterable[Event]:
        """Return what happened since the last call, waiting up to `timeout_s` for a first event."""

    def cancel(self, ids: Sequence[str]) -> None:
        """Give up requests; each ends in a `Failure` with code `cancelled`."""

    def close(self) -> None:
        """End the engine and free what it holds; safe to call twice."""
