"""Answers that were tried out become records with everything known of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from augtui.domain.records import Record
from augtui.domain.tasks import REFINE
from augtui.errors import StoreError
from augtui.models import catalog
from augtui.pipelines import keeping
from augtui.pipelines.job import Job
from augtui.pipelines.jobs import job_for
from augtui.pipelines.keeping import Answer
from augtui.settings import load
from augtui.store import dataset, judging, lineage, runs
from augtui.store.projects import Project, open_project
from augtui.store.reviewers import Reviewer

PROMPT = "list 3 facts about rain"


@pytest.fixture
def project(home: object) -> Iterator[Project]:
    with open_project("kept") as opened:
        dataset.add_records(opened, [Record(PROMPT, "It is wet.")])
        yield opened


@pytest.fixture(scope="module")
def job() -> Job:
    return job_for(REFINE, load(), catalog.resolve(catalog.DEFAULT))


def answer(job: Job, text: str, record_id: str | None = None, prompt: str = PROMPT) -> Answer:
    return Answer(job, Record(prompt), record_id, 1, 77, text, "stop", 40, 12, 0.5)


def test_an_answer_is_a_child_of_the_record_that_was_asked_about(project: Project, job: Job) -> None:
    origin = dataset.get(project, Record(PROMPT, "It is wet.").id)
    assert origin is not None
    text = "List 3 facts about rain, each in one sentence."
    number = keeping.keep(project, answer(job, text, origin.id), Reviewer("ann", "1"))
    (record_id,) = project.read("SELECT id FROM records WHERE number = ?", (number,))[0]
    made = dataset.get(project, record_id)
    assert made is not None and (made.instruction, made.origin) == (text, "generated")
    (step,) = lineage.ancestors(project, record_id)
    assert (step.parent, step.task, step.seed, step.completion_tokens) == (origin.id, "refine", 77, 12)
    assert step.model_name == job.model_name and step.template_hash == job.template.hash
    run = runs.get(project, 1)
    assert (run.source, run.status, run.config) == (keeping.SOURCE, "finished", job.config())
    assert judging.counts(project)["accepted"] == 1
    assert project.read("SELECT reviewer FROM reviews") == [("ann",)]
    # The same answer again is the same record.
    assert keeping.keep(project, answer(job, text, origin.id)) == number
    assert project.read("SELECT COUNT(*) FROM records")[0][0] == 2 and len(runs.list_runs(project)) == 1


def test_a_prompt_that_was_typed_becomes_a_record_too(project: Project, job: Job) -> None:
    number = keeping.keep(project, answer(job, "Name 2 rivers of France and where they end.", None, "name 2 rivers"))
    (record_id,) = project.read("SELECT id FROM records WHERE number = ?", (number,))[0]
    (step,) = lineage.ancestors(project, record_id)
    parent = dataset.get(project, step.parent)
    assert parent is not None and parent.instruction == "name 2 rivers" and parent.source_name == keeping.SOURCE


def test_what_the_guard_refuses_is_a_persons_overruling(project: Project, job: Job) -> None:
    text = "Rain falls."
    number = keeping.keep(project, answer(job, text))
    assert project.read("SELECT instruction FROM records WHERE number = ?", (number,)) == [(text,)]
    status, reason = project.read("SELECT status, reason FROM items")[0]
    assert status == "kept_original" and "3" in reason
    with pytest.raises(StoreError, match="no text"):
        keeping.keep(project, answer(job, " \n"))
