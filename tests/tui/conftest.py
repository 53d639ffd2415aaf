"""A project of fixed content, and the app on it without a terminal."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from augtui.cli.catalogue import describe
from augtui.cli.main import app as commands
from augtui.domain.records import Record
from augtui.pipelines.examples import PROMPTS
from augtui.settings import load
from augtui.store import db, items, projects, runs
from augtui.store.dataset import GeneratedRecord
from augtui.store.items import Attempt, PlannedItem, Settled
from augtui.store.runs import RunPlan
from augtui.tui import preferences
from augtui.tui.app import Workshop
from augtui.tui.jobs import Jobs

HOSTILE = "\x1b]52;c;UFdO\x07 [bold]not[/bold] [/foo] \x9b31m \u202egnp.exe \x1bPq#0\x1b\\ " + "w" * 300
CHINESE = ("请解释一下光合作用的过程", "写一首关于秋天的短诗，不少于20个字", "用三句话总结这篇文章")
FACTS = {
    "name": "default", "path": "/models/augtui-nano-q8_0.gguf", "sha256": "0" * 64, "style": "specialised",
    "architecture": "qwen2", "parameters": 4_002_048, "quantization": "Q8_0", "context": 1024, "layers": 6,
    "licence": "apache-2.0",
}  # fmt: skip


def build(path: Path) -> None:
    """Make the project: 38 records, a finished run of refine, an interrupted one of expand."""
    began = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    ticks = itertools.count()

    def now() -> str:
        return (began + timedelta(milliseconds=137 * next(ticks))).isoformat(timespec="milliseconds")

    real, db.now = db.now, now
    try:
        with projects.open_project(path) as project:
            texts = [*PROMPTS, *CHINESE, HOSTILE, "a [b] c [/foo]", "short"]
            records = [Record(text, line=line) for line, text in enumerate(texts, start=1)]
            _run(project, "refine", records, pending=0)
            _run(project, "expand", records[:12], pending=5)
    finally:
        db.now = real


def _run(project: projects.Project, task: str, records: list[Record], pending: int) -> None:
    run = runs.begin(
        project,
        RunPlan(f"key of {task}", task, "prompts.txt", {"temperature": 0.3, "seed": 42}, 42, f"3fa1{task}", task, "",
                "9", "0" * 64, "default", "/models/default.gguf", 4_500_000),
    )  # fmt: skip
    items.add_items(project, run, [PlannedItem(n, f"{task}{n}", record) for n, record in enumerate(records)])
    done = records[: len(records) - pending]
    for n, record in enumerate(done):
        key, text = f"{task}{n}", f"{record.instruction}. Give a concrete example, in simple words."
        if n % 9 == 4:
            bad = Attempt(0, n, f"{text} lost", "rejected", f"number lost: {n}", "stop", 40, 30, 0.0, 0.1, 0.4)
            status: Any = "kept_original" if task == "refine" else "failed"
            items.settle(project, run, [Settled(key, status, None, f"number lost: {n}", (bad,))])
            continue
        tries = [Attempt(0, n, text, "rejected", "too long", "stop", 40, 90, 0.0, 0.1, 0.9)] if n % 7 == 3 else []
        tries.append(Attempt(len(tries), n, text, "accepted", None, "stop", 40, 24, 0.0, 0.1, 0.35))
        items.settle(project, run, [Settled(key, "accepted", text, None, tuple(tries), GeneratedRecord(text))])
    runs.finish(project, run, "interrupted" if pending else "finished")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("built") / "demo.db"
    build(path)
    return path


@pytest.fixture
def project_file(home: Path, built: Path) -> Path:
    path = home / "projects" / "demo.db"
    path.parent.mkdir(parents=True)
    shutil.copyfile(built, path)
    return path


@pytest.fixture
def workshop(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Workshop]:
    """Return a maker of apps on project `demo`, on a machine that always has the same memory."""
    from augtui.tui.screens import models

    async def capture(self: Jobs, arguments: list[str]) -> str:
        return json.dumps(FACTS) if arguments[:2] == ["show", "default"] else ""

    monkeypatch.setattr(models, "free_bytes", lambda: 6_000_000_000)
    monkeypatch.setattr(Jobs, "capture", capture)
    # The rest is loaded at once: a person would look at the first screen meanwhile, a test waits.
    monkeypatch.setattr("augtui.tui.app.LOAD_EVERY_S", 0.0)
    catalogue = describe(commands)

    def make(project: str = "demo", screen: str | None = None, theme: str | None = None) -> Workshop:
        if theme is not None:
            preferences.write({"theme": theme})
        return Workshop(catalogue, project=project, screen=screen, settings=load())

    return make


async def settle(pilot: Pilot[Any]) -> None:
    """Wait until what was asked of the project is on the screen."""
    quiet = 0
    for _ in range(200):
        await pilot.pause(0.06)
        quiet = 0 if any(worker.is_running and worker.group != "default" for worker in pilot.app.workers) else quiet + 1
        if quiet == 3:
            break
    await pilot.pause()


@pytest.fixture
def many(home: Path) -> Iterator[Path]:
    """A project of 30,000 records."""
    from augtui.store import dataset

    with projects.open_project("many") as project:
        dataset.add_records(project, (Record(f"Describe station {n} 第{n}站 for a guide") for n in range(30_000)))
        yield project.path
