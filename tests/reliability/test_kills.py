"""A few kills in every test run; the full count is `python -m tests.reliability.kills` (docs/reliability.md)."""

from __future__ import annotations

import sys

import pytest

from tests.reliability.kills import torment


@pytest.mark.skipif(sys.platform != "linux", reason="looks for engines left behind in /proc")
def test_nothing_is_lost_or_done_twice_when_the_process_is_killed_at_any_moment() -> None:
    report = torment(kills=12, records=40)
    assert report.kills == 12
    assert report.runs >= 1
    assert report.clean, report.lines()
    assert report.killed_while["generating"] > 0, "no kill hit a run at work"
