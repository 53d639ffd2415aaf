"""Continuous batching over llama.cpp: many sequences in one decode, new prompts joining between steps.

Each step is one `llama_decode` of one token for every answer under way, filled up with pieces of the prompts that wait
(chunked prefill). The prefix that prompts have in common (the system prompt, usually) is computed once and shared
by sequence. A prompt is admitted only when the cache has room for it and for its longest answer, so that a decode
never runs out of cells.
"""

from __future__ import annotations

import codecs
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from augtui.engines.base import (
    AUTO_MAX_TOKENS,
    LEAST_ANSWER_TOKENS,
    Completion,
    Failure,
    FinishReason,
    ModelInfo,
    Progress,
    Request,
    Work,
)
from augtui.engines.loops import CHECK_EVERY, loops
from augtui.engines.native import Context, Model, Sampler, tokens_in_common

LEAST_SHARED_PREFIX = 8
"""Shorter common prefixes (tokens) are not worth a sequence of their own."""

Encode = Callable[[Request], list[int]]
"""A request to the tokens of its prompt; may raise anything."""


class Overflow(Exception):
    """A prompt and its answer do not fit into one sequence; the message says by how much."""


@dataclass(slots=True)
class _Waiting:
    request: Request
    tokens: list[int]
    answer_tokens: int
    submitted: float


