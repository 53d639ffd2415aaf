"""Chat templates: messages to the text that a model was trained on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from augtui.domain.templates import Message

RENDER_DEADLINE_S = 2.0

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Qwen2's template without its default system prompt; taken for a model that has none."""


class TemplateError(Exception):
    """The model's chat template cannot be used."""


class ChatTemplate:
    """A model's chat template, rendered in Jinja's sandbox."""

    def __init__(self, source: str | None, *, bos: str = "", eos: str = "") -> None:
        """Compile `source` (ChatML if None); raises TemplateError if it is not a usable template.

        `bos` and `eos` are the texts of the model's tokens of these names, which many templates write themselves.
        """
        from jinja2 import TemplateError as JinjaError
        from jinja2.ext import loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.globals["raise_exception"] = _refuse
        environment.globals["bos_token"], environment.globals["eos_token"] = bos, eos
        try:
            self._template = environment.from_string(source or CHATML)
        except (JinjaError, RecursionError) as error:
            raise TemplateError(f"the model's chat template is not valid: {error}") from error
        probe = (Message("system", "a"), Message("user", "b"))
        # A hostile template can run for ever, and no exception ends it: a thread that misses its deadline condemns
        # the model, and the process that holds both goes with it.
        _within(RENDER_DEADLINE_S, lambda: self.render(probe))

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt's text, ending where the assistant's answer begins; raises TemplateError."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return self._template.render(messages=turns, add_generation_prompt=True)
        except TemplateError:
            raise
        except Exception as error:  # it is a program of the model's author, and may fail in any way
            raise TemplateError(f"the model's chat template failed: {type(error).__name__}: {error}") from error


def _refuse(message: str) -> None:
    raise TemplateError(str(message))


def _within(seconds: float, work: Callable[[], object]) -> None:
    outcome: list[BaseException | None] = []

    def attempt() -> None:
        try:
            work()
        except BaseException as error:
            outcome.append(error)
        else:
            outcome.append(None)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TemplateError(f"the model's chat template ran for more than {seconds:g} s")
    if outcome[0] is not None:
        raise outcome[0]
