"""The language of instructions: real data whose language is known, and sentences of other languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from augtui.domain.records import Record
from augtui.pipelines import collect, languages

EXPECTED = {
    "collect/alpaca_cleaned_1000.json": ("en", 1.0),
    "seeds/self_instruct_user_oriented.jsonl": ("en", 0.99),
    "train/gsm8k_test.jsonl": ("en", 1.0),
    "collect/alpaca_zh_demo.json": ("zh", 1.0),
    "collect/oasst1_sft_zh.json": ("zh", 0.97),
    "collect/lccc_toy.json": ("zh", 1.0),
    "collect/belle_zh_seed_tasks.json": ("zh", 1.0),
}
"""File -> its language and the share that must be told right (the Chinese file has a few English rows)."""


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items(), ids=str)
def test_published_data_sets_are_in_their_language(shared_data: Path, name: str, expected: tuple[str, float]) -> None:
    told = [languages.detect(one.instruction) for one in collect.read(shared_data / name) if isinstance(one, Record)]
    assert told.count(expected[0]) / len(told) >= expected[1]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Explique les causes de la Révolution française en deux cents mots.", "fr"),
        ("Schreibe ein kurzes Gedicht über den Herbst in den Bergen.", "de"),
        ("Escribe una función que calcule el factorial de un número.", "es"),
        ("Scrivi una lettera di presentazione per un lavoro in banca.", "it"),
        ("Escreva um resumo do texto a seguir em três frases.", "pt"),
        ("Schrijf een kort verhaal over een vuurtorenwachter.", "nl"),
        ("Napisz krótki wiersz o jesieni w górach.", "pl"),
        ("Напиши короткий рассказ о смотрителе маяка.", "ru"),
        ("秋の山についての短い詩を書いてください。", "ja"),
        ("가을 산에 대한 짧은 시를 써 주세요.", "ko"),
        ("اكتب قصيدة قصيرة عن الخريف في الجبال.", "ar"),
        ("शरद ऋतु के बारे में एक छोटी कविता लिखिए।", "hi"),
        ("Write a haiku.", "en"),
        ("Translate this sentence from French to English.\n\nJ'aime faire de la randonnée.", "en"),
        ("写一首唐诗", "zh"),
        ("markdown的语法有哪些?", "zh"),
        ("1 + 1 = ?", "none"),
        ("", "none"),
    ],
)
def test_each_language_has_its_code(text: str, code: str) -> None:
    assert languages.detect(text) == code


def test_very_long_and_odd_texts_are_told_quickly() -> None:
    assert languages.detect("Write about the sea. " * 1_000_000) == "en"
    assert languages.detect("\x1b[31m" + "好" * 10_000) == "zh"
    for odd in ("q\n\r\x0b\x0c\x85\u2028z", "ß\n" * 500, "\ud800x", "𝄞𝄞", "\u202eabc\0"):
        code = languages.detect(odd)
        assert code.isalpha()
        assert code.islower()
