"""Pair expansion: contexts drawn by the seed and kept in the lineage, no copies, strict reading."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from augtui.domain.guard import Strictness
from augtui.domain.tasks import PAIRS
from augtui.engines.base import Request
from augtui.errors import InputError, UsageError
from augtui.pipelines.choices import context_sizes
from augtui.store import lineage
from augtui.store.projects import Project, open_project
from tests.engines.scripted import ScriptedEngine
from tests.pipelines.steps import bench

ROWS = [
    *({"instruction": f"Describe town number {n} for a guide book.", "output": f"Town {n} is old."} for n in range(9)),
    {"instruction": "Describe the moon."},
]
JOB = bench.job(PAIRS, samples=12, options={"k": [1, 3]})


def pair(request: Request) -> str:
    name = hashlib.sha256(str(request.seed).encode()).hexdigest()
    words = " ".join(f"w{name[at : at + 2]}" for at in range(0, 12, 2))
    return f"### Instruction:\nWrite about {words}\n\n### Response:\nOn {words}."


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return bench.write(tmp_path / "rows.jsonl", ROWS)


def test_new_pairs_are_children_of_all_pairs_in_their_context(project: Project, rows: Path) -> None:
    engine = ScriptedEngine(pair)
    summary, lines = bench.run(project, JOB, rows, engine)
    assert summary.counts["accepted"] == 12
    assert [(line.line, line.reason) for line in summary.quarantined] == [(10, "no response")]
    sizes = set()
    for line, request in zip(lines, engine.asked, strict=True):
        context = line["context"]
        sizes.add(len(context))
        assert len(set(context)) == len(context)
        parents = {step.parent for step in lineage.ancestors(project, line["id"])}
        assert parents == set(context)
        assert request.messages[-1].content.count("### Response:") == len(context)
        assert line["response"] == line["instruction"].replace("Write about", "On") + "."
    assert sizes == {1, 2, 3}


def test_contexts_are_the_same_for_the_same_seed_and_others_for_another(rows: Path, tmp_path: Path) -> None:
    def contexts(name: str, seed: int) -> list[list[str]]:
        with open_project(tmp_path / name) as project:
            return [
                line["context"] for line in bench.run(project, replace(JOB, seed=seed), rows, ScriptedEngine(pair))[1]
            ]

    assert contexts("a.db", 1) == contexts("b.db", 1)
    assert contexts("c.db", 1) != contexts("d.db", 2)


def test_bare_headings_are_another_prompt(project: Project, rows: Path) -> None:
    engine = ScriptedEngine(lambda request: pair(request).replace(":\n", "\n"))
    summary, _ = bench.run(project, replace(JOB, variant="bare"), rows, engine)
    assert summary.counts["accepted"] == 12
    assert all(request.messages[-1].content.endswith("### Instruction") for request in engine.asked)
    assert not any("### Instruction:" in request.messages[-1].content for request in engine.asked)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("### Instruction:\nDescribe town number 77 for a guide book.\n### Response:\nTown 77.", "copies its context"),
        ("### Instruction:\n写一首关于大海的短诗，不要超过四行。\n### Response:\n海", "language changed"),
        ("Describe a lake. It is deep.", "no instruction-response pair"),
        ("### Instruction:\nDraw a map\n### Response:\n", "no instruction-response pair"),
    ],
)
def test_copies_strangers_and_half_pairs_are_rejected(project: Project, rows: Path, text: str, reason: str) -> None:
    summary, lines = bench.run(project, JOB, rows, ScriptedEngine(lambda request: text))
    assert summary.counts["failed"] == 12
    assert {line["reason"].split(":")[0] for line in lines} == {reason}


def test_the_same_new_pair_is_taken_once(project: Project, rows: Path) -> None:
    text = "### Instruction:\nDraw a map of the old harbour\n### Response:\nDone."
    summary, lines = bench.run(project, JOB, rows, ScriptedEngine(lambda request: text))
    assert summary.counts["accepted"] == 1
    assert lines[0]["status"] == "accepted"
    assert lines[1]["reason"].startswith("too like another")


def test_too_few_pairs_are_one_clear_error(project: Project, tmp_path: Path) -> None:
    path = bench.write(tmp_path / "few.jsonl", ROWS[:2])
    with pytest.raises(InputError, match="2 records with a response, and 3"):
        bench.run(project, JOB, path, ScriptedEngine(pair))


def test_examples_are_one_to_three() -> None:
    assert context_sizes("2") == [2, 2]
    assert context_sizes("1..3") == context_sizes("1-3") == [1, 3]
    for text in ("0", "4", "3..1", "x", "1..9", ""):
        with pytest.raises(UsageError):
            context_sizes(text)


def test_made_up_words_and_names_are_refused_under_the_strict_guard(project: Project, rows: Path) -> None:
    answers = [
        "### Instruction:\nWho was the first in Oerlo?\n\n### Response:\nA king.",
        "### Instruction:\nWho was the first in London?\n\n### Response:\nA birror.",
        "### Instruction:\nWho was the first in London?\n\n### Response:\nA king of the guide book.",
    ]
    job = bench.job(PAIRS, samples=1, options={"k": [1, 1]}, retries=2, guard=Strictness.STRICT)
    _, lines = bench.run(project, job, rows, ScriptedEngine(lambda request: answers.pop(0)))
    assert [line["response"] for line in lines] == ["A king of the guide book."]
    refused = project.read("SELECT reason FROM attempts WHERE verdict = 'rejected' ORDER BY attempt")
    assert refused == [("unknown word: Oerlo",), ("unknown word: birror",)]
