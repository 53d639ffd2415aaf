"""The audit: its statistics by hand, and its rows from engines whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.domain.guard import Strictness
from augtui.domain.tasks import TASKS
from augtui.engines.base import Completion, Failure, Sampling
from augtui.errors import EngineError, InputError
from augtui.pipelines.audit import Candidate, Rate, Watcher, audit, mcnemar
from augtui.pipelines.job import Job

PROMPTS = ["Write a poem about the sea in 12 lines", "Explain tides to {{name}}", "Name 3 rivers"]


def job(task: str = "refine", **options: Any) -> Job:
    settings = {"languages": (), "samples": 1, "guard": Strictness.NORMAL} | options
    return Job(TASKS[task], "specialised", "model", "", Sampling(temperature=0.0), seed=1, retries=0, **settings)


class Told:
    """An engine that says of each request what it was told, out of order; None is a failure."""

    def __init__(self, answers: Sequence[str | None]) -> None:
        self.answers, self.events = answers, []  # type: ignore[var-annotated]

    model = None

    def submit(self, requests: Sequence[Any]) -> None:
        self.requests = list(requests)
        for request, text in reversed(list(zip(requests, self.answers, strict=True))):
            if text is None:
                self.events.append(Failure(request.id, "context overflow", "too long"))
            else:
                self.events.append(Completion(request.id, text, "stop", 9, 0, len(text.split()), 0.0, 0.1, 0.2))

    def poll(self, timeout_s: float) -> list[Any]:
        return [self.events.pop()] if self.events else []


def rows(
    answers: dict[str, Sequence[str | None]], tmp_path: Path, prompts: Sequence[str] = PROMPTS, **options: Any
) -> Any:
    candidates = []
    for name in answers:
        path = tmp_path / name
        path.write_bytes(b"x" * (100 + len(candidates)))
        candidates.append(Candidate(name, path))

    @contextmanager
    def opened(path: Path) -> Iterator[Any]:
        yield Told(answers[path.name])

    return list(audit(candidates, prompts, job(**options), opened, Watcher()))


GOOD = [
    "Write a clear poem about the sea in 12 lines, with a title",
    "Explain tides to {{name}}, step by step",
    "Name 3 rivers and where they end",
]


def test_what_a_quantization_loses_is_counted(tmp_path: Path) -> None:
    bad = [GOOD[0], "Explain tides, step by step", "### Refined Prompt ### Name 3 rivers"]
    first, second = rows({"F16": GOOD, "Q2_K": bad}, tmp_path)
    assert (first.passed.hits, first.parsed.hits, first.answers, first.exact) == (3, 3, 3, None)
    assert (second.passed.hits, second.parsed.hits) == (1, 2)
    assert (second.exact.hits, second.exact.cases) == (1, 3)
    assert 1 / 3 < second.rouge_l < 1
    assert (second.lost, second.won) == (2, 0)
    assert second.p_value == 0.5
    assert set(second.reasons) == {"variable lost", "template leaked"}
    assert (first.bytes, second.bytes) == (100, 101)
    assert first.tokens_per_second > 0
    assert first.mean_tokens == pytest.approx(sum(len(text.split()) for text in GOOD) / 3)
    assert second.as_json()["passed"]["share"] == pytest.approx(1 / 3, abs=1e-4)


def test_failures_are_no_cases(tmp_path: Path) -> None:
    _, second = rows({"a": GOOD, "b": [None, *GOOD[1:]]}, tmp_path)
    assert (second.failed, second.answers) == (1, 2)
    assert second.exact.share == 1
    assert (second.lost, second.won) == (0, 0)
    with pytest.raises(EngineError, match="too long"):
        rows({"a": [None] * 3}, tmp_path)


def test_expansions_are_judged_against_those_before_them(tmp_path: Path) -> None:
    said = ["Bake a cake with apples", "Bake a cake with apples", "List all the moons of Jupiter"] * 1
    (row,) = rows({"a": said}, tmp_path, prompts=["Cook a soup"], task="expand", samples=3)
    assert (row.passed.hits, row.passed.cases) == (2, 3)
    assert list(row.reasons) == ["too like another"]


def test_prompts_in_a_language_that_the_model_does_not_know_are_left_out(tmp_path: Path) -> None:
    (row,) = rows({"a": GOOD[:1]}, tmp_path, prompts=[PROMPTS[0], "请写一首关于大海的诗"], languages=("en",))
    assert row.answers == 1
    with pytest.raises(InputError, match="language"):
        rows({"a": []}, tmp_path, prompts=["请写一首关于大海的诗"], languages=("en",))


def test_mcnemar_by_hand() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(1, 0) == 1
    assert mcnemar(0, 6) == pytest.approx(2 / 64)
    assert mcnemar(5, 5) == 1
    assert mcnemar(9, 1) == pytest.approx(2 * (1 + 10) / 1024)


@given(cases=st.integers(1, 500), data=st.data())
def test_intervals_hold_the_share(cases: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, cases))
    low, high = Rate(hits, cases).interval or (math.nan, math.nan)
    assert 0 <= low <= hits / cases + 1e-12
    assert hits / cases - 1e-12 <= high <= 1
    assert low < high


def test_wilsons_interval_by_hand() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I: 81 of 263.
    low, high = Rate(81, 263).interval or (0, 0)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert Rate(0, 0).interval is None