@dataclass(slots=True)
class _Slot:
    """One sequence at work: first its prompt is computed, then its answer drawn token by token."""

    sequence: int
    request: Request
    tokens: list[int]
    answer_tokens: int
    submitted: float
    admitted: float
    sampler: Sampler
    shared: int
    reserved: int
    computed: int
    """Prompt tokens whose keys and values are in the cache."""
    pending: int | None = None
    """The token drawn last, not yet in the cache."""
    place: int = -1
    """Where this step's logits are, or -1."""
    drawn: int = 0
    answer: list[int] = field(default_factory=list)
    first_token: float = 0.0
    text: str = ""
    decoder: codecs.IncrementalDecoder = field(default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"))


class Batcher:
    """Owns a context and turns requests into completions, step by step."""

    def __init__(self, weights: Model, context: Context, info: ModelInfo, encode: Encode) -> None:
        """Serve `info.slots` requests at a time, each of at most `info.context_sequence` prompt plus answer."""
        self.weights = weights
        self.context = context
        self.model = info
        self.sequence_tokens = info.context_sequence
        self.slots = slots = info.slots
        self._encode = encode
        self._free = list(range(slots - 1, -1, -1))
        self._prefix_sequence = slots
        self._prefix: list[int] = []
        self._reserved = 0
        self._waiting: deque[_Waiting] = deque()
        self._active: list[_Slot] = []
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.steps = 0

    @property
    def busy(self) -> bool:
        """Return whether any request is waiting or under way."""
        return bool(self._active or self._waiting)

    def submit(self, work: Work) -> Failure | None:
        """Queue a request; returns a failure if it can never be served."""
        if not isinstance(work, Request):
            return Failure(work.id, "unsupported", "not yet")
        request = work
        try:
            tokens = self._encode(request)
            if not tokens:
                raise ValueError("the chat template makes an empty prompt of it")
            answer_tokens = self._answer_tokens(len(tokens), request.sampling.max_tokens)
        except Overflow as overflow:
            return Failure(request.id, "context overflow", str(overflow))
        except Exception as error:  # a template or a tokenizer may refuse anything; the record is to blame, not the run
            return Failure(request.id, "bad request", f"{type(error).__name__}: {error}"[:500])
        self._waiting.append(_Waiting(request, tokens, answer_tokens, time.monotonic()))
        return None

    def _answer_tokens(self, prompt: int, wanted: int | None) -> int:
        limit = min(self.sequence_tokens, self.context.cells)
        if wanted is not None:
            if prompt + wanted > limit:
                raise Overflow(f"{prompt} prompt tokens + {wanted} answer tokens > {limit} of the context")
            return wanted
        left = limit - prompt
        # An answer about as long as its prompt must fit, else it would only be cut off later.
        if left < LEAST_ANSWER_TOKENS + prompt // 2:
            raise Overflow(f"{prompt} prompt tokens leave {max(left, 0)} of {limit} for the answer")
        return min(AUTO_MAX_TOKENS, left)

    def cancel(self, ids: set[str]) -> list[Failure]:
        """Drop requests that wait or are under way."""
        dropped = [entry.request.id for entry in self._waiting if entry.request.id in ids]
        self._waiting = deque(entry for entry in self._waiting if entry.request.id not in ids)
        for slot in [slot for slot in self._active if slot.request.id in ids]:
            dropped.append(slot.request.id)
            self._release(slot)
        return [Failure(name, "cancelled", "cancelled") for name in dropped]

    def step(self) -> list[Completion]:
        """Run one decode and return the answers that it finished."""
        self.admit()
        if not self._active:
            return []
        context = self.context
        context.clear_batch()
        for slot in self._active:
            slot.place = -1
            if slot.pending is not None:
                position = slot.computed + slot.drawn - 1
                slot.place = context.add(slot.pending, position, slot.sequence, output=True)
        for slot in self._active:
            if slot.pending is None and context.room:
                self._prefill(slot)
        context.decode()
        self.steps += 1
        return list(self._draw())

    def _prefill(self, slot: _Slot) -> None:
        count = min(self.context.room, len(slot.tokens) - slot.computed)
        last = len(slot.tokens) - 1
        for position in range(slot.computed, slot.computed + count):
            place = self.context.add(slot.tokens[position], position, slot.sequence, output=position == last)
            if position == last:
                slot.place = place
        slot.computed += count
        self.prompt_tokens += count

    def _draw(self) -> Iterator[Completion]:
        now = time.monotonic()
        for slot in [slot for slot in self._active if slot.place >= 0]:
            token = slot.sampler.sample(self.context, slot.place)
            if not slot.first_token:
                slot.first_token = now
            reason = self._accept(slot, token)
            if reason is not None:
                yield self._complete(slot, reason)

    def _accept(self, slot: _Slot, token: int) -> FinishReason | None:
        if self.weights.is_end(token):
            return "stop"
        slot.pending = token
        slot.drawn += 1
        slot.answer.append(token)
        self.completion_tokens += 1
        fresh = slot.decoder.decode(self.weights.piece(token))
        if fresh:
            slot.text += fresh
            if self._stopped(slot, len(fresh)):
                return "stop"
        if slot.drawn >= slot.answer_tokens:
            return "length"
        return "loop" if slot.drawn % CHECK_EVERY == 0 and loops(slot.answer) else None

    @staticmethod
    def _stopped(slot: _Slot, fresh: int) -> bool:
        places = (
            slot.text.find(stop, max(0, len(slot.text) - fresh - len(stop))) for stop in slot.request.sampling.stop
        )
        first = min((place for place in places if place >= 0), default=-1)
        if first < 0:
            return False
        slot.text = slot.text[:first]
        return True

    def _complete(self, slot: _Slot, reason: FinishReason) -> Completion:
        if reason != "stop":
            slot.text += slot.decoder.decode(b"", final=True)
        self._release(slot)
        now = time.monotonic()
        return Completion(
            id=slot.request.id,
            text=slot.text,
            finish_reason=reason,
            prompt_tokens=len(slot.tokens),
            shared_tokens=slot.shared,
            completion_tokens=slot.drawn,
            queued_s=round(slot.admitted - slot.submitted, 6),
            first_token_s=round(slot.first_token - slot.submitted, 6),
            duration_s=round(now - slot.submitted, 6),
        )

    def _release(self, slot: _Slot) -> None:
        self._active.remove(slot)
        self.context.forget(slot.sequence)
        slot.sampler.close()
        self._reserved -= slot.reserved
        self._free.append(slot.sequence)

    def active_ids(self) -> set[str]:
        """Return the ids of the requests that the next decode will compute."""
        return {slot.request.id for slot in self._active}

    def admit(self) -> None:
        """Give free slots to waiting requests while the cache has room for them and their longest answers."""
        while self._free and self._waiting:
            waiting = self._waiting[0]
            self._choose_prefix(waiting.tokens)
            # The last prompt token is always computed: its logits are what the answer starts from.
            shared = min(tokens_in_common(self._prefix, waiting.tokens), len(waiting.tokens) - 1)
            reserved = len(waiting.tokens) - shared + waiting.answer_tokens
            if len(self._prefix) + self._reserved + reserved > self.context.cells:
                if self._active:
                    return
                # Alone it fits by itself; the prefix is what stands in its way.
                self._drop_prefix()
                shared, reserved = 0, len(waiting.tokens) + waiting.answer_tokens
            self._waiting.popleft()
            sequence = self._free.pop()
            if shared:
                self.context.share(self._prefix_sequence, sequence, shared)
            self._reserved += reserved
            self._active.append(
                _Slot(
                    sequence=sequence,
                    request=waiting.request,
                    tokens=waiting.tokens,
                    answer_tokens=waiting.answer_tokens,
                    submitted=waiting.submitted,
                    admitted=time.monotonic(),
                    sampler=Sampler(waiting.request.sampling, waiting.request.seed),
                    shared=shared,
                    reserved=reserved,
                    computed=shared,
                )
            )

    def _choose_prefix(self, tokens: list[int]) -> None:
        """Compute a new shared prefix when the queue has one and the present prefix does not serve it."""
        if tokens_in_common(self._prefix, tokens) >= LEAST_SHARED_PREFIX or len(self._waiting) < 2:
            return
        if not self.weights.shares_prefixes:
            return
        length = min(tokens_in_common(tokens, other.tokens) for other in list(self._waiting)[1:9])
        length = min(length, len(tokens) - 1)
        if length < LEAST_SHARED_PREFIX:
            return
        held = {id(slot): slot.shared for slot in self._active}
        if any(held.values()) or length + self._reserved + len(tokens) > self.context.cells:
            # Slots that still stand on the old prefix keep its cells alive: wait for them rather than count them twice.
            return
        self._drop_prefix()
        self._compute_prefix(tokens[:length])

    def _drop_prefix(self) -> None:
        self.context.forget(self._prefix_sequence)
        self._prefix = []

    def _compute_prefix(self, prefix: list[int]) -> None:
        for start in range(0, len(prefix), self.context.batch_size):
            self.context.clear_batch()
            chunk = prefix[start : start + self.context.batch_size]
            for offset, token in enumerate(chunk):
                position = start + offset
                self.context.add(token, position, self._prefix_sequence, output=position == len(prefix) - 1)
            self.context.decode()
        self._prefix = prefix
        self.prompt_tokens += len(prefix)

    def progress(self, rss_bytes: int) -> Progress:
        """Return the totals and the present load."""
        return Progress(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            active=len(self._active),
            waiting=len(self._waiting),
            slots=self.slots,
            context_used=self._reserved + len(self._prefix),
            context_size=self.context.cells,
            rss_bytes=rss_bytes,
        )
