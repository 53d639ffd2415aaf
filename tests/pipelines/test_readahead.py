"""Reading ahead: in order, bounded, to its end, and never in the way of one who waits for nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from augtui.pipelines.readahead import ReadAhead


def test_pieces_come_in_order_and_the_end_stays() -> None:
    pieces = [bytes([n]) * (n + 1) for n in range(200)]
    source: Iterator[bytes] = iter([*pieces, b""])
    ahead = ReadAhead(lambda: next(source), limit=500)
    ahead.start()
    assert [ahead.take() for _ in pieces] == pieces
    assert (ahead.take(), ahead.take(0), ahead.take()) == (b"", b"", b"")
    ahead.close()


def test_no_more_than_the_limit_waits() -> None:
    read = threading.Semaphore(0)
    count = 0

    def piece() -> bytes:
        nonlocal count
        count += 1
        read.release()
        return b"x" * 10

    ahead = ReadAhead(piece, limit=30)
    ahead.start()
    for _ in range(4):  # three that wait, one in hand
        assert read.acquire(timeout=10)
    assert not read.acquire(timeout=0.1)
    assert ahead.take() == b"x" * 10
    assert read.acquire(timeout=10)
    assert not read.acquire(timeout=0.1)
    ahead.close()
    assert count == 5


def test_a_large_piece_goes_through() -> None:
    source = iter([b"x" * 100, b"y" * 100, b""])
    ahead = ReadAhead(lambda: next(source), limit=10)
    ahead.start()
    assert (ahead.take(), ahead.take(), ahead.take()) == (b"x" * 100, b"y" * 100, b"")
    ahead.close()


def test_who_waits_for_a_moment_gets_nothing_of_a_slow_one() -> None:
    go_on = threading.Event()

    def slow() -> bytes:
        go_on.wait()
        return b""

    ahead = ReadAhead(slow)
    ahead.start()
    began = time.monotonic()
    assert ahead.take(0.05) is None
    assert time.monotonic() - began < 5
    go_on.set()
    assert ahead.take() == b""
    ahead.close()


def test_a_failing_source_ends() -> None:
    def failing() -> bytes:
        raise OSError("gone")

    ahead = ReadAhead(failing)
    ahead.start()
    assert ahead.take() == b""
    ahead.close()
