"""A small version of the campaign: python -m tests.reliability.hostile --payloads 2000."""

from __future__ import annotations

from augtui.cli.catalogue import describe
from augtui.cli.main import app
from tests.reliability import hostile_commands
from tests.reliability.hostile import BEGINNINGS, campaign, found


def test_nothing_of_a_payload_is_obeyed() -> None:
    result = campaign(len(BEGINNINGS), 4, commands=False)
    assert result["app_alive"] and result["app_control"] == [] and result["app_marks"] > 30
    assert result["widget_control"] == [] and result["widget_screens"] > 30


def test_every_command_is_given_hostile_data() -> None:
    assert {command.name for command in describe(app).commands} == set(hostile_commands.VISITS)


def test_the_search_finds_what_it_is_for() -> None:
    obeyed = (b"\x1b]52;c;QZ7\x07", b"\x1b[38;5;199mQZ7", b"\x1b[QZ7", b"\xc2\x9b31m", b"\x08\x08QZ7")
    for stream in (*obeyed, "\u202eQZ7".encode()):
        assert found(stream)
    assert not found("␛]52;c;QZ7␇ \x1b[38;2;1;2;3mtext \x1b[2m␛]0;QZ7␇".encode())
