"""Waits between tries."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.engines.http.retry import BASE_S, CAP_S, LONGEST_WAIT_S, Pause, asked_wait_s, backoff_s
from tests.engines.http.clocks import QuickClock

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "99999"}, LONGEST_WAIT_S),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30.0),
        ({"retry-after": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 15 Jan 2038 07:00:00 GMT"}, LONGEST_WAIT_S),
        ({"retry-after": "Fri, 15 Jan 99999 07:00:00 GMT"}, None),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "1"}, 1.0),
    ],
)
def test_what_a_server_asks_for_is_read(headers: dict[str, str], wait: float | None) -> None:
    assert asked_wait_s(headers, NOW) == wait


@given(st.text(max_size=60))
def test_any_header_is_a_wait_within_bounds_or_none(value: str) -> None:
    wait = asked_wait_s({"retry-after": value}, NOW)
    assert wait is None or 0 <= wait <= LONGEST_WAIT_S


@given(st.integers(1, 10_000), st.integers())
def test_backoff_is_a_full_jitter(failures: int, seed: int) -> None:
    wait = backoff_s(failures, random.Random(seed))
    assert 0 <= wait <= min(CAP_S, BASE_S * 2.0 ** min(failures - 1, 30))


def test_backoff_grows_and_draws_from_the_whole_range() -> None:
    draw = random.Random(1)
    for failures, most in ((1, 0.5), (4, 4.0), (12, 60.0)):
        waits = [backoff_s(failures, draw) for _ in range(2_000)]
        assert min(waits) < most * 0.05 and most * 0.95 < max(waits) <= most
        assert sum(waits) / len(waits) == pytest.approx(most / 2, rel=0.1)


def test_a_pause_is_shared_and_the_longest_counts() -> None:
    clock = QuickClock()

    async def wait_all() -> None:
        pause = Pause(clock, random.Random(1))
        await pause.over()
        assert clock.waits == []
        pause.extend(50)
        pause.extend(1)
        start = clock.now()
        await pause.over()
        assert clock.now() - start >= 50

    asyncio.run(wait_all())
