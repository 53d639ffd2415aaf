"""Batch: what its keys offer, how its rows are cut, and what a pause does to a forecast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from augtui.tui import jobs as jobs_module
from augtui.tui.app import Workshop
from augtui.tui.jobs import Job
from augtui.tui.screens.batch import _result, figures
from augtui.tui.widgets.keys import KeyLine
from tests.tui.conftest import settle
from tests.tui.test_screens import drive

Make = Callable[..., Workshop]


def test_keys_that_do_nothing_are_not_offered(workshop: Make, project_file: Path) -> None:
    app = workshop(screen="batch")

    async def steps(pilot: Pilot[Any]) -> None:
        async def offered() -> set[str]:
            await pilot.pause(0.3)
            return {text for _, _, text, enabled in app.screen.query_one(KeyLine)._offers[0] if enabled}

        assert await offered() == {"Run step"}
        job = Job(1, ["refine", "--file", "a.jsonl"], "refine", status="running", hears=True, started=0.0)
        app.jobs.all.append(job)
        assert await offered() == {"Run step", "Pause", "Cancel", "Log"}
        job.status, job.ended, job.version = "stopped", 9.0, 2
        assert await offered() == {"Run step", "Continue", "Log"}
        job.status, job.version = "finished", 3
        assert await offered() == {"Run step", "Log"}

    drive(app, steps)


def test_a_result_takes_one_row_whatever_its_characters_and_the_window(workshop: Make, project_file: Path) -> None:
    wide = {"status": "accepted", "instruction": "中" * 80, "text": "文" * 300, "reason": None}
    assert _result(wide, 100).cell_length <= 100
    app = workshop(screen="batch")

    async def steps(pilot: Pilot[Any]) -> None:
        job = Job(1, ["refine"], "refine", status="finished", hears=True, started=0.0, ended=1.0)
        job.latest.append(wide)
        app.jobs.all.append(job)
        results = app.screen.query_one("#results", OptionList)
        for width in (80, 200, 60):
            await pilot.resize_terminal(width, 30)
            await settle(pilot)
            cells = results.get_option_at_index(0).prompt.cell_length  # type: ignore[union-attr]
            assert width - 20 < cells <= results.scrollable_content_region.width

    drive(app, steps)


def test_a_pause_is_no_part_of_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(jobs_module.time, "monotonic", lambda: clock[0])
    job = Job(1, ["refine"], "refine", status="running", hears=True, started=100.0, working=100.0, total=200)
    clock[0], job.counts = 110.0, {"accepted": 100}
    assert job.eta_s() == pytest.approx(10.0)
    job.status = "pausing"
    job.hear(b'{"event": "paused"}')
    clock[0] = 3710.0
    assert job.status == "paused" and job.eta_s() == pytest.approx(10.0), "an hour of rest"
    job.hear(b'{"event": "resumed"}')
    clock[0] = 3711.0
    assert job.eta_s() == pytest.approx(11.0)


def test_a_job_that_has_ended_says_how_and_not_what_it_did_last() -> None:
    job = Job(1, ["clusters", "map"], "clusters map", status="running", hears=True, saying="keeping", started=1.0)
    assert figures(job).plain.startswith("keeping")
    job.status, job.ended = "finished", 2.0
    assert figures(job).plain.startswith("finished")
