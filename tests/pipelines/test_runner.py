"""The runner with a scripted engine and a real database: verdicts, retries, interruption, resumption."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from augtui.domain.guard import Strictness
from augtui.domain.records import Quarantined, Record
from augtui.domain.tasks import EXPAND, REFINE
from augtui.engines.base import Completion, Event, Failure, Request, Restarted, Sampling
from augtui.pipelines import collect
from augtui.pipelines.augment import Augmentation, Summary
from augtui.pipelines.job import Job
from augtui.pipelines.planning import Input
from augtui.pipelines.runner import BudgetSpent, RunEvent
from augtui.pipelines.source import Source, opened
from augtui.store import costs, items, lineage
from augtui.store.projects import Project, open_project
from augtui.store.runs import Run
from tests.engines.scripted import ScriptedEngine

JOB = Job(REFINE, "specialised", "scripted", "0" * 64, Sampling(), 42, Strictness.NORMAL, retries=2)
PROMPTS = [f"Write {number} lines about number {number}00." for number in range(10, 40)]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with open_project(tmp_path / "p.db") as project:
        yield project


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(PROMPTS) + "\n")
    with opened(str(path)) as source:
        yield source


def refined(request: Request) -> str:
    return f"{request.messages[-1].content} Give a title first, then the text."


def run(project: Project, job: Job, source: Source, engine: ScriptedEngine, stop_after: int = 10**9) -> Summary:
    seen = 0

    def stop() -> bool:
        nonlocal seen
        seen += 1
        return seen > stop_after

    with Augmentation(project, job, Input(source), "model.gguf", 1) as augmentation:
        augmentation.plan()
        return augmentation.work(lambda: engine, stop, lambda event: None)


def lines(project: Project, job: Job, source: Source) -> list[dict[str, object]]:
    with Augmentation(project, job, Input(source), "model.gguf", 1) as augmentation:
        return [line for _, line in augmentation.results()]


def test_what_refine_writes_is_refined_for_the_next_step(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = {"id": "a", "instruction": "Write a letter.", "output": "Dear all, …", "system": "Be kind."}
    path.write_text(json.dumps(row) + "\n")
    with opened(str(path)) as source:
        run(project, JOB, source, ScriptedEngine(refined))
        (line,) = lines(project, JOB, source)
    assert (line["instruction"], line["response"], line["system"]) == ("Write a letter.", "Dear all, …", "Be kind.")
    path.write_text(json.dumps(line) + "\n")
    (record,) = collect.read(path)
    assert isinstance(record, Record)
    assert record.instruction == "Write a letter. Give a title first, then the text."
    assert (record.response, record.source_id, record.extra["system"]) == ("Dear all, …", "a", "Be kind.")


def test_the_line_ends_of_windows_are_not_the_models_affair(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"instruction": "Sort these words:\r\n\r\npear\r\napple"}) + "\n")
    engine = ScriptedEngine(refined)
    with opened(str(path)) as source:
        run(project, JOB, source, engine)
        (line,) = lines(project, JOB, source)
    assert engine.asked[0].messages[-1].content.endswith("Sort these words:\n\npear\napple")
    assert line["status"] == "accepted"
    assert line["instruction"] == "Sort these words:\r\n\r\npear\r\napple"


def test_every_record_is_refined_once_in_order(project: Project, source: Source) -> None:
    engine = ScriptedEngine(refined)
    summary = run(project, JOB, source, engine)
    assert summary.counts == {"accepted": 30, "pending": 0, "kept_original": 0, "failed": 0}
    assert len(engine.asked) == 30
    found = lines(project, JOB, source)
    assert [line["instruction"] for line in found] == PROMPTS
    assert [line["refined"] for line in found] == [f"{text} Give a title first, then the text." for text in PROMPTS]
    provenance = found[0]["provenance"]
    assert isinstance(provenance, dict)
    assert provenance["template"].startswith("refine@")
    assert provenance["paper_table"] == 9
    assert provenance["line"] == 1
    assert provenance["tries"] == 1


def test_results_are_records_with_their_originals_as_parents(project: Project, source: Source) -> None:
    run(project, JOB, source, ScriptedEngine(refined))
    line = lines(project, JOB, source)[4]
    provenance = line["provenance"]
    assert isinstance(provenance, dict)
    parents = lineage.ancestors(project, provenance["result"])
    assert [step.parent for step in parents] == [provenance["record"]]


def test_a_rejected_answer_is_tried_again_with_a_new_seed(project: Project, source: Source) -> None:
    tries: dict[str, int] = {}

    def answer(request: Request) -> str:
        prompt = request.messages[-1].content
        tries[prompt] = tries.get(prompt, 0) + 1
        return refined(request) if tries[prompt] == 3 else "Write lines about something."

    engine = ScriptedEngine(answer)
    summary = run(project, JOB, source, engine)
    assert summary.counts["accepted"] == 30
    seeds = {request.id: request.seed for request in engine.asked}
    assert len(set(seeds.values())) == 90
    assert summary.reasons["number lost"] == 60
    key = next(iter(seeds)).split(":")[0]
    attempts = items.attempts(project, key)
    assert [attempt.verdict for attempt in attempts] == ["rejected", "rejected", "accepted"]
    assert attempts[0].text == "Write lines about something."


def test_a_record_that_no_seed_refines_keeps_its_original_and_says_why(project: Project, source: Source) -> None:
    engine = ScriptedEngine(lambda request: "Write lines about something.")
    summary = run(project, JOB, source, engine)
    assert summary.counts["kept_original"] == 30
    assert len(engine.asked) == 90
    for line, prompt in zip(lines(project, JOB, source), PROMPTS, strict=True):
        assert line["status"] == "kept_original"
        assert line["refined"] == prompt
        assert "number lost" in str(line["reason"])


def test_an_answer_that_does_not_parse_is_never_taken_and_the_reason_is_kept(project: Project, source: Source) -> None:
    for text, reason in ((("word " * 5, "length"), "cut off"), ("", "empty answer"), ("x<|im_start|>", "leaked")):
        job = replace(JOB, seed=len(reason), retries=0)
        summary = run(project, job, source, ScriptedEngine(lambda request, text=text: text))  # type: ignore[misc]
        assert summary.counts["kept_original"] == 30
        line = lines(project, job, source)[0]
        assert line["refined"] == PROMPTS[0]
        assert reason in str(line["reason"])
        expanding = replace(job, task=EXPAND)
        summary = run(project, expanding, source, ScriptedEngine(lambda request, text=text: text))  # type: ignore[misc]
        assert summary.counts["failed"] == 30
        assert lines(project, expanding, source)[0]["instruction"] is None


def test_an_engine_failure_is_the_records_failure(project: Project, source: Source) -> None:
    engine = ScriptedEngine(lambda request: Failure(request.id, "context overflow", "too long"))
    summary = run(project, JOB, source, engine)
    assert summary.counts["failed"] == 30
    assert lines(project, JOB, source)[0]["reason"] == "context overflow: too long"
    assert len(engine.asked) == 30


def test_greedy_decoding_is_not_tried_again(project: Project, source: Source) -> None:
    engine = ScriptedEngine(lambda request: "Write lines.")
    run(project, replace(JOB, sampling=Sampling(temperature=0)), source, engine)
    assert len(engine.asked) == 30


def test_a_stopped_run_goes_on_and_does_nothing_twice(project: Project, source: Source) -> None:
    first = ScriptedEngine(refined)
    stopped = run(project, JOB, source, first, stop_after=4)
    assert stopped.interrupted
    done = 30 - stopped.counts["pending"]
    assert 0 < done < 30
    assert set(first.cancelled)
    second = ScriptedEngine(refined)
    summary = run(project, JOB, source, second)
    assert summary.run == stopped.run
    assert not summary.interrupted
    assert len(second.asked) == 30 - done
    assert summary.done_before == done


def test_a_finished_run_needs_no_engine(project: Project, source: Source) -> None:
    run(project, JOB, source, ScriptedEngine(refined))

    def refuse(request: Request) -> str:
        raise AssertionError("nothing is left to generate")

    assert run(project, JOB, source, ScriptedEngine(refuse)).counts["accepted"] == 30


@pytest.mark.parametrize("change", [{"seed": 7}, {"retries": 5}, {"sampling": Sampling(temperature=0.1)}])
def test_another_setting_is_another_run(project: Project, source: Source, change: dict[str, object]) -> None:
    first = run(project, JOB, source, ScriptedEngine(refined))
    engine = ScriptedEngine(refined)
    second = run(project, replace(JOB, **change), source, engine)  # type: ignore[arg-type]
    assert second.run != first.run
    assert len(engine.asked) == 30


def test_the_same_bytes_read_in_another_way_are_another_run(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "Write 12 lines."}\n')
    named_text = tmp_path / "prompts.txt"
    named_text.write_bytes(path.read_bytes())
    found = []
    for file, format in ((path, None), (path, "text"), (named_text, None)):
        with opened(str(file)) as read, Augmentation(project, JOB, Input(read, format=format), "m", 1) as augmentation:
            augmentation.plan()
            augmentation.work(lambda: ScriptedEngine(refined), lambda: False, lambda event: None)
            found.append(next(augmentation.results())[1]["instruction"])
    assert found == ["Write 12 lines.", '{"prompt": "Write 12 lines."}', '{"prompt": "Write 12 lines."}']


def test_lines_set_aside_are_saved_before_the_plan_counts_as_complete(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "Write 12 lines."}\n{"prompt": \n')
    planned = items.add_quarantined

    def check(project: Project, run: Run, lines: Iterable[Quarantined]) -> int:
        assert run.total is None
        return planned(project, run, lines)

    monkeypatch.setattr(items, "add_quarantined", check)
    with opened(str(path)) as read, Augmentation(project, JOB, Input(read), "m", 1) as augmentation:
        assert augmentation.plan() == 1
    with opened(str(path)) as read, Augmentation(project, JOB, Input(read), "m", 1) as augmentation:
        augmentation.plan()
        summary = augmentation.work(lambda: ScriptedEngine(refined), lambda: False, lambda event: None)
    assert [line.line for line in summary.quarantined] == [2]


def test_a_restart_of_the_engine_is_no_rejection_and_all_answers_count(project: Project, source: Source) -> None:
    class Restarting(ScriptedEngine):
        def poll(self, timeout_s: float) -> Iterable[Event]:
            return [Restarted("SIGSEGV: oops", 3), *super().poll(timeout_s)]

    summary = run(project, JOB, source, Restarting(refined))
    assert summary.reasons == {}
    assert summary.completion_tokens == sum(len(str(line["refined"]).split()) for line in lines(project, JOB, source))


def test_the_same_records_in_another_file_are_not_generated_again(
    project: Project, source: Source, tmp_path: Path
) -> None:
    run(project, JOB, source, ScriptedEngine(refined))
    more = tmp_path / "more.txt"
    more.write_text("\n".join([*PROMPTS, "A new prompt about 99 things."]))
    engine = ScriptedEngine(refined)
    with opened(str(more)) as grown:
        summary = run(project, JOB, grown, engine)
    assert summary.total == 31
    assert len(engine.asked) == 1


def test_expansion_gives_as_many_new_instructions_as_asked_for(project: Project, source: Source) -> None:
    job = replace(JOB, task=EXPAND, samples=4)
    count = 0

    def answer(request: Request) -> str:
        nonlocal count
        count += 1
        return " ".join(f"word{count}x{index}" for index in range(8))

    summary = run(project, job, source, ScriptedEngine(answer))
    assert summary.counts["accepted"] == 120
    found = lines(project, job, source)
    assert [line["source"] for line in found] == [prompt for prompt in PROMPTS for _ in range(4)]
    assert len({line["id"] for line in found}) == 120


def test_expansions_like_their_seed_or_one_another_are_rejected(project: Project, source: Source) -> None:
    job = replace(JOB, task=EXPAND, samples=2, retries=1)
    summary = run(project, job, source, ScriptedEngine(lambda request: request.messages[-1].content + " Now"))
    assert summary.counts["failed"] == 60
    assert summary.reasons["too like the seed"] == 120
    other = replace(job, seed=1)
    summary = run(project, other, source, ScriptedEngine(lambda request: "Draw the old bridge in winter with charcoal"))
    assert summary.counts == {"accepted": 1, "failed": 59, "pending": 0, "kept_original": 0}
    assert set(summary.reasons) == {"too like another"}


def test_a_record_in_a_language_that_the_model_does_not_know_is_not_given_to_it(
    project: Project, tmp_path: Path
) -> None:
    path = tmp_path / "mixed.txt"
    path.write_text("Write about rivers.\n写一首关于大海的诗，要求押韵，并且包含三种颜色。\n")
    engine = ScriptedEngine(refined)
    job = replace(JOB, languages=("en",))
    with opened(str(path)) as mixed:
        summary = run(project, job, mixed, engine)
        found = lines(project, job, mixed)
    assert len(engine.asked) == 1
    assert summary.counts == {"accepted": 1, "kept_original": 1, "pending": 0, "failed": 0}
    assert found[1]["refined"] == found[1]["instruction"]
    assert str(found[1]["reason"]).startswith("language not known to the model")


def test_an_answer_may_be_as_long_as_its_prompt_and_the_room_that_the_model_needs(
    project: Project, source: Source
) -> None:
    engine = ScriptedEngine(refined)
    job = replace(JOB, answer_room=100)
    run(project, job, source, engine)
    longest = {request.messages[-1].content: request.sampling.max_tokens for request in engine.asked}
    assert longest[PROMPTS[0]] == 100 + len(PROMPTS[0]) - sum(map(str.isalpha, PROMPTS[0])) // 2
    assert job.sampling_for("写诗").max_tokens == 106
    assert job.sampling_for("4 8 15 16 23 42 " * 9).max_tokens == 100 + 16 * 9
    assert replace(job, sampling=Sampling(max_tokens=7)).sampling_for("Write.").max_tokens == 7
    assert JOB.sampling_for(PROMPTS[0]) is JOB.sampling
    assert job.config()["answer_room"] == 100
    assert "answer_room" not in JOB.config()


class PaidEngine(ScriptedEngine):
    """Takes a dollar for each answer, and two for each failure, until the budget is spent."""

    def __init__(self, budget: float) -> None:
        super().__init__(refined)
        self.left = budget

    def poll(self, timeout_s: float) -> Iterable[Event]:
        events: list[Event] = []
        for event in super().poll(timeout_s):
            assert isinstance(event, Completion)
            if self.left < 1:
                events.append(Failure(event.id, "budget", "nothing left"))
            elif self.left < 2 and "number 35" in self.prompts[event.id]:
                events.append(Failure(event.id, "budget", "nothing left", 0.5))
            elif "number 15" in self.prompts[event.id]:
                self.left -= 2
                events.append(Failure(event.id, "unreachable", "lost", 2.0))
            else:
                self.left -= 1
                events.append(replace(event, cost=1.0))
        return events

    @property
    def prompts(self) -> dict[str, str]:
        return {request.id: request.messages[-1].content for request in self.asked}


def test_a_spent_budget_leaves_the_rest_pending_and_a_larger_one_goes_on(project: Project, source: Source) -> None:
    seen: list[RunEvent] = []
    with Augmentation(project, JOB, Input(source), "http://host/v1#m", 0) as augmentation:
        augmentation.plan()
        summary = augmentation.work(lambda: PaidEngine(11), lambda: False, seen.append)
        run_id = augmentation.run.id
    assert [event for event in seen if isinstance(event, BudgetSpent)] == [BudgetSpent("nothing left")]
    assert summary.interrupted
    assert (summary.counts["accepted"], summary.counts["failed"], summary.counts["pending"]) == (9, 1, 20)
    assert costs.spent(project, run_id) == 9 + 2
    summary = run(project, JOB, source, PaidEngine(100))
    assert (summary.counts["accepted"], summary.counts["failed"], summary.counts["pending"]) == (29, 1, 0)
    assert costs.spent(project, run_id) == 29 + 2
    assert costs.spent(project, run_id + 1) == 0


def test_what_a_request_cost_before_the_budget_was_spent_is_noted(project: Project, source: Source) -> None:
    with Augmentation(project, JOB, Input(source), "http://host/v1#m", 0) as augmentation:
        augmentation.plan()
        augmentation.work(lambda: PaidEngine(27.5), lambda: False, lambda event: None)
        run_id = augmentation.run.id
        pending = items.pending(project, augmentation.run, 100)
    assert "number 3500" in pending[0].instruction
    assert pending[0].attempts_made == 1
    assert costs.spent(project, run_id) % 1 == 0.5


def test_an_engine_that_costs_nothing_notes_no_cost(project: Project, source: Source) -> None:
    with Augmentation(project, JOB, Input(source), "model.gguf", 1) as augmentation:
        augmentation.plan()
        augmentation.work(lambda: ScriptedEngine(refined), lambda: False, lambda event: None)
        run_id = augmentation.run.id
    assert costs.spent(project, run_id) == 0
    (noted,) = project.read("SELECT COUNT(*) FROM attempts WHERE engine LIKE '%cost%'")
    assert noted[0] == 0
