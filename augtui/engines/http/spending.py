"""Money: prices, what was spent, and a budget that holds whatever runs at the same time.

Before a request is sent, the most that it can cost is set aside; when it has ended, what it did cost takes that
place. A request is sent only if all that was spent and set aside, its own worst case included, is within the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from augtui.domain.templates import Message

MILLION = 1_000_000
ROUNDING = 1e-12
"""US dollars by which sums of floating-point numbers may be off."""
MESSAGE_TOKENS = 16
"""What a chat template writes around one message, generously."""
TEMPLATE_TOKENS = 256
"""What a chat template may write of its own: a default system prompt, a date, a reasoning effort."""


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars for a million tokens of prompts and of answers, and for a request."""

    prompt: float
    completion: float
    request: float = 0.0

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return what a request costs, in US dollars."""
        tokens = prompt_tokens * self.prompt + completion_tokens * self.completion
        return tokens / MILLION + self.request


class Spending:
    """What one engine spends, against a budget if there is one."""

    def __init__(self, budget: float | None = None, before: float = 0.0) -> None:
        """Begin with what was spent `before` of the same budget; both in US dollars."""
        self.budget = budget
        self.before = before
        self.spent = 0.0
        self.reserved = 0.0

    @property
    def left(self) -> float:
        """Return what may still be set aside; infinite without a budget."""
        if self.budget is None:
            return float("inf")
        return self.budget - self.before - self.spent - self.reserved

    def reserve(self, worst: float) -> bool:
        """Set a request's worst case aside; returns False, and sets nothing aside, if it does not fit."""
        if worst > self.left + ROUNDING:
            return False
        self.reserved += worst
        return True

    def settle(self, worst: float, actual: float) -> None:
        """Put what a request did cost in the place of its worst case."""
        self.reserved = max(0.0, self.reserved - worst)
        self.spent += actual


def most_prompt_tokens(texts: Sequence[str]) -> int:
    """Return more tokens than the texts have for any byte-level tokenizer: none makes more tokens than bytes."""
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)


def most_chat_tokens(messages: Sequence[Message], *further: str) -> int:
    """Return the most tokens that a chat prompt has, its template and `further` texts (a schema) included."""
    texts = [message.content for message in messages]
    return most_prompt_tokens([*texts, *further]) + MESSAGE_TOKENS * len(messages) + TEMPLATE_TOKENS
