"""Two models on the same prompts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from augtui.domain.tasks import REFINE
from augtui.engines.base import Completion, Engine, Failure, Request
from augtui.errors import EngineError, InputError
from augtui.models import catalog
from augtui.models.catalog import Model
from augtui.pipelines import versus
from augtui.pipelines.job import Job
from augtui.pipelines.jobs import job_for
from augtui.pipelines.versus import words_kept
from augtui.settings import load

PROMPTS = ("list 3 facts about rain", "explain tcp", "name 2 rivers `in` France")


class Scripted:
    """An engine that answers from a table, the prompts' numbers its keys; None is a failure."""

    model = None

    def __init__(self, answers: dict[int, str | None]) -> None:
        self._answers = answers
        self._asked: list[Request] = []

    def submit(self, requests: list[Request]) -> None:
        self._asked = requests

    def poll(self, timeout_s: float) -> list[Completion | Failure]:
        found: list[Completion | Failure] = []
        for request in reversed(self._asked):  # answers do not come in order
            text = self._answers[int(request.id.split(":")[0])]
            if text is None:
                found.append(Failure(request.id, "too_long", "no room"))
            else:
                found.append(Completion(request.id, text, "stop", 10, 0, len(text.split()), 0.0, 0.1, 0.2))
        self._asked = []
        return found


@pytest.fixture
def side(home: Path) -> tuple[Model, Job]:
    model = catalog.resolve(catalog.DEFAULT)
    return model, replace(job_for(REFINE, load(temperature=0.0), model), retries=0)


def compared(side: tuple[Model, Job], first: dict[int, str | None], second: dict[int, str | None]) -> versus.Comparison:
    answers = iter((first, second))

    @contextmanager
    def open_engine(model: Model) -> Iterator[Engine]:
        yield cast("Engine", Scripted(next(answers)))

    return versus.compare(side, side, PROMPTS, open_engine, lambda name, done, total: None)


BEFORE: dict[int, str | None] = {0: "List facts about rain.", 1: "Explain TCP to a beginner, in 3 steps.", 2: None}
AFTER: dict[int, str | None] = {
    0: "List 3 facts about rain, one sentence each.",
    1: "Explain TCP to a beginner, in 3 steps.",
    2: "Name 2 rivers `in` France. \x1b]0;x\x07 ```",
}


def test_outcomes_are_compared_pair_by_pair(side: tuple[Model, Job]) -> None:
    found = compared(side, BEFORE, AFTER)
    assert [pair.prompt for pair in found.pairs] == list(PROMPTS)
    assert [pair.before.outcome for pair in found.pairs] == ["rejected", "accepted", "failed"]
    assert "3" in str(found.pairs[0].before.reason) and found.pairs[0].after.outcome == "accepted"
    # Where one of them gave no answer, nothing is lost or won.
    assert (found.lost, found.won, found.same, found.p_value) == (0, 1, 1, 1.0)
    assert (found.before.answers, found.before.failed, found.after.answers) == (2, 1, 3)
    assert found.before.accepted.share == 0.5 and found.pairs[0].before.words_kept == 0.8
    assert found.before.mean_words == (4 + 8) / 2 and found.before.mean_tokens == (4 + 8) / 2


def test_it_is_saved_read_and_written_as_a_page(side: tuple[Model, Job], tmp_path: Path) -> None:
    found = compared(side, BEFORE, AFTER)
    path = versus.save(found)
    assert list(versus.saved()) == [path]
    values = versus.read(path)
    assert values == json.loads(json.dumps(found.as_json()))
    page = versus.markdown(values)
    assert "\x1b" not in page and "\x07" not in page and "␛]0;x␇" in page
    assert "List {+3 +}facts about rain{+, one sentence each+}." in page
    # A fence is longer than any in what it holds.
    assert re.search(r"^````$\nName 2 rivers `in` France\. .*```\n````$", page, re.MULTILINE)
    for text in ("", "{}", "[]", '{"format": 9, "pairs": [], "before": {}, "after": {}}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(InputError):
            versus.read(tmp_path / "x.json")


def test_a_model_that_answers_nothing_is_an_error(side: tuple[Model, Job]) -> None:
    nothing: dict[int, str | None] = dict.fromkeys(range(3))
    with pytest.raises(EngineError, match="no room"):
        compared(side, nothing, AFTER)


@pytest.mark.parametrize(
    ("prompt", "text", "share"),
    [
        ("list 3 facts", "Three facts, list!", 2 / 3),
        ("a a b", "a b", 2 / 3),
        ("写诗 3", "写一首 3 行的诗", 1.0),
        ("!?", "x", None),
        ("one", "", 0.0),
    ],
)
def test_words_that_are_kept(prompt: str, text: str, share: float | None) -> None:
    assert words_kept(prompt, text) == (None if share is None else round(share, 4))


def test_figures_are_rows_for_both(side: tuple[Model, Job]) -> None:
    values: dict[str, Any] = compared(side, BEFORE, AFTER).as_json()
    rows = {name: (old, new) for name, old, new in versus.figures(values)}
    assert rows["accepted (95%)"][0].startswith("50.0% (") and rows["failed"] == ("1", "0")
