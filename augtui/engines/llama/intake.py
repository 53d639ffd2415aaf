"""Work as it comes in: checked, turned into tokens, and given a sampler."""

from __future__ import annotations

import time
from collections.abc import Callable

from augtui.engines.assembly import Overflow, answer_room
from augtui.engines.base import EmbedRequest, Request, ScoreRequest, Work
from augtui.engines.llama.native import Model
from augtui.engines.llama.sampler import Candidates, Sampler
from augtui.engines.llama.slots import Waiting

USUAL_BYTES = 16
"""Texts with fewer bytes for each token of the context are simply tokenized."""
Encode = Callable[[Request | ScoreRequest], list[int]]
"""A request to the tokens of its prompt; may raise anything."""


class Intake:
    """Turns pieces of work into what waits for a slot."""

    def __init__(self, weights: Model, encode: Encode, longest: int) -> None:
        """Take sequences of at most `longest` tokens, prompt and answer together."""
        self._weights = weights
        self._encode = encode
        self._longest = longest
        self._candidates = Candidates(weights.n_vocab)

    def passes(self, work: Work, passed: int) -> list[Waiting]:
        """Return what is to be computed for a piece of work, which came in after `passed` others were admitted.

        Raises Overflow for what is too long, and whatever a template, a tokenizer or a grammar raises.
        """
        now = time.monotonic()
        self._require_size(work)
        if isinstance(work, EmbedRequest):
            text = _require(self._weights.tokenize(work.text), "the text is empty")
            return [self._fit(Waiting(work, self._begun(text), 0, now, passed))]
        if not self._weights.generates:
            raise ValueError("this model embeds texts and does not continue them")
        if work.adapter is not None and work.adapter not in self._weights.adapters:
            raise ValueError(f"no adapter {work.adapter!r} is loaded")
        prompt = _require(self._encode(work), "the chat template makes an empty prompt of it")
        if isinstance(work, Request):
            room = answer_room(len(prompt), work.sampling.max_tokens, self._longest)
            return [Waiting(work, prompt, room, now, passed, Sampler(self._weights, self._candidates, work))]
        answer = _require(self._weights.tokenize(work.answer), "the answer is empty")
        # The last token's own likelihood is read before it: it need not be computed.
        given = Waiting(work, (prompt + answer)[:-1], 0, now, passed, targets=answer)
        text = self._begun(answer)
        alone = Waiting(work, text[:-1], 0, now, passed, targets=text[1:], is_alone=True)
        return [self._fit(entry) for entry in (given, alone) if entry.tokens]

    def _require_size(self, work: Work) -> None:
        """Refuse what is certainly too long before it is tokenized: that takes minutes for megabytes of one letter."""
        texts = [work.text] if isinstance(work, EmbedRequest) else [message.content for message in work.messages]
        texts += [work.answer] if isinstance(work, ScoreRequest) else []
        size = sum(len(text.encode("utf-8", "replace")) for text in texts)
        if size > self._longest * USUAL_BYTES and size > self._longest * self._weights.longest_piece:
            raise Overflow(f"{size} bytes are more than the context of {self._longest} tokens can hold")

    @staticmethod
    def prompt_tokens(given: Waiting) -> int:
        """Return the length of the prompt before an answer that is to be scored."""
        return len(given.tokens) + 1 - len(given.targets)

    def _begun(self, tokens: list[int]) -> list[int]:
        begin = self._weights.begin_token
        return tokens if begin is None else [begin, *tokens]

    def _fit(self, waiting: Waiting) -> Waiting:
        if len(waiting.tokens) > self._longest:
            raise Overflow(f"{len(waiting.tokens)} tokens > {self._longest} of the context")
        return waiting


def _require(tokens: list[int], fault: str) -> list[int]:
    if not tokens:
        raise ValueError(fault)
    return tokens
