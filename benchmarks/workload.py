"""The same work for every part of a comparison: prompts, answer lengths, sampling, threads, size of the KV cache."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augtui.domain.records import Record
from augtui.domain.tasks import REFINE
from augtui.domain.templates import Message
from augtui.engines.base import Request, Sampling

WORDS = (
    "plan", "write", "explain", "garden", "travel", "river", "history", "budget", "student", "music",
    "energy", "market", "recipe", "winter", "photo", "python", "server", "design", "report", "teacher",
    "planet", "animal", "bridge", "coffee", "window", "camera", "doctor", "island", "ticket", "forest",
)  # fmt: skip
SEED = 7
PROMPT_WORDS = 24
TEMPERATURE, TOP_P, TOP_K = 0.7, 0.9, 40
SLOT_TOKENS = 768
LEAST_CELLS = 4096 + 256
"""What augtui plans by itself: so many cells of KV cache for each slot, and for one long sequence at least."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What each part computes: `prompts` answers of exactly `tokens` tokens."""

    model: Path
    prompts: int
    tokens: int
    threads: int

    def cells(self, slots: int) -> int:
        """Return the tokens that the KV cache of all slots together holds."""
        return max(slots * SLOT_TOKENS, LEAST_CELLS)

    def messages(self) -> list[tuple[Message, ...]]:
        """Return the prompts: Table 9 with random words, about 60 tokens, the first 28 of them common to all."""
        draw = random.Random(SEED)
        texts = [" ".join(draw.choices(WORDS, k=PROMPT_WORDS)) for _ in range(self.prompts)]
        return [REFINE.render(Record(text), "specialised") for text in texts]

    def requests(self) -> list[Request]:
        """Return the prompts with their sampling and seeds."""
        sampling = Sampling(temperature=TEMPERATURE, top_p=TOP_P, top_k=TOP_K, max_tokens=self.tokens, ignore_eos=True)
        return [Request(str(number), messages, number, sampling) for number, messages in enumerate(self.messages())]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one part came to in one round; rates in tokens a second, None where the part does not tell."""

    generated_tokens: int
    seconds: float
    decode_tokens_per_second: float | None = None
    prefill_tokens_per_second: float | None = None
    peak_rss_bytes: int | None = None
    cache_bytes: int | None = None
    detail: dict[str, Any] | None = None

    @property
    def tokens_per_second(self) -> float:
        """Return generated tokens by wall time."""
        return self.generated_tokens / self.seconds


def openai_messages(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    """Return messages as the chat completion interfaces want them."""
    return [{"role": message.role, "content": message.content} for message in messages]
