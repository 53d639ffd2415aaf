"""The paper's prompts: their versions are pinned, and what a record says is never read as template source."""

from __future__ import annotations

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.domain import templates

# A changed hash makes finished runs start anew: change a template knowingly, and its hash here with it.
HASHES = {
    "refine-general": "efa36a34",
    "expand-general": "812755d2",
    "refine": "73c31acc",
    "expand": "d851e821",
    "pairs": "d7fedaf1",
    "refine-card": "821855a6",
    "expand-card": "f82e7337",
    "pairs-card": "f5b7b84f",
    "judge-truthfulness": "31e2cc4c",
    "judge-detail": "b71488fa",
    "respond": "f33f0926",
    "translate": "45e235f3",
    "check": "8472cac1",
    "classify": "33b83ab2",
    "refine-hinted": "d1615854",
    "expand-hinted": "24311d3b",
}


@pytest.mark.parametrize("name", templates.PAPER_TABLES)
def test_each_table_has_its_template_at_its_version(name: str) -> None:
    template = templates.load(name)
    assert template.version == f"{name}@{HASHES[name]}"
    assert f"Table {template.paper_table}:" in template.source


@pytest.mark.parametrize("name", templates.OWN)
def test_our_own_prompts_have_no_table_and_are_pinned_too(name: str) -> None:
    template = templates.load(name)
    assert template.paper_table is None
    assert template.version == f"{name}@{HASHES[name]}"


def test_the_cards_headings_are_table_11_without_its_colons() -> None:
    pairs = [{"instruction": "a", "response": "b"}]
    bare, printed = (templates.load(name).render(pairs=pairs) for name in ("pairs-card", "pairs"))
    assert bare[0] == printed[0]
    assert bare[1].content == printed[1].content.replace(":\n", "\n").removesuffix(":")


def test_what_a_record_says_never_becomes_template_source_in_our_own_prompts() -> None:
    hostile = "{{ 7 * 7 }}{% for x in range(3) %}x{% endfor %}"
    for name in ("respond", "translate", "check", "classify"):
        chat = templates.load(name).render(
            instruction=hostile, response=hostile, language="English", labels=["Math"], system=""
        )
        assert hostile in chat[-1].content


def test_tables_9_and_10_are_a_system_prompt_and_the_bare_instruction() -> None:
    system, user = templates.load("refine").render(instruction="Do it.")
    assert system.content == (
        "You are a helpful assistant to refine this instruction and modify it into a more precise and detailed "
        "instruction."
    )
    assert (user.role, user.content) == ("user", "Do it.")
    system, _ = templates.load("expand").render(instruction="Do it.")
    assert system.content == (
        "You are a helpful assistant to expand this instruction to an instruction of the same task type but with "
        "different content."
    )


def test_table_11_continues_the_pairs() -> None:
    pairs = [{"instruction": "a", "response": "b"}, {"instruction": "c", "response": "d"}]
    user = templates.load("pairs").render(pairs=pairs)[1].content
    assert (
        user == "### Instruction:\na\n\n### Response:\nb\n\n### Instruction:\nc\n\n### Response:\nd\n\n### Instruction:"
    )


def test_the_cards_ask_without_a_system_prompt_or_without_colons() -> None:
    for name in ("refine-card", "expand-card"):
        (user,) = templates.load(name).render(instruction="Do it.")
        assert (user.role, user.content) == ("user", "Do it.")
    pairs = [{"instruction": "a", "response": "b"}]
    system, user = templates.load("pairs-card").render(pairs=pairs)
    assert system == templates.load("pairs").render(pairs=pairs)[0]
    assert user.content == "### Instruction\na\n\n### Response\nb\n\n### Instruction"


def test_table_7_has_no_system_prompt_and_keeps_its_variables() -> None:
    (user,) = templates.load("refine-general").render(instruction="THE PROMPT")
    assert user.role == "user"
    assert '"${{variable_name}}"' in user.content
    assert user.content.endswith("##User's Prompt##:\n\nTHE PROMPT\n\n##Refined Prompt##:")


@pytest.mark.parametrize("name", ["judge-truthfulness", "judge-detail"])
def test_the_judges_delimiters_are_the_corrected_ones(name: str) -> None:
    user = templates.load(name).render(instruction="I", answer_1="ONE", answer_2="TWO")[1].content
    for number, answer in ((1, "ONE"), (2, "TWO")):
        block = f"[The Start of Assistant {number}'s Answer]\n{answer}\n[The End of Assistant {number}'s Answer]"
        assert block in user


@given(st.text())
def test_a_record_is_put_in_as_it_is(text: str) -> None:
    assert templates.load("refine").render(instruction=text)[1].content == text
    assert text in templates.load("refine-general").render(instruction=text)[0].content


@pytest.mark.parametrize(
    "text", ["{{ 7 * 7 }}", "{% for x in range(10**9) %}{% endfor %}", "{# gone #}", "{{ cycler }}"]
)
def test_template_source_in_a_record_stays_text(text: str) -> None:
    assert text in templates.load("expand-general").render(instruction=text, task_type=None)[1].content


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        templates.load("refine").render()
