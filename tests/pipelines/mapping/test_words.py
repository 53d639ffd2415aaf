"""Terms and names of clusters."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from augtui.pipelines.mapping import naming
from augtui.pipelines.mapping.words import LONGEST, MARKS, terms


def test_words_and_pairs_of_characters() -> None:
    assert terms("Explain photosynthesis, please!") == ["explain", "photosynthesis", "please"]
    assert terms("光合作用") == ["光合", "合作", "作用"]
    assert terms("用Python写 诗") == ["用", "python", "写诗"]
    assert terms("🙂 🙃") == ["🙂", "🙃"], "of a text without words the characters"
    assert terms(" \n") == []
    assert len(terms("🙂" * 100_000)) == MARKS and len(terms("a " * 50_000)) == LONGEST // 2


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300))
def test_any_text_has_terms_unless_it_is_blank(text: str) -> None:
    found = terms(text)
    assert all(term and not term.isspace() for term in found)
    assert bool(found) == any(not char.isspace() for char in text)


def test_a_name_tells_a_group_from_the_others() -> None:
    cooking = [f"Write a recipe for {dish} soup with spices" for dish in ("tomato", "leek", "bean", "carrot", "pea")]
    coding = [f"Write a python function that sorts {what}" for what in ("lists", "dicts", "rows", "names", "files")]
    chinese = ["解释光合作用，分步骤", "请说说光合作用的原理", "讲讲光合作用", "写出光合作用过程", "光合作用是什么"]
    first, second, third = naming.names([cooking, coding, chinese])
    assert {"recipe", "soup"} <= set(first) and {"python", "function"} <= set(second)
    assert "write" not in first[:2] and "光合作用" in third, "neighbouring pairs are one word"
    assert len(first) <= naming.TERMS and naming.title([]) == naming.NAMELESS
    assert naming.names([["the of a"], ["12 34"]]) == [[], []], "neither function words nor numbers are names"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.text(max_size=60), min_size=1, max_size=5), min_size=1, max_size=4))
def test_every_group_has_a_short_name(groups: list[list[str]]) -> None:
    found = naming.names(groups)
    assert len(found) == len(groups)
    assert all(len(words) <= naming.TERMS and len(word) <= 4 * naming.LONGEST for words in found for word in words)
