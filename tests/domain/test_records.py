"""Names of records: what a record is called does not depend on the way it is found out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from augtui.domain.records import Record, digest, named, plain_digest

TEXTS = st.text(st.characters(), max_size=60)
"""Lone surrogates, control characters and all planes among them."""


def canonical(content: Mapping[str, Any]) -> str:
    """Return the sha256 of canonical JSON as the standard library writes it."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@given(TEXTS, st.none() | TEXTS, st.integers(0, 10**6))
def test_the_quick_name_is_that_of_canonical_json(instruction: str, response: str | None, occurrence: int) -> None:
    content = {"instruction": instruction, "response": response, "occurrence": occurrence}
    expected = canonical(content)[:24]
    assert Record(instruction, response, occurrence=occurrence).id == expected
    assert named(instruction, response, occurrence, {"note": 1.5}) == expected
    assert digest(content)[:24] == expected


@given(TEXTS, st.none() | TEXTS, st.lists(st.tuples(TEXTS, TEXTS), max_size=3), TEXTS)
def test_context_is_a_part_of_the_name(
    instruction: str, system: str | None, history: list[tuple[str, str]], rejected: str
) -> None:
    extra = {"system": system, "history": [list(turn) for turn in history], "rejected": rejected}
    told = {"system": system, "rejected": rejected}
    context: dict[str, Any] = {name: text for name, text in told.items() if text and text.strip()}
    if history:
        context["history"] = history
    content = {"instruction": instruction, "response": None, "occurrence": 0, **context}
    assert Record(instruction, extra=extra).id == named(instruction, None, 0, extra) == canonical(content)[:24]


@given(st.dictionaries(TEXTS, st.none() | TEXTS | st.integers(-(10**30), 10**30), max_size=5))
def test_the_quick_digest_is_the_digest(content: dict[str, Any]) -> None:
    in_order = dict(sorted(content.items()))
    assert plain_digest(in_order) == digest(in_order) == canonical(content)


def test_every_character_is_written_alike() -> None:
    for start in range(0, 0x110000, 0x1000):
        text = "".join(map(chr, range(start, start + 0x1000)))
        assert plain_digest({"text": text}) == canonical({"text": text})


def test_names_stay_what_they_are() -> None:
    assert Record("Write.", "Done.").id == "5618ee21b3c21250777b4950"
    assert Record("写一首诗\n\n😀", None, occurrence=3).id == "5eee74a5bd0df6d100502c0d"
    assert (
        Record("Go on.", "Yes.", extra={"system": "Be brief.", "history": [["a", "b"]]}).id
        == "231b112f5f29ae0092d86e84"
    )
