"""Jobs on real child processes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from augtui.tui.catalogue import Catalogue
from augtui.tui.jobs import PATIENCE, Job, Jobs

FAKE = (sys.executable, str(Path(__file__).with_name("fake_command.py")))


async def until(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.01)


def test_jobs_run_one_after_the_other_and_rest_and_end_when_told() -> None:
    ended: list[Job] = []
    begun: list[int | None] = []

    async def work() -> None:
        jobs = Jobs(Catalogue((), FAKE), ended.append, lambda job: begun.append(job.run))
        first = jobs.add(["events", "400"], "refine")
        second = jobs.add(["events", "5"], "expand")
        third = jobs.add(["plain"], "paths")
        assert second.status == third.status == "waiting"
        await until(lambda: first.done >= 3)
        assert first.status == "running" and first.speed == 100.0 and first.eta_s() is not None
        assert first.latest[-1]["text"] == f"text {first.done}"
        assert first.process is not None
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, first.process.pid) == min(19, own + PATIENCE)
        jobs.pause(first)
        await until(lambda: first.status == "paused")
        rested = first.done
        await asyncio.sleep(0.2)
        assert first.done == rested
        jobs.resume(first)
        await until(lambda: first.done > rested)
        jobs.stop(third)
        jobs.stop(first)
        await until(lambda: second.ended is not None)
        assert (first.status, first.code) == ("stopped", 130)
        assert (second.status, second.done, second.summary) == ("finished", 5, {"run": 7})
        assert third.status == "stopped" and third.process is None
        await jobs.close()

    asyncio.run(work())
    assert [job.title for job in ended] == ["refine", "expand"]
    assert begun == [7, 7]


def test_what_a_job_writes_cannot_reach_the_terminal() -> None:
    async def work() -> tuple[Job, Job]:
        jobs = Jobs(Catalogue((), FAKE), lambda job: None)
        broken, plain = jobs.add(["broken"], "refine"), jobs.add(["plain"], "paths")
        await until(lambda: plain.ended is not None)
        return broken, plain

    broken, plain = asyncio.run(work())
    assert broken.status == "failed" and broken.code == 2
    assert broken.last_words() == ["augtui: ␛[31mno such file␇"]
    assert list(plain.output) == ["one line ␛]0;title␇"]


def test_closing_stops_what_runs() -> None:
    async def work() -> Job:
        jobs = Jobs(Catalogue((), FAKE), lambda job: None)
        job = jobs.add(["events", "100000"], "refine")
        await until(lambda: job.done > 0)
        await jobs.close()
        return job

    assert asyncio.run(work()).status == "stopped"


def test_a_program_that_cannot_be_started_is_a_failed_job() -> None:
    async def work() -> Job:
        jobs = Jobs(Catalogue((), ("/no/such/program",)), lambda job: None)
        job = jobs.add(["x"], "refine")
        await until(lambda: job.ended is not None)
        return job

    job = asyncio.run(work())
    assert job.status == "failed" and "No such file" in job.output[0]


@pytest.mark.parametrize("line", [b"\xff\xfe\n", b"[1]\n", b'{"event": 1}\n', b'{"no": "event"}\n', b"null\n"])
def test_lines_that_are_no_events_are_output(line: bytes) -> None:
    job = Job(1, [], "x")
    job.hear(line)
    assert job.run is None and len(job.output) <= 1
