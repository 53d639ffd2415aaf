"""Chat templates: what a model's own template gets, and what becomes of one that fails."""

from __future__ import annotations

import pytest

from augtui.domain.templates import Message
from augtui.engines.chat import ChatTemplate, TemplateError

MESSAGES = (Message("system", "Be brief."), Message("user", "{{ 7 * 7 }}"))


def test_a_model_without_a_template_is_asked_in_chatml() -> None:
    assert ChatTemplate(None).render(MESSAGES) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n{{ 7 * 7 }}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_template_may_write_the_tokens_that_begin_and_end_a_text() -> None:
    template = ChatTemplate("{{ bos_token }}{{ messages[1].content }}{{ eos_token }}", bos="<s>", eos="</s>")
    assert template.render(MESSAGES) == "<s>{{ 7 * 7 }}</s>"


def test_a_model_that_can_think_aloud_is_asked_not_to() -> None:
    # The end of Qwen3's template.
    source = (
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
        "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}"
        "{%- endif %}{%- endif %}"
    )
    assert ChatTemplate(source).render(MESSAGES) == "<|im_start|>assistant\n<think>\n\n</think>\n\n"


@pytest.mark.parametrize(
    "source",
    [
        "{% if %}",
        "{{ 1 / 0 }}",
        "{{ messages['x'].y }}",
        "{{ raise_exception('no system role') }}",
        "{{ (1).__class__.x }}",
    ],
)
def test_a_template_that_fails_is_one_kind_of_error(source: str) -> None:
    with pytest.raises(TemplateError, match=r"chat template|no system role"):
        ChatTemplate(source)


def test_a_template_that_never_ends_is_refused() -> None:
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    with pytest.raises(TemplateError, match="ran for more than"):
        ChatTemplate(endless)


def test_a_template_that_makes_far_too_much_of_little_is_refused() -> None:
    with pytest.raises(TemplateError, match="characters of a short text"):
        ChatTemplate("{{ 'a' * 1000000 }}")


def test_constants_that_cannot_be_computed_are_the_templates_error() -> None:
    with pytest.raises(TemplateError, match="chat template"):
        ChatTemplate("{{ 'a' * 10 ** 30 }}")


def test_errors_quote_no_control_characters() -> None:
    with pytest.raises(TemplateError) as caught:
        ChatTemplate("{{ raise_exception('\\x1b]52;c;AAAA\\x07\\n' ~ 'x' * 5000) }}")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
