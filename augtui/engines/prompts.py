"""Prompts as tokens: the template's control tokens are read as such, those in a user's text are not."""

from __future__ import annotations

from typing import Protocol

from augtui.domain.templates import Message
from augtui.engines.base import Request, ScoreRequest
from augtui.engines.chat import ChatTemplate

MARK = "\ue000{}\ue001"
"""Stands for a message while the template is rendered; characters of Unicode's private use area."""


class Tokenizing(Protocol):
    """What turns text into a model's tokens, whichever library holds the model."""

    def prompt(self, text: str) -> list[int]:
        """Return the tokens of a whole prompt, with the one that begins every text of models that want it."""

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Return the tokens of `text`; `special` reads `<|im_start|>` and its like as the tokens they name."""

    def control_texts(self) -> frozenset[str]:
        """Return the texts that the vocabulary reads as control tokens."""


class PromptEncoder:
    """Renders a request with the model's chat template and tokenizes it.

    A data set may contain `<|im_end|>` or another control token's text. In a prompt it must stay text: read as the
    token, it would end the user's turn and let the data speak as the system.
    """

    def __init__(self, model: Tokenizing, template: ChatTemplate) -> None:
        """Encode for `model`, with its `template`."""
        self._model = model
        self._template = template
        self._controls = model.control_texts()

    def __call__(self, request: Request | ScoreRequest) -> list[int]:
        """Return the prompt's tokens; raises TemplateError, or ValueError for an empty prompt."""
        messages = request.messages
        if any(control in message.content for message in messages for control in self._controls):
            return self._apart(messages)
        return self._model.prompt(self._template.render(messages))

    def _apart(self, messages: tuple[Message, ...]) -> list[int]:
        """Tokenize the template around the messages, and each message as plain text."""
        marked = tuple(Message(message.role, MARK.format(place)) for place, message in enumerate(messages))
        rest = self._template.render(marked)
        tokens: list[int] = []
        for place, message in enumerate(messages):
            before, found, rest = rest.partition(MARK.format(place))
            if not found:
                raise ValueError("the chat template drops or changes a message that contains a control token")
            tokens += self._model.prompt(before) if place == 0 else self._model.tokenize(before, special=True)
            tokens += self._model.tokenize(message.content)
        return tokens + self._model.tokenize(rest, special=True)
