"""The language of prompts: scripts, function words, and prompts with foreign material attached."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.domain.language import Language, language, language_changed

ENGLISH = "Summarise the attached report in three short sentences for a reader who knows nothing about it."
CHINESE = "请把下面这份报告概括成三句话，读者对这个题目一无所知。"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ENGLISH, Language.EN),
        (CHINESE, Language.ZH),
        ("", Language.NONE),
        ("12 + 30 = ?", Language.NONE),
        ("Python 如何读取文件", Language.ZH),
        ("把下面的句子翻译成中文：The quick brown fox jumps over the lazy dog and runs away.", Language.ZH),
        ("Translate to English: 我爱北京天安门", Language.EN),
        ("Escribe un poema sobre el mar para los niños de la escuela", Language.OTHER),
        ("Écris une lettre pour mon voisin qui est dans le besoin", Language.OTHER),
        ("Schreibe einen Brief an die Nachbarn und erkläre, warum wir nicht kommen", Language.OTHER),
        ("Напиши рассказ о море", Language.OTHER),
        ("日本の首都はどこですか", Language.OTHER),
        ("한국의 수도는 어디입니까", Language.OTHER),
        ("quantum mechanics basics", Language.EN),
    ],
)
def test_the_language_of_prompts(text: str, expected: Language) -> None:
    assert language(text) is expected


def test_a_translated_prompt_has_changed_its_language() -> None:
    assert language_changed(ENGLISH, CHINESE)
    assert language_changed(CHINESE, ENGLISH)
    assert language_changed(
        "Escribe un poema sobre el mar para los niños de la escuela",
        "Write a poem about the sea for the children of the school",
    )


def test_terms_and_attachments_do_not_change_the_language() -> None:
    attached = "把下面的句子翻译成中文：The quick brown fox jumps over the lazy dog."
    assert not language_changed(
        attached, "请将以下英文句子准确翻译成中文：The quick brown fox jumps over the lazy dog."
    )
    assert language_changed(
        attached, "Translate this sentence into Chinese: The quick brown fox jumps over the lazy dog."
    )
    assert not language_changed(
        "How do I say 'thank you' in Chinese?", 'Explain how to say "thank you" (谢谢) in Chinese.'
    )
    assert not language_changed("Draft an itinerary", "Draft a detailed itinerary.")


@given(st.text(st.characters(exclude_categories=())))
def test_every_text_has_a_language_and_keeps_it(text: str) -> None:
    assert isinstance(language(text), Language)
    assert not language_changed(text, text)
