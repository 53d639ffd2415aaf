"""Rendering a model's chat template in Jinja's sandbox, with the settings that transformers and llama.cpp use."""

from collections.abc import Mapping, Sequence
from typing import Any

from quantize.errors import ConversionError, MissingLibrary

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""For a model without a template."""


class ChatTemplate:
    """A chat template that can be rendered. It is the model author's program: the sandbox keeps it from the machine."""

    def __init__(self, source: str | None, begin: str, end: str) -> None:
        """Compile `source`; raises `ConversionError` if it is not valid. `begin` and `end` are bos and eos as text."""
        try:
            from jinja2.ext import loopcontrols
            from jinja2.sandbox import ImmutableSandboxedEnvironment
        except ImportError as error:
            raise MissingLibrary(f"chat templates need jinja2: pip install jinja2 ({error})") from error
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.globals.update(raise_exception=_refuse, bos_token=begin, eos_token=end)
        try:
            self._template = environment.from_string(source or CHATML)
        except Exception as error:
            raise ConversionError(f"the chat template is not valid: {error}") from error

    def render(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """The prompt's text, up to where the assistant's answer begins. Raises `ConversionError` if it fails."""
        try:
            return self._template.render(messages=messages, add_generation_prompt=True)
        except Exception as error:
            raise ConversionError(f"the chat template failed: {type(error).__name__}: {error}") from error


def _refuse(message: str) -> None:
    raise ConversionError(f"the chat template refuses it: {message}")
