"""The form of a command: what is seen of it, and what it takes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Checkbox, Input, Select, Static

from augtui.tui.app import Workshop
from augtui.tui.screens.form import Form
from augtui.tui.screens.help import Help
from tests.tui.conftest import settle
from tests.tui.test_jobs import until
from tests.tui.test_screens import drive, shown

Make = Callable[..., Workshop]


def notices(app: Workshop) -> list[str]:
    return [notice.message for notice in app._notifications]


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40), (300, 100)], ids=str)
def test_its_buttons_are_seen_whatever_it_has_to_say(size: tuple[int, int], workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("r")
        await settle(pilot)
        assert isinstance(app.screen, Form)
        for text in ("", "/a/long/way/to/a/file " * 12):
            app.screen.query_one("#p-file", Input).value = text
            await settle(pilot)
            for button in app.screen.query(Button):
                assert button.region in app.screen.query_one(".dialog").content_region, (button, text)
            assert app.screen.query_one(".fields").size.height >= 3

    drive(app, steps, size)


def test_a_description_that_is_cut_off_is_told_whole(workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("r")
        await settle(pilot)
        assert shown(app, "#about-field").endswith("or - for a pipe.")
        await pilot.press("down", "down", "down", "down", "down")
        await pilot.pause()
        assert app.focused is not None and app.focused.id == "p-slots"
        told = app.catalogue.get("refine").parameter("slots").help  # type: ignore[union-attr]
        assert shown(app, "#about-field") == told
        await pilot.press("f1")
        await pilot.pause()
        assert isinstance(app.screen, Help) and "Start" in shown(app, "#keys")
        await pilot.press("escape")
        assert isinstance(app.screen, Form)

    drive(app, steps, (80, 24))


def test_numbers_out_of_range_are_refused_before_anything_starts(workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("r")
        await settle(pilot)
        for field, value, told in (
            ("limit", "-5", "limit is 1 or more."),
            ("limit", "1.5", "limit is no whole number."),
            ("seed", "x", "seed is no number."),
        ):
            given = app.screen.query_one(f"#p-{field}", Input)
            given.value = value
            await pilot.press("ctrl+s")
            await pilot.pause()
            assert isinstance(app.screen, Form) and app.focused is given
            assert notices(app)[-1] == told
            given.value = ""
        assert not app.jobs.all

    drive(app, steps)


def test_a_flag_is_told_from_its_opposite_without_colours(workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("r")
        await settle(pilot)
        flag = app.screen.query_one("#p-offline", Checkbox)
        assert "X" not in str(flag.render())
        flag.value = True
        assert "X" in str(flag.render())

    drive(app, steps)


def test_the_estimate_is_for_the_records_listed(
    workshop: Make, project_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from augtui.store import pace

    monkeypatch.setattr(pace, "of_newest_run", lambda project, task: pace.Pace(7, 40, 20.0, 30.0, 0.5, 1.0))
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("r")
        await settle(pilot)
        await pilot.pause(0.2)
        assert "About 39 s for 78 records: run 7 took 500 ms each here." in shown(app, "#estimate")

    drive(app, steps)


def test_what_is_given_to_a_choice_is_shown(workshop: Make, project_file: Path) -> None:
    app = workshop(screen="plots")

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("down", "s")
        await settle(pilot)
        chosen = app.screen.query_one("#p-name", Select)
        assert chosen.value == "tasks" and str(chosen.query_one("#label", Static).visual) == "tasks"

    drive(app, steps)


def test_what_is_missing_gets_the_cursor(workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("e")
        await settle(pilot)
        shape = app.screen.query_one("#p-shape", Input)
        assert shape.value == "jsonl", "an export can be started as it is offered"
        shape.value = ""
        await pilot.press("down", "down", "ctrl+s")
        await pilot.pause()
        assert notices(app)[-1] == "shape: needed." and app.focused is shape

    drive(app, steps)


def test_a_job_without_counts_says_what_it_said_last(workshop: Make, project_file: Path, tmp_path: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        app.jobs._catalogue = replace(
            app.catalogue,
            program=(sys.executable, "-c", "import sys; print('written to \x1b]0;x.svg', file=sys.stderr)"),
        )
        job = app.launch([], "plot")
        await until(lambda: job.ended is not None, 20)
        await pilot.pause()
        assert notices(app) == ["written to \u241b]0;x.svg"]

    drive(app, steps)


def test_the_palette_offers_a_step_on_the_projects_records(workshop: Make, project_file: Path) -> None:
    app = workshop(screen="plots")

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.pause(0.5)
        offered = {one.title: one.callback for one in app.get_system_commands(app.screen)}
        for name, output in (("dedupe", "demo-dedupe.jsonl"), ("refine", "")):
            offered[name]()
            await settle(pilot)
            await pilot.pause(0.3)
            assert isinstance(app.screen, Form)
            file = Path(app.screen.query_one("#p-file", Input).value)
            assert len(file.read_text().splitlines()) == 78
            # What keeps nothing in the project would print its rows to nobody.
            assert app.screen.query_one("#p-output", Input).value == output
            await pilot.press("escape")
        offered["export"]()
        await settle(pilot)
        assert app.screen.query_one("#p-file", Input).value == ""
        assert app.screen.query_one("#p-output", Input).value == "demo.jsonl"

    drive(app, steps)


def test_a_step_for_a_general_model_asks_for_one(workshop: Make, project_file: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        for name, expected in (("translate", "needed"), ("respond", "needed"), ("refine", "default")):
            command = app.catalogue.get(name)
            assert command is not None
            app.run_worker(app.offer(command))
            await until(lambda: isinstance(app.screen, Form))
            await pilot.pause()
            assert app.screen.query_one("#p-model", Input).placeholder.startswith(expected)
            app.pop_screen()
            await pilot.pause()

    drive(app, steps)
