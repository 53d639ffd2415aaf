"""The list of common English words: thresholds, names, misspellings, and the shipped file."""

from __future__ import annotations

from importlib import resources

from augtui.domain.content import coined_words
from augtui.domain.spelling import is_common
from training.wordlist import Usage, common_words, rarer_words, slips


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


def test_rarer_words_are_used_by_several_and_written_small() -> None:
    texts = ["An eagle of Zorkland sat on the lighthouse."] * 4 + ["A blorps sat.", "Eagle and eagle."]
    assert rarer_words(usage(*texts)) == ["eagle", "lighthouse"]


def test_the_shipped_list_of_rarer_words_is_sorted_and_holds_no_common_one() -> None:
    words = (resources.files("augtui.domain") / "words" / "rarer.txt").read_text(encoding="utf-8").split()
    assert words == sorted(set(words)) and not any(map(is_common, words))
    assert coined_words("Write of birds", "An eagle on a lighthouse sees a birror and a summaryus.") == [
        "birror",
        "summaryus",
    ]


def test_a_slip_drops_doubles_or_swaps_an_inner_letter() -> None:
    assert {"reciept", "receit", "recceipt"} <= slips("receipt")
    assert "receipt" not in slips("receipt")
    assert not {"eceipt", "receip"} & slips("receipt")


def test_the_shipped_list_is_sorted_and_without_repetition() -> None:
    words = (resources.files("augtui.domain") / "words" / "english.txt").read_text(encoding="utf-8").split()
    assert words == sorted(set(words), key=lambda word: (word.lower(), word))
    assert 20_000 < len(words) < 30_000
