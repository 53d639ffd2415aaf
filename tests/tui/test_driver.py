"""What the driver makes of bytes from the terminal."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from textual import events
from textual.message import Message

from augtui.tui.driver import AttentiveDriver


@contextmanager
def reading() -> Iterator[tuple[int, list[Message]]]:
    """A driver that reads from a pipe: the end to write to, and what it hands on."""
    read_end, write_end = os.pipe()
    driver: Any = AttentiveDriver.__new__(AttentiveDriver)
    told: list[Message] = []
    driver.fileno, driver._debug, driver.exit_event, driver.process_message = (
        read_end,
        False,
        threading.Event(),
        told.append,
    )
    thread = threading.Thread(target=driver.run_input_thread)
    thread.start()
    try:
        yield write_end, told
    finally:
        driver.exit_event.set()
        thread.join(10)
        os.close(read_end)
        os.close(write_end)
        assert not thread.is_alive()


def keys(told: list[Message], count: int) -> list[str]:
    deadline = time.monotonic() + 10
    while len(told) < count:
        assert time.monotonic() < deadline, told
        time.sleep(0.002)
    return [message.key for message in told if isinstance(message, events.Key)]


def test_an_escape_alone_is_one_and_a_sequence_is_its_key() -> None:
    with reading() as (terminal, told):
        os.write(terminal, b"\x1b")
        assert keys(told, 1) == ["escape"]
        os.write(terminal, b"\x1b[A")
        assert keys(told, 2)[1:] == ["up"]
        os.write(terminal, b"a\x1b")
        assert keys(told, 4)[2:] == ["a", "escape"]


def test_a_sequence_in_two_pieces_and_a_character_in_two_are_one() -> None:
    with reading() as (terminal, told):
        os.write(terminal, b"\x1b[")
        os.write(terminal, b"B")
        assert keys(told, 1) == ["down"]
        first, second = "é".encode()[:1], "é".encode()[1:]
        os.write(terminal, first)
        time.sleep(0.01)
        os.write(terminal, second)
        assert len(keys(told, 2)) == 2


def test_what_was_typed_last_is_not_lost() -> None:
    with reading() as (terminal, told):
        os.write(terminal, b"xyz")
        assert keys(told, 3) == ["x", "y", "z"]
