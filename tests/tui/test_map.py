"""The map in Plots, key by key, and as it looks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from augtui.store import projects
from augtui.tui.app import Workshop
from augtui.tui.screens.dialogs import Choice, Prompt, Question, Reading
from augtui.tui.screens.form import Form
from augtui.tui.widgets.keys import KeyLine
from augtui.tui.widgets.mappane import MapPane
from augtui.tui.widgets.records import RecordsTable
from augtui.tui.widgets.scatter import Cloud, Scatter, raster
from tests.tui.conftest import settle
from tests.tui.map_of_demo import draw
from tests.tui.test_jobs import until
from tests.tui.test_screens import drive, read, shown
from tests.tui.test_snapshots import SIZES

Make = Callable[..., Workshop]


@pytest.fixture
def mapped(project_file: Path) -> Path:
    draw(project_file)
    return project_file


def test_the_first_map_is_made_by_the_key_that_the_screen_names(workshop: Make, project_file: Path) -> None:
    app = workshop(screen="plots")

    async def steps(pilot: Pilot[Any]) -> None:
        app.jobs._catalogue = replace(app.catalogue, program=(sys.executable, "-c", "import time; time.sleep(30)"))
        await pilot.press("m")
        assert not app.jobs.all, "another figure is looked at"
        await go_to_map(pilot)
        assert "m makes it" in shown(app, "#map-notice")
        assert "Make map" in {offer[2] for offer in app.screen.query_one(KeyLine)._offers[0]}
        await pilot.press("m")
        await pilot.pause()
        assert app.jobs.all[0].arguments[:2] == ["clusters", "map"]
        app.jobs.stop(app.jobs.all[0])
        app.jobs.stop(app.jobs.all[0])
        await until(lambda: not app.jobs.live, 20)

    drive(app, steps)


async def go_to_map(pilot: Pilot[Any]) -> MapPane:
    await pilot.press("end")
    await settle(pilot)
    await pilot.press("enter")
    await settle(pilot)
    return pilot.app.screen.query_one(MapPane)


def rejected(path: Path) -> int:
    return int(read(path, "SELECT COUNT(*) FROM reviews WHERE verdict = 'rejected'")[0][0])


def test_walking_entering_and_coming_back(workshop: Make, mapped: Path) -> None:
    app = workshop(screen="plots")

    async def steps(pilot: Pilot[Any]) -> None:
        pane = await go_to_map(pilot)
        scatter, table = app.screen.query_one(Scatter), app.screen.query_one(RecordsTable)
        assert app.focused is scatter and pane.target is not None and pane.target.cluster.path == "1"
        assert "photosynthesis" in shown(app, "#cluster-facts") or "1, 2 inside" in shown(app, "#cluster-facts")
        seen = [pane.target.cluster.path]
        for key in ("down", "left", "up", "right", "j", "k"):
            await pilot.press(key)
            await pilot.pause()
            assert pane.target is not None
            seen.append(pane.target.cluster.path)
        assert len(set(seen[:5])) >= 3 and seen[-1] == seen[-3], seen
        pane._choose(0)
        await pilot.press("enter")
        await settle(pilot)
        assert [one.cluster.path for one in pane._shown] == ["1.1", "1.2"] and table.display and table.total == 26
        await pilot.press("j", "enter")
        await settle(pilot)
        assert table.total == 13 and [one.cluster.path for one in pane._shown] == ["1.2"]
        await pilot.press("enter")
        assert app.focused is table, "nothing is inside but records"
        await pilot.press("down", "i")
        await settle(pilot)
        assert isinstance(app.screen, Reading)
        await pilot.press("escape")
        for _ in range(2):
            await pilot.press("escape")
            await settle(pilot)
        assert pane.target is not None and pane.target.cluster.path == "1.2", "the cursor stands on what was left"
        await pilot.press("escape")
        await settle(pilot)
        assert pane.target.cluster.path == "1" and not table.display
        await pilot.press("i")
        await settle(pilot)
        assert isinstance(app.screen, Reading)
        await pilot.press("escape", "o")
        await settle(pilot)
        densities = [one.cluster.density for one in pane._shown]
        assert densities == sorted(densities) and pane.target.cluster.path == "1"
        await pilot.press("o", "o", "o", "w")
        assert scatter.letters
        await pilot.press("escape")
        assert app.focused is not None and app.focused.id == "figure-names"

    drive(app, steps)


def test_the_mouse_goes_to_a_cluster_and_into_it(workshop: Make, mapped: Path) -> None:
    app = workshop(screen="plots")

    async def steps(pilot: Pilot[Any]) -> None:
        pane = await go_to_map(pilot)
        scatter = app.screen.query_one(Scatter)
        assert scatter._raster is not None
        place = next(at for at, one in enumerate(pane._shown) if one.cluster.path == "3")
        column, line = scatter._raster.centres[place]
        await pilot.click(Scatter, offset=(column, line))
        await pilot.pause()
        assert pane.target is not None and pane.target.cluster.path == "3"
        await pilot.click(Scatter, offset=(column, line), times=2)
        await settle(pilot)
        assert pane._inside == pane.target.cluster.number
        await pilot.click("#clusters", offset=(2, 0))
        await settle(pilot)
        assert app.focused is not None

    drive(app, steps)


@pytest.mark.parametrize(("choice", "count"), [("all", 26), ("central", 22), ("repeats", 3)])
def test_pruning_asks_says_how_many_and_is_taken_back(
    choice: str, count: int, workshop: Make, mapped: Path
) -> None:  # fmt: skip
    app = workshop(screen="plots")

    async def steps(pilot: Pilot[Any]) -> None:
        pane = await go_to_map(pilot)
        await pilot.press("d")
        await settle(pilot)
        assert isinstance(app.screen, Choice)
        await pilot.press(*["down"] * ("all", "central", "repeats").index(choice), "enter")
        await settle(pilot)
        if choice == "central":
            assert isinstance(app.screen, Prompt)
            app.screen.query_one(Input).value = "4"
            await pilot.press("enter")
            await settle(pilot)
        question: Any = app.screen
        assert isinstance(question, Question)
        assert f"Reject {count} of the 26" in str(question.query(Static).first().visual)
        await pilot.press("n")
        await settle(pilot)
        assert rejected(mapped) == 0
        await pilot.press("d", *["down"] * ("all", "central", "repeats").index(choice), "enter")
        await settle(pilot)
        if choice == "central":
            app.screen.query_one(Input).value = "4"
            await pilot.press("enter")
            await settle(pilot)
        await pilot.press("y")
        await settle(pilot)
        assert rejected(mapped) == count
        assert pane.target is not None and pane.target.rejected == count
        await pilot.press("u")
        await settle(pilot)
        assert rejected(mapped) == 0 and pane.target.rejected == 0
        await pilot.press("u")
        await settle(pilot)

    drive(app, steps)
    assert read(mapped, "SELECT COUNT(*) FROM items WHERE task = 'prune'") == [(0,)]


def test_review_takes_a_pruning_back_whole(workshop: Make, mapped: Path) -> None:
    app = workshop(screen="plots")

    async def steps(pilot: Pilot[Any]) -> None:
        await go_to_map(pilot)
        await pilot.press("d", "enter")
        await settle(pilot)
        await pilot.press("y")
        await settle(pilot)
        assert rejected(mapped) == 26
        await pilot.press("3")
        await settle(pilot)
        await pilot.press("u")
        await settle(pilot)
        assert rejected(mapped) == 0

    drive(app, steps)


def test_a_cluster_is_expanded_without_what_was_rejected(workshop: Make, mapped: Path) -> None:
    from augtui.store import pruning

    with projects.open_project(mapped) as project:
        pruning.prune(project, [1, 2], "x")
    app = workshop(screen="plots")

    async def steps(pilot: Pilot[Any]) -> None:
        await go_to_map(pilot)
        await pilot.press("e")
        await settle(pilot)
        await pilot.pause(0.3)
        assert isinstance(app.screen, Form)
        file = Path(app.screen.query_one("#p-file", Input).value)
        assert len(file.read_text().splitlines()) == 24
        assert "the records listed" in shown(app, "#estimate")
        await pilot.press("escape")

    drive(app, steps)


def test_a_project_without_a_map_makes_one_in_a_process_of_its_own(workshop: Make, project_file: Path) -> None:
    pytest.importorskip("sklearn")
    app = workshop(screen="plots")

    async def steps(pilot: Pilot[Any]) -> None:
        pane = await go_to_map(pilot)
        assert "No map yet" in shown(app, "#map-notice")
        await pilot.press("m")
        await pilot.pause()
        job = app.jobs.all[0]
        assert job.arguments[:2] == ["clusters", "map"]
        await pilot.pause(0.1)
        assert "making the map" in str(app.screen.query_one("#figure").border_subtitle)
        await until(lambda: job.ended is not None, 120)
        assert job.status == "finished", job.last_words()
        assert job.hears and job.saying
        await pilot.pause(0.5)
        await settle(pilot)
        assert pane.target is not None
        assert sum(one.cluster.size for one in pane._shown) == 78

    drive(app, steps)


def test_stopping_the_making_leaves_nothing(workshop: Make, project_file: Path) -> None:
    app = workshop(screen="plots")
    slow = (
        "from augtui.cli import progress, signals\nimport time\n"
        "with signals.ending(), progress.shown('clusters', quiet=False) as tell:\n"
        "    for n in range(600):\n        tell('laying out', n, 600); time.sleep(0.1)\n"
    )

    async def steps(pilot: Pilot[Any]) -> None:
        pane = await go_to_map(pilot)
        app.jobs._catalogue = replace(app.catalogue, program=(sys.executable, "-c", slow))
        pane.action_make(False)
        job = app.jobs.all[0]
        await until(lambda: job.status == "running" and job.done > 2, 60)
        app.jobs.pause(job)
        await until(lambda: job.status == "paused", 20)
        app.jobs.resume(job)
        pane.action_make(False)
        assert len(app.jobs.all) == 1, "one at a time"
        app.jobs.stop(job)
        await until(lambda: job.ended is not None, 20)
        assert job.status in ("stopped", "failed")

    drive(app, steps)


def test_later_records_are_told_of(workshop: Make, project_file: Path) -> None:
    draw(project_file, without=7)
    app = workshop(screen="plots")

    async def steps(pilot: Pilot[Any]) -> None:
        await go_to_map(pilot)
        assert "7 later records" in shown(app, "#map-notice")

    drive(app, steps)


@pytest.mark.parametrize("size", [(80, 24), (300, 100)])
def test_an_empty_project_and_another_one(size: tuple[int, int], workshop: Make, mapped: Path, home: Path) -> None:
    app = workshop(project="fresh", screen="plots")

    async def steps(pilot: Pilot[Any]) -> None:
        pane = await go_to_map(pilot)
        assert "No map yet" in shown(app, "#map-notice")
        for key in ("i", "d", "e", "u", "o", "enter", "escape"):
            await pilot.press(key)
            await settle(pilot)
            await pilot.press("escape")
        app.open("demo")
        await settle(pilot)
        assert pane.target is not None and pane.target.cluster.size == 26

    drive(app, steps, size)


def test_the_palette_goes_to_the_map(workshop: Make, mapped: Path) -> None:
    app = workshop()

    async def steps(pilot: Pilot[Any]) -> None:
        names = [command.title for command in app.get_system_commands(app.screen)]
        assert {"Map", "clusters", "clusters map", "clusters prune", "clusters show"} <= set(names)
        app.action_map()
        await settle(pilot)
        assert app.current_mode == "plots" and app.screen.query_one(MapPane).display
        assert app.screen.query_one("#figure-names", OptionList).highlighted == 7

    drive(app, steps)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6, width=32), st.floats(-1e6, 1e6, width=32), st.integers(-1, 3)), min_size=1,
             max_size=40),
    st.integers(2, 60), st.integers(1, 30),
)  # fmt: skip
def test_every_point_is_in_a_cell_and_every_cell_with_dots_has_points(
    points: list[tuple[float, float, int]], width: int, height: int
) -> None:
    x, y = (np.array([point[at] for point in points], dtype=np.float32) for at in (0, 1))
    group = np.array([point[2] for point in points], dtype=np.int32)
    found = raster(Cloud(x, y, group, "abcd", [(0.0, 0.0)] * 4), width, height)
    assert found.dots.shape == found.most.shape == (height, width)
    assert (found.cells >= 0).all(), "of few points all are in the picture"
    assert set(found.cells.tolist()) == set(np.flatnonzero(found.dots.ravel()).tolist())
    assert int(np.bitwise_count(found.dots).sum()) <= len(points)
    for cell in set(found.cells.tolist()):
        inside = {int(one) for one in group[found.cells == cell]}
        assert int(found.most.ravel()[cell]) in (inside - {-1} or {-1})
    assert all(0 <= column < width and 0 <= line < height for column, line in found.centres)


@pytest.mark.parametrize(("share", "is_seen"), [(0.015, False), (0.15, True)])
def test_a_few_that_lie_far_out_do_not_squeeze_the_others_and_an_island_is_seen(share: float, is_seen: bool) -> None:
    chance = np.random.default_rng(7)
    x, y = chance.normal(0, 1, (2, 700)).astype(np.float32)
    far = int(700 * share)
    y[:far] = -30.0
    found = raster(Cloud(x, y, np.zeros(700, dtype=np.int32), "a", [(0.0, 0.0)]), 50, 36)
    lines = found.dots[:, :].any(axis=1)
    assert bool((found.cells[:far] >= 0).any()) == is_seen
    assert is_seen or lines.mean() > 0.6, "the others fill the picture"


@pytest.mark.parametrize("theme", ["augtui-dark", "augtui-light"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_map_looks_as_it_did(
    size: tuple[int, int], theme: str, workshop: Make, mapped: Path, snap_compare: Any
) -> None:
    _looks(workshop, theme, size, ["down"], snap_compare)


@pytest.mark.parametrize("theme", ["augtui-dark", "augtui-plain"])
def test_a_cluster_looks_as_it_did(theme: str, workshop: Make, mapped: Path, snap_compare: Any) -> None:
    _looks(workshop, theme, (100, 32), ["enter", "j"], snap_compare)


def _looks(workshop: Make, theme: str, size: tuple[int, int], keys: list[str], snap_compare: Any) -> None:
    async def ready(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await go_to_map(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)
        await asyncio.sleep(0.1)
        await settle(pilot)

    assert snap_compare(workshop(screen="plots", theme=theme), terminal_size=size, run_before=ready)
