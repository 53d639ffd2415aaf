"""What is asked of an OpenAI-compatible server, in words that the server at hand takes.

Standard fields are always sent. The extensions (`top_k`, `min_p`, `repeat_penalty`, `ignore_eos`) are sent only where
they are set to something: what is not sent is the server's own choice. Two standard fields are given up when a server
rejects them by name: `max_tokens` becomes `max_completion_tokens` (reasoning models of OpenAI), and `seed` is left out
(Mistral). https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Set
from typing import Any

from augtui.engines.base import AUTO_MAX_TOKENS, EmbedRequest, Request, Sampling

SEED_BITS = 31
"""Servers read seeds as signed or unsigned numbers of 32 or 64 bits: 31 bits are the same to all of them."""
_UNKNOWN = re.compile(
    r"unsupported|not supported|unknown|unrecogni[sz]ed|unexpected|extra|not permitted", re.IGNORECASE
)


class Dialect:
    """The fields that one server takes; learned from its refusals."""

    def __init__(self) -> None:
        """Begin with the standard."""
        self.limit_field = "max_tokens"
        self.sends_seed = True

    def learn(self, status: int, faulted: Set[str], message: str, sent: Mapping[str, object]) -> bool:
        """Take the refusal of what was `sent` in; returns whether the same request, put anew, may be taken."""
        if status not in (400, 422):
            return False
        # A value that is too large is not a field that is unknown: without its limit an answer could cost anything.
        unknown = "max_tokens" in faulted and _UNKNOWN.search(message) is not None
        if "max_tokens" in sent and (unknown or "max_completion_tokens" in message):
            self.limit_field = "max_completion_tokens"
            return True
        if "seed" in sent and "seed" in faulted:
            self.sends_seed = False
            return True
        return False

    def chat(self, model: str, request: Request) -> dict[str, Any]:
        """Return the body of a chat completion; raises ValueError for a schema that is not JSON.

        An adapter is sent as the model's name, as vLLM serves LoRA adapters.
        """
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": request.adapter or model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "n": 1,
            "stream": False,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            self.limit_field: answer_limit(sampling),
        }
        if self.sends_seed:
            body["seed"] = request.seed % (1 << SEED_BITS)
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        body |= _extensions(sampling)
        if request.schema is not None:
            schema = {"name": "answer", "schema": json.loads(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if request.grammar is not None:
            body["grammar"] = request.grammar  # llama-server's own field
        return body

    def embedding(self, model: str, request: EmbedRequest) -> dict[str, Any]:
        """Return the body of an embedding."""
        return {"model": model, "input": request.text, "encoding_format": "float"}


def answer_limit(sampling: Sampling) -> int:
    """Return the most tokens that an answer may have; a server is always told."""
    return AUTO_MAX_TOKENS if sampling.max_tokens is None else sampling.max_tokens


def _extensions(sampling: Sampling) -> Mapping[str, Any]:
    fields: dict[str, Any] = {}
    if sampling.top_k > 0:
        fields["top_k"] = sampling.top_k
    if sampling.min_p > 0:
        fields["min_p"] = sampling.min_p
    if sampling.repeat_penalty != 1.0:
        # llama.cpp's name and vLLM's; each ignores the other's.
        fields["repeat_penalty"] = fields["repetition_penalty"] = sampling.repeat_penalty
    if sampling.ignore_eos:
        fields["ignore_eos"] = True
    return fields
