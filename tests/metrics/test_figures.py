"""Figures and their pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from typer.testing import CliRunner

from augtui.cli.main import app
from augtui.metrics import figures, plots
from augtui.metrics.figures import Figure, Series
from augtui.store import projects
from tests.tui.conftest import build


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("figures") / "demo.db"
    build(path)
    return path


def test_the_numbers_are_those_of_the_project(demo: Path) -> None:
    with projects.open_project(demo) as project:
        tasks = figures.tasks(project)
        assert tasks.labels == ("expand", "refine")
        by_name = {series.name: series.values for series in tasks.series}
        accepted, kept, failed, pending = (by_name[name] for name in ("accepted", "kept original", "failed", "pending"))
        assert accepted[0] + failed[0] + pending[0] == 12 and accepted[1] + kept[1] == 38 and pending[0] == 5
        lengths = figures.lengths(project)
        before, after = (series.values for series in lengths.series)
        assert sum(before) == pytest.approx(100) and sum(after) == pytest.approx(100)
        mean = [sum(x * share for x, share in zip(lengths.x, side, strict=True)) for side in (before, after)]
        assert mean[1] > mean[0]
        assert (
            dict(zip(figures.reasons(project).labels, figures.reasons(project).series[0].values, strict=True))[
                "too long"
            ]
            > 0
        )
        speed = figures.speed(project)
        assert sum(speed.series[0].values) > 0
        assert figures.diversity(project).labels == ("distinct-1", "distinct-2")


def test_an_empty_project_has_empty_figures(tmp_path: Path) -> None:
    with projects.open_project(tmp_path / "empty.db") as project:
        for make in figures.FIGURES.values():
            assert make(project).is_empty
            ElementTree.fromstring(plots.svg(make(project)))


def test_hostile_names_stay_text_in_a_picture() -> None:
    figure = Figure(
        "x", "<script>\x1b]0;", "bars", ("<b>\x00", "'\"&"), (), (Series("s", (1.0, 2.0)), Series("<i>", (0, 3)))
    )
    drawn = plots.svg(figure)
    root = ElementTree.fromstring(drawn)
    assert not [tag for tag in root.iter() if tag.tag.endswith(("script", "b", "i"))]
    assert "\x1b" not in drawn


def test_the_command_writes_pictures(demo: Path, tmp_path: Path) -> None:
    for name in figures.FIGURES:
        target = tmp_path / f"{name}.svg"
        result = CliRunner().invoke(app, ["plot", name, "-o", str(target), "--project", str(demo), "--json"])
        assert result.exit_code == 0, result.output
        ElementTree.parse(target)
    pytest.importorskip("cairosvg")
    target = tmp_path / "lengths.png"
    assert CliRunner().invoke(app, ["plot", "lengths", "-o", str(target), "--project", str(demo)]).exit_code == 0
    assert target.read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn(demo: Path) -> None:
    result = CliRunner().invoke(app, ["plot", "lengths", "-o", "x.pdf", "--project", str(demo)])
    assert result.exception is not None and "svg or a .png" in str(result.exception)
