"""A few faults in every test run; the full count is `python -m tests.reliability.downloads` (docs/reliability.md)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.reliability.downloads import torment


@pytest.mark.skipif(sys.platform != "linux", reason="finds child processes in /proc")
def test_whatever_breaks_the_file_is_exact_or_the_error_is_clear() -> None:
    report = torment(20, seed=3, size=600_000, workers=2)
    assert report.faults.total() >= 20
    assert not (report.unclear or report.wrong or report.stuck or report.leftovers), list(report.lines())


def test_every_flipped_bit_is_caught() -> None:
    # In a process of its own: it sets the environment of the hub's client.
    command = [sys.executable, "-m", "tests.reliability.downloads", "--faults", "0", "--flips", "30"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "flipped bits caught: 30 of 30 on the way, 30 of 30 at rest" in done.stdout, done.stderr[-2000:]
