"""A few mutated model files in every test run; the full count is `python -m tests.reliability.mutants`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.gguf_layout import base_models, parse
from tests.reliability.mutants import Mutant, Nursery, examine, examine_all
from tests.reliability.mutations import MUTATIONS


def test_a_layout_is_written_as_it_was_read(default_model: Path) -> None:
    data = default_model.read_bytes()
    assert parse(data).pack() == data
    for layout in base_models().values():
        assert parse(layout.pack()).pack() == layout.pack()


def test_a_mutant_is_its_seed_and_number() -> None:
    assert Nursery(3).mutant(5) == Nursery(3).mutant(5)
    assert Nursery(3).mutant(5).data != Nursery(3).mutant(6).data


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_mutation_spoils_something(mutation: str) -> None:
    nursery = Nursery(1, [mutation])
    mutants = [nursery.mutant(number) for number in range(6)]
    sound = {layout.pack() for layout in nursery.bases.values()}
    assert any(mutant.data not in sound for mutant in mutants)


def test_mutated_files_are_refused_or_answer(tmp_path: Path) -> None:
    report = examine_all(range(30), seed=2, journal=tmp_path / "journal.jsonl")
    assert report.outcomes.total() == 30
    assert report.clean, report.lines()
    again = examine_all(range(30), seed=2, journal=tmp_path / "journal.jsonl")
    assert again.outcomes == report.outcomes


SLOW_TEMPLATES = {
    "for ever": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "one long operation, while it is compiled": "{{ 7 ** 100000000 }}",
    "one long operation, while it is rendered": "{{ (messages | length + 5) ** 100000000 }}",
    "much memory": "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
}


@pytest.mark.parametrize("kind", SLOW_TEMPLATES)
def test_a_chat_template_that_takes_too_much_is_refused(kind: str, tmp_path: Path) -> None:
    layout = Nursery(1).bases["qwen2-q5_0"].copy()
    value = layout.find("chat_template")
    assert value is not None
    value.value = SLOW_TEMPLATES[kind].encode()
    finding = examine(Mutant(1, "qwen2-q5_0", kind, layout.pack()), tmp_path)
    assert finding.outcome == "refused for its template", finding


def test_a_chat_template_that_takes_too_long_for_some_prompts_ends_too(tmp_path: Path) -> None:
    layout = Nursery(1).bases["qwen2-q5_0"].copy()
    value = layout.find("chat_template")
    assert value is not None
    value.value = b"{% if messages | length == 1 %}{{ (messages | length + 5) ** 100000000 }}{% endif %}a"
    finding = examine(Mutant(1, "qwen2-q5_0", "template", layout.pack()), tmp_path)
    assert finding.outcome == "loaded, then set aside: engine died", finding
