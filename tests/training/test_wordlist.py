"""The list of common English words: thresholds, names, misspellings, and the shipped file."""

from __future__ import annotations

from importlib import resources

from training.wordlist import Usage, common_words, slips


def usage(*texts: str) -> Usage:
    counted = Usage()
    for text in texts:
        counted.add(text)
    return counted


def test_common_words_names_and_misspellings() -> None:
    articles = ["We met the government in Paris today."] * 200 + ["They met the goverment."] * 5 + ["A zyx met."] * 2
    listed = common_words(usage(*articles), usage("Write a haiku.", "A haiku, please.", "One haiku."))
    assert {"government", "met", "haiku", "Paris"} <= set(listed)
    assert not {"goverment", "zyx", "paris"} & set(listed)
    assert listed == sorted(listed, key=lambda word: (word.lower(), word))


def test_a_slip_drops_doubles_or_swaps_an_inner_letter() -> None:
    assert {"reciept", "receit", "recceipt"} <= slips("receipt")
    assert "receipt" not in slips("receipt")
    assert not {"eceipt", "receip"} & slips("receipt")


def test_the_shipped_list_is_sorted_and_without_repetition() -> None:
    words = (resources.files("augtui.domain") / "words" / "english.txt").read_text(encoding="utf-8").split()
    assert words == sorted(set(words), key=lambda word: (word.lower(), word))
    assert 20_000 < len(words) < 30_000
