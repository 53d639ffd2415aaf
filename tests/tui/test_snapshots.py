"""Each screen as it looks, at three sizes, dark and light."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from augtui.tui.app import Workshop
from augtui.tui.jobs import Job
from tests.tui.conftest import settle

SIZES = [(80, 24), (120, 40), (200, 60)]
SCREENS = ["home", "batch", "review", "models", "plots", "training"]


def busy_job(app: Workshop) -> Job:
    """A job in the middle of its work, whose clock stands still."""
    job = Job(1, ["refine", "--file", "prompts.jsonl", "--project", "demo"], "refine", status="running", run=7)
    job.total, job.counts, job.done_before = 2000, {"accepted": 1101, "kept_original": 118, "failed": 21}, 0
    job.reasons = {"variable lost": 61, "too long": 34, "language changed": 23}
    job.speed, job.hears, job.started, job.ended = 151.0, True, 0.0, 1740.0
    job.speeds.extend([20, 60, 110, 150, 148, 152, 151, 149, 151, 153, 151])
    job.progress = {
        "active": 15, "slots": 16, "waiting": 33, "context_used": 610, "context_size": 1000, "rss_bytes": 6_200_000_000,
        "timing": {"prefill_s": 10.0, "prefill_tokens": 21_000},
    }  # fmt: skip
    job.latest.append({"position": 1, "status": "kept_original", "reason": "number lost: 42", "tries": 4,
                       "instruction": "Solve for x: 42 = 6x", "text": None})  # fmt: skip
    job.latest.append({"position": 2, "status": "accepted", "reason": None, "tries": 1,
                       "instruction": "write a retry helper", "text": "Write a retry helper in Python."})  # fmt: skip
    app.jobs.all.append(job)
    app.jobs.all.append(Job(2, ["expand", "--file", "seeds.jsonl", "--count", "5"], "expand"))
    return job


@pytest.mark.parametrize("theme", ["augtui-dark", "augtui-light"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen_looks_as_it_did(
    screen: str,
    size: tuple[int, int],
    theme: str,
    workshop: Callable[..., Workshop],
    project_file: Path,
    snap_compare: Any,
) -> None:
    app = workshop(screen=screen, theme=theme)
    if screen == "batch":
        busy_job(app)

    async def ready(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await asyncio.sleep(0.1)
        await settle(pilot)

    assert snap_compare(app, terminal_size=size, run_before=ready)


@pytest.mark.parametrize(
    ("name", "keys"),
    [("welcome", []), ("help", ["f1"]), ("themes", ["ctrl+t"]), ("form", ["x"])],
)
def test_the_first_steps_look_as_they_did(
    name: str, keys: list[str], workshop: Callable[..., Workshop], home: Path, snap_compare: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from augtui.tui.screens import home as screen

    # The path of the example stands in the form.
    monkeypatch.setattr(screen.locations, "home", lambda: Path("/tmp/augtui-snapshot"))
    app = workshop(project="fresh")

    async def ready(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await pilot.press(*keys)
        await settle(pilot)

    assert snap_compare(app, terminal_size=(100, 32), run_before=ready)
