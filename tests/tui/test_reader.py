"""The lanes on which a project is read."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from augtui.store import listings
from augtui.store.projects import locate, open_project
from augtui.tui.reader import Reader


def test_whoever_asks_after_the_end_is_cancelled(home: Path) -> None:
    open_project("one").close()

    async def work() -> None:
        reader = Reader(locate("one"))
        assert await reader.quick.ask(listings.step_counts) == {}
        reader.close()
        for lane in (reader.quick, reader.slow, reader.hands):
            with pytest.raises(asyncio.CancelledError):
                await lane.ask(listings.step_counts)
        reader.close()

    asyncio.run(work())
