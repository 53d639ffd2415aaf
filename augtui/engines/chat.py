"""Chat templates: messages to the text that a model was trained on."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence

from augtui.domain.templates import Message

RENDER_DEADLINE_S = 2.0
RENDER_LIMIT_S = 4.0
"""Seconds of computing after which the system ends a process that is not to be stopped otherwise."""
MOST_ADDED, MOST_TIMES = 100_000, 8
"""A prompt has at most so many characters of the template's own and so many times those of its messages."""

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
        from jinja2.ext import loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.globals["raise_exception"] = _refuse
        environment.globals["bos_token"], environment.globals["eos_token"] = bos, eos
        probe = (Message("system", "a"), Message("user", "b"))

        def prepare() -> None:
            try:
                with _doomed(RENDER_LIMIT_S):
                    self._template = environment.from_string(source or CHATML)
            except Exception as error:  # compiling computes the template's constants
                raise TemplateError(f"the model's chat template is not valid: {_one_line(error)}") from error
            self.render(probe)

        # A hostile template can run for ever, and no exception ends it: a thread that misses its deadline condemns
        # the model, and the process that holds both goes with it.
        _within(RENDER_DEADLINE_S, prepare)

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt's text, ending where the assistant's answer begins; raises TemplateError."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            with _doomed(RENDER_LIMIT_S):
                # Hybrid models (Qwen3) would think aloud first, and their thoughts would be taken for the answer.
                text = self._template.render(messages=turns, add_generation_prompt=True, enable_thinking=False)
        except TemplateError:
            raise
        except Exception as error:  # it is a program of the model's author, and may fail in any way
            name = type(error).__name__
            raise TemplateError(f"the model's chat template failed: {name}: {_one_line(error)}") from error
        if len(text) > MOST_ADDED + MOST_TIMES * sum(len(message.content) for message in messages):
            raise TemplateError(f"the model's chat template makes {len(text)} characters of a short text")
        return text


def _one_line(error: Exception) -> str:
    """Return an error's text, which may quote the template, fit to be shown."""
    return "".join(char if char.isprintable() else " " for char in str(error))[:300]


def _refuse(message: str) -> None:
    raise TemplateError(f"the model's chat template refuses it: {_one_line(ValueError(message))}")


@contextlib.contextmanager
def _doomed(seconds: float) -> Iterator[None]:
    """End this process by SIGPROF where what is within computes for longer.

    `10 ** 10 ** 10` is one operation: while it lasts, no other thread of Python runs that could end it. Computing time
    and not the clock's, so that a process that was stopped for a while survives.
    """
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


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
        if hasattr(signal, "setitimer"):  # who runs here can end the process in an orderly way
            signal.setitimer(signal.ITIMER_PROF, 0)
        raise TemplateError(f"the model's chat template ran for more than {seconds:g} s")
    if outcome[0] is not None:
        raise outcome[0]
