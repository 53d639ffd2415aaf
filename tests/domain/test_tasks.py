"""Answers are read strictly: what is not what was asked for is `Unparsed` with a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.domain.records import Record, digest
from augtui.domain.tasks import EXPAND, PAIRS, REFINE, TASKS, Answer, Scores, Unparsed, read_scores


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("whatever", "length", "cut off"),
        ("", "stop", "empty answer"),
        (" \n ", "stop", "empty answer"),
        ("a<|im_start|>user", "stop", "template leaked"),
        ("a\ufffdb", "stop", "broken text"),
    ],
)
def test_no_task_takes_a_broken_answer(task: object, text: str, finish: str, reason: str) -> None:
    parsed = task.parse(text, finish)  # type: ignore[attr-defined]
    assert isinstance(parsed, Unparsed)
    assert parsed.reason == reason


@given(st.text(alphabet=st.characters(blacklist_characters="\x00\ufffd#<", blacklist_categories=["Cs"])))
def test_a_refinement_is_the_whole_text_without_its_margins(text: str) -> None:
    parsed = REFINE.parse(text, "stop")
    if text.strip():
        assert parsed == Answer(text.strip())
    else:
        assert isinstance(parsed, Unparsed)


@pytest.mark.parametrize("text", ["##Refined Prompt##: Write.", "## User's Prompt ##\nx", "Refine: ##refined prompt##"])
def test_a_refinement_with_the_templates_markers_is_refused(text: str) -> None:
    assert isinstance(REFINE.parse(text, "stop"), Unparsed)


@pytest.mark.parametrize("text", ["#Created Instruction#: Write.", "The given instruction is", "# Given Instruction #"])
def test_an_expansion_with_the_words_that_table_8_forbids_is_refused(text: str) -> None:
    assert isinstance(EXPAND.parse(text, "stop"), Unparsed)


@pytest.mark.parametrize(
    "text",
    [
        "### Instruction:\nAdd 2 and 3.\n\n### Response:\n5",
        "### Instruction\nAdd 2 and 3.\n### Response\n5",
        "Add 2 and 3.\n\n### Response:\n5",
        "###Instruction: Add 2 and 3.\n###Response: 5",
    ],
)
def test_a_pair_is_read_with_and_without_colons_and_first_heading(text: str) -> None:
    assert PAIRS.parse(text, "stop") == Answer("Add 2 and 3.", "5")


@pytest.mark.parametrize(
    "text",
    [
        "Add 2 and 3. 5",
        "### Instruction:\nAdd.",
        "### Response:\n5",
        "### Instruction:\n\n### Response:\n5",
        "### Instruction:\na\n### Response:\nb\n### Instruction:\nc",
        "### Instruction:\na\n### Response:\nb\n### Response:\nc",
        "Sure!\n### Instruction:\na\n### Response:\nb",
    ],
)
def test_what_is_not_exactly_one_pair_is_refused(text: str) -> None:
    assert isinstance(PAIRS.parse(text, "stop"), Unparsed)


def test_scores_are_read_in_the_format_of_table_12() -> None:
    text = "Evaluation evidence: Both\nare fine.\nScore of the Assistant 1: 8\nScore of the Assistant 2: 9.5"
    assert read_scores(text) == Scores("Both\nare fine.", 8, 9.5)


@pytest.mark.parametrize(
    "text",
    [
        "8 and 9",
        "Score of the Assistant 1: 8",
        "Score of the Assistant 2: 8\nScore of the Assistant 1: 9",
        "Score of the Assistant 1: 11\nScore of the Assistant 2: 9",
        "Score of the Assistant 1: 0\nScore of the Assistant 2: 9",
    ],
)
def test_anything_else_is_no_score(text: str) -> None:
    assert isinstance(read_scores(text), Unparsed)


def test_a_records_id_is_its_content_and_its_occurrence() -> None:
    one = Record("a", source_id=1, line=1)
    assert one.id == Record("a", source_id=2, line=9, extra={"x": 1}).id
    assert len({one.id, Record("a", occurrence=1).id, Record("a", "b").id, Record("b").id}) == 4


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": "é"}) == digest({"b": "é", "a": 1})
    with pytest.raises(ValueError, match="JSON"):
        digest({"a": float("nan")})
