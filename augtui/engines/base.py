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
    ignore_eos: bool = False
    """Whether the model's end-of-answer tokens are never drawn; for measuring."""


AUTO_MAX_TOKENS = 1024
LEAST_ANSWER_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Request:
    """One answer to be generated; `seed` makes it the request's own draw."""

    id: str
    messages: tuple[Message, ...]
    seed: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    schema: str | None = None
    """A JSON schema (as JSON text) that the answer must satisfy; not together with `grammar`."""
    grammar: str | None = None
    """A GBNF grammar that the answer must follow, from its rule `root`
    (https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md)."""
    adapter: str | None = None
    """The LoRA adapter to answer with, by the name it was loaded under; None is the base model."""
    stream: bool = False
    """Whether its text is told while it is written, by `Partial` events, where the engine can (llama.cpp)."""


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """How likely is `answer` after `messages`, and by itself? (The two sides of IFD, https://arxiv.org/abs/2308.12032.)"""

    id: str
    messages: tuple[Message, ...]
    answer: str
    adapter: str | None = None


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """A text to be turned into a vector."""

    id: str
    text: str


Work = Request | ScoreRequest | EmbedRequest


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
    drafted_tokens: int = 0
    """Tokens that speculation proposed for this answer."""
    confirmed_tokens: int = 0
    """Those of them that the model would have drawn itself, and that are part of the answer."""
    cost: float | None = None
    """What the answer cost, in US dollars, where the engine is paid for; retries included."""


@dataclass(frozen=True, slots=True)
class Score:
    """Log-likelihoods (natural logarithm) of the tokens of an answer, in order."""

    id: str
    given: tuple[float, ...]
    """log p(token | instruction, earlier tokens of the answer), one for each token of the answer."""
    alone: tuple[float, ...]
    """log p(token | earlier tokens of the answer). Where the model has no token that begins every text, nothing
    predicts the first one, and there is one value less than in `given`."""
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Embedding:
    """A text as the mean of its tokens' last hidden states, of length (L2 norm) 1."""

    id: str
    vector: tuple[float, ...]
    tokens: int


FailureCode = Literal[
    "context overflow",
    "engine died",
    "bad request",
    "cancelled",
    "unsupported",
    "refused",
    "unreachable",
    "budget",
]
"""`unsupported`: this engine cannot do such work at all; `refused`: the server rejected the request for good;
`unreachable`: every retry failed; `budget`: the money is spent."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no answer, and will not get one by asking this engine again."""

    id: str
    code: FailureCode
    detail: str
    cost: float | None = None
    """What its tries cost all the same, in US dollars, where the engine is paid for."""


@dataclass(slots=True)
class Timing:
    """Where an engine's time went since it was started, in seconds, and the tokens that it bought.

    A step computes prompt tokens, answer tokens, or both; the rates of prefill and decode come from the pure ones.
    """

    prefill_s: float = 0.0
    prefill_tokens: int = 0
    decode_s: float = 0.0
    decode_tokens: int = 0
    """Tokens of answers that came out of steps without prompts: confirmed drafts count, refuted ones do not."""
    mixed_s: float = 0.0
    mixed_prompt_tokens: int = 0
    mixed_answer_tokens: int = 0
    sampling_s: float = 0.0
    other_s: float = 0.0
    """Building batches, texts and messages: whatever is neither computing nor sampling, while there was work."""
    steps: int = 0


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
    timing: Timing = field(default_factory=lambda: Timing())
    cost: float | None = None
    """US dollars spent since the engine was started, where it is paid for."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """The engine died and was started again; what was in flight is queued again by itself."""

    reason: str
    requeued: int


@dataclass(frozen=True, slots=True)
class Partial:
    """The text of an answer so far; the answer goes on, and ends in its `Completion`."""

    id: str
    text: str


Outcome = Completion | Score | Embedding | Failure
"""Each piece of work ends in exactly one of these."""
Event = Outcome | Progress | Restarted | Partial


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
    context_cells: int = 0
    """Tokens that the KV cache holds, of all sequences together."""
    cache_bytes: int = 0
    """Size of the KV cache."""
    threads: int = 0
    gpu_layers: int = 0
    adapters: tuple[str, ...] = ()


class Engine(Protocol):
    """Turns work into outcomes, many at a time; one thread owns an engine."""

    @property
    def model(self) -> ModelInfo:
        """Return what was loaded; starts the engine if need be."""

    def submit(self, requests: Sequence[Work]) -> None:
        """Queue work; each piece ends in exactly one `Outcome`."""

    def poll(self, timeout_s: float) -> Iterable[Event]:
        """Return what happened since the last call, waiting up to `timeout_s` for a first event."""

    def cancel(self, ids: Sequence[str]) -> None:
        """Give up requests; each ends in a `Failure` with code `cancelled`."""

    def close(self) -> None:
        """End the engine and free what it holds; safe to call twice."""
