"""A small version of the campaign: python -m tests.reliability.hostile --payloads 2000."""

from __future__ import annotations

from tests.reliability.hostile import BEGINNINGS, campaign, found


def test_nothing_of_a_payload_is_obeyed() -> None:
    result = campaign(len(BEGINNINGS), 4)
    assert result["app_alive"] and result["app_control"] == [] and result["app_marks"] > 30
    assert result["widget_control"] == [] and result["widget_screens"] > 30
    commands = [value for value in result.values() if isinstance(value, dict)]
    assert [one["control"] for one in commands] == [[]] * len(commands)
    assert sum(one["bytes"] for one in commands) > 100


def test_the_search_finds_what_it_is_for() -> None:
    for stream in (b"\x1b]52;c;QZ7\x07", b"\x1b[31mQZ7", "\u202eQZ7".encode(), b"\xc2\x9b31m", b"\x08\x08QZ7"):
        assert found(stream)
    assert not found("␛]52;c;QZ7␇ \x1b[38;2;1;2;3mtext".encode())
