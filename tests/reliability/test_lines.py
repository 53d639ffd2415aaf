"""A few thousand mutilated lines in every test run; the full count is `python -m tests.reliability.lines`."""

from __future__ import annotations

from tests.reliability.lines import campaign


def test_every_line_is_imported_set_aside_or_blank() -> None:
    report = campaign(lines=6_000, seed=3)
    assert report.clean, report.told()
    assert report.lines == report.imported + report.quarantined + report.blank + report.refused_lines
    assert report.imported > 2_000
    assert len(report.reasons) >= 8, report.reasons
