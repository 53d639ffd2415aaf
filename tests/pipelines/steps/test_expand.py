"""Expansion: unlike all others before it, and the same set whatever the order, the interruptions and the slots."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from augtui.domain.guard import Strictness
from augtui.domain.tasks import EXPAND
from augtui.engines.base import Request
from augtui.metrics.similarity import rouge_l
from augtui.store.projects import Project, open_project
from tests.pipelines.steps import bench

WORDS = ["draw", "bridge", "winter", "charcoal", "friend"]
SEEDS = [{"prompt": f"Write {number} lines about number {number}00."} for number in range(10, 22)]


def by_seed(request: Request) -> str:
    """An answer that depends on nothing but the request's seed, and is often like others."""
    name = hashlib.sha256(str(request.seed).encode()).digest()
    return " ".join(WORDS[byte % len(WORDS)] for byte in name[:4])


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    return bench.write(tmp_path / "seeds.jsonl", SEEDS)


JOB = bench.job(EXPAND, samples=4, similarity=0.7)


def told(lines: list[dict[str, object]]) -> list[tuple[object, ...]]:
    return [(line["id"], line["instruction"], line["status"], line["reason"]) for line in lines]


def test_no_two_accepted_ones_are_alike(project: Project, seeds: Path) -> None:
    summary, lines = bench.run(project, JOB, seeds, bench.ShuffledEngine(by_seed))
    texts = [str(line["instruction"]) for line in lines if line["status"] == "accepted"]
    assert len(texts) == summary.counts["accepted"] > 5
    assert summary.counts["failed"] > 5, "the texts are not alike enough to test anything"
    assert max(rouge_l(a, b) for place, a in enumerate(texts) for b in texts[:place]) < 0.7


def test_the_order_of_answers_and_interruptions_do_not_change_what_is_accepted(seeds: Path, tmp_path: Path) -> None:
    with open_project(tmp_path / "undisturbed.db") as project:
        _, expected = bench.run(project, JOB, seeds, bench.ScriptedEngine(by_seed))
    for number in range(6):
        with open_project(tmp_path / f"{number}.db") as project:
            asked = 0
            for stop_after in (2, 3, 5, 8, 13, 21, 10**9):
                engine = bench.ShuffledEngine(by_seed, number)
                summary, lines = bench.run(project, JOB, seeds, engine, stop_after=stop_after)
                asked += len(engine.asked)
            assert not summary.interrupted
            assert told(lines) == told(expected)
            noted = project.read("SELECT COUNT(*), SUM(verdict = 'held') FROM attempts")[0]
            assert noted[1] == 0, "a try that waited has its verdict in the end"


def test_a_try_that_waits_is_saved_and_not_asked_for_again(project: Project, seeds: Path) -> None:
    def all_but_the_first(request: Request) -> str:
        return "unanswered" if "number 1000" in request.messages[-1].content else by_seed(request)

    class WithoutTheFirst(bench.ScriptedEngine):
        def poll(self, timeout_s: float):  # type: ignore[no-untyped-def]
            return [event for event in super().poll(timeout_s) if event.text != "unanswered"]  # type: ignore[union-attr]

    first = WithoutTheFirst(all_but_the_first)
    bench.run(project, JOB, seeds, first, stop_after=12)
    held = project.read("SELECT COUNT(*) FROM attempts WHERE verdict = 'held'")[0][0]
    assert held > 3
    assert project.read("SELECT COUNT(*) FROM items WHERE status = 'accepted'")[0][0] == 0
    second = bench.ScriptedEngine(by_seed)
    bench.run(project, JOB, seeds, second)
    saved = {request.id for request in first.asked} - {request.id for request in second.asked}
    assert len(saved) >= held
    assert len({request.id for request in second.asked}) == len(second.asked)


def test_other_runs_of_the_project_are_siblings(project: Project, seeds: Path) -> None:
    bench.run(project, JOB, seeds, bench.ScriptedEngine(by_seed))
    made = {row[0] for row in project.read("SELECT text FROM items WHERE status = 'accepted'")}
    other = bench.job(EXPAND, samples=4, retries=0)
    summary, lines = bench.run(project, other, seeds, bench.ScriptedEngine(by_seed))
    # Sample and seed are the same, so that each text is that of its sibling.
    same = [line for line in lines if line["status"] == "accepted" and line["instruction"] in made]
    assert same == []
    assert summary.reasons["too like another"] > 0


def test_coverage_gives_more_to_sparse_regions_and_puts_them_first(project: Project, tmp_path: Path) -> None:
    crowd = [{"prompt": f"Write a short poem about the sea and the number {n}"} for n in range(10)]
    path = bench.write(tmp_path / "seeds.jsonl", [*crowd, {"prompt": "Repair a bicycle chain"}])
    count = 0

    def unlike(request: Request) -> str:
        nonlocal count
        count += 1
        return " ".join(f"word{count}x{index}" for index in range(8))

    job = bench.job(EXPAND, samples=3, coverage=True)
    summary, lines = bench.run(project, job, path, bench.ScriptedEngine(unlike))
    assert summary.total == 33
    assert lines[0]["source"] == "Repair a bicycle chain"
    shares = [sum(line["source"] == row["prompt"] for line in lines) for row in crowd]
    alone = sum(line["source"] == "Repair a bicycle chain" for line in lines)
    assert alone > 2 * max(shares)
    assert sum(shares) + alone == 33


def test_made_up_words_are_refused_under_the_strict_guard(project: Project, tmp_path: Path) -> None:
    path = bench.write(tmp_path / "seeds.jsonl", [{"prompt": "Write about the zorkan bridge."}])
    answers = ["Draw a birror in charcoal.", "Describe how Zanthor sees the zorkan eagle."]
    job = bench.job(EXPAND, samples=1, retries=1, guard=Strictness.STRICT)
    _, lines = bench.run(project, job, path, bench.ScriptedEngine(lambda request: answers.pop(0)))
    # A name may be one that no list has, a rarer word is a word, and the seed's own words are known.
    assert [line["instruction"] for line in lines] == ["Describe how Zanthor sees the zorkan eagle."]
    assert project.read("SELECT reason FROM attempts WHERE verdict = 'rejected'") == [("unknown word: birror",)]
