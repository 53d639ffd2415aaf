"""A few murders in every test run; the full count is `python -m tests.reliability.murders` (docs/reliability.md)."""

from __future__ import annotations

import sys

import pytest

from tests.reliability.murders import murder


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
def test_nothing_is_lost_doubled_or_changed_when_the_engine_is_murdered() -> None:
    # Texts are compared: only in this mode does a near tie of the model not depend on what else is in the batch.
    report = murder(murders=12, records=40, deterministic=True)
    assert len(report.murders) == 12
    assert report.clean, report.lines()
    assert all(murder.detected_s is not None for murder in report.murders)
