"""No screen is a dead end: what is empty, gone or held says so, and Escape goes back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from augtui.tui import text
from augtui.tui.app import Workshop
from augtui.tui.jobs import Job
from augtui.tui.screens import review as review_module
from augtui.tui.screens.dialogs import Choice
from augtui.tui.widgets.keys import KeyLine
from augtui.tui.widgets.records import NOTHING, RecordsTable
from tests.tui.conftest import settle
from tests.tui.test_screens import drive, read

Make = Callable[..., Workshop]


def enabled(app: Workshop) -> set[str]:
    return {words for _, _, words, now in app.screen.query_one(KeyLine)._offers[0] if now}


def test_escape_leaves_the_prompt_of_models(workshop: Make, project_file: Path) -> None:
    app = workshop(screen="models")

    async def steps(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        assert not {"Again", "Write", "Copy answer"} & enabled(app), "there is no answer yet"
        await pilot.press("t", *"hello")
        await pilot.pause()
        assert "Back to the list" in enabled(app)
        await pilot.press("escape")
        assert app.focused is app.screen.query_one("#names")
        await pilot.press("1")
        assert app.current_mode == "home"

    drive(app, steps)


def test_a_record_to_try_out_is_read_from_its_beginning(workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        table = app.screen.query_one(RecordsTable)
        await pilot.press("slash", *"gnp")
        await pilot.pause(0.3)
        await settle(pilot)
        assert table.total
        await pilot.press("enter", "t")
        await settle(pilot)
        prompt = app.screen.query_one("#prompt", Input)
        assert len(prompt.value) > 300 and prompt.scroll_offset.x == 0 and prompt.cursor_position == 0

    drive(app, steps)


def test_a_list_without_records_says_so(workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        table = app.screen.query_one(RecordsTable)
        await pilot.press("slash", *"zzqq")
        await pilot.pause(0.3)
        await settle(pilot)
        await pilot.pause(0.2)
        assert NOTHING in table.render_line(2).text
        assert app.screen.query_one("#detail").border_title == "Record"
        await pilot.press("escape")
        await settle(pilot)
        assert table.total == 78 and NOTHING not in table.render_line(2).text

    drive(app, steps)


def test_a_project_that_was_taken_away_is_told_of_once(workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        assert not app._notifications
        project_file.rename(project_file.with_suffix(".elsewhere"))
        await pilot.pause(2.5)
        await settle(pilot)
        assert [one.title for one in app._notifications] == ["demo was moved or removed"]
        assert app.screen.query_one(RecordsTable).total == 78
        assert not project_file.exists()

    drive(app, steps)


def test_a_verdict_that_waits_for_another_process_says_so_and_is_saved(
    workshop: Make, project_file: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(review_module, "PATIENCE_S", 0.1)
    app = workshop(screen="review")

    async def steps(pilot: Pilot[Any]) -> None:
        holder = sqlite3.connect(project_file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        await pilot.press("a")
        await pilot.pause(0.5)
        assert any("Another process" in one.message for one in app._notifications)
        holder.execute("ROLLBACK")
        holder.close()
        await settle(pilot)
        assert read(project_file, "SELECT verdict FROM reviews") == [("accepted",)]

    drive(app, steps)


def test_a_step_to_choose_takes_one_row(workshop: Make, project_file: Path) -> None:
    app = workshop(screen="batch")

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("r")
        await settle(pilot)
        assert isinstance(app.screen, Choice)
        steps_offered = app.screen.query_one(OptionList)
        assert steps_offered.option_count > 10 and steps_offered.virtual_size.height == steps_offered.option_count

    drive(app, steps, (80, 24))


def test_what_is_gone_is_not_told_by_colour_alone() -> None:
    left, right = text.sides("the red fox", "the quick fox")
    assert any("underline" in str(span.style) for span in left.spans)
    assert any("bold" in str(span.style) for span in right.spans)


def test_a_fault_that_several_readers_meet_is_told_once(workshop: Make, home: Path) -> None:
    (home / "projects").write_text("in the way")
    app = workshop(project="demo")

    async def steps(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await pilot.press("3", "1")
        await settle(pilot)
        assert len(app._notifications) == 1

    drive(app, steps)


def test_training_offers_to_stop_what_runs_alone(workshop: Make, project_file: Path) -> None:
    app = workshop(screen="training")

    async def steps(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        assert "Stop" not in enabled(app) and "Start" in enabled(app)
        app.jobs.all.append(Job(1, [], "training.sft", status="running"))
        await pilot.pause(0.8)
        assert "Stop" in enabled(app)
        app.jobs.all.clear()

    drive(app, steps)
