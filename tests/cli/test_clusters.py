"""`augtui clusters` and `augtui plot map`: lists, shows, prunes, takes back, draws."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from augtui.cli.main import app
from augtui.domain.records import Record
from augtui.errors import UsageError
from augtui.store import dataset, projects
from tests.tui.conftest import HOSTILE, build
from tests.tui.map_of_demo import draw

pytest.importorskip("sklearn")


@pytest.fixture
def demo(home: Path, tmp_path: Path) -> Path:
    path = tmp_path / "demo.db"
    build(path)
    draw(path)
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, (result.output, result.exception)
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_clusters_are_listed_in_an_order(demo: Path) -> None:
    listed = lines(run("clusters", "-p", demo, "--json"))
    assert [row["cluster"] for row in listed] == ["1", "2", "3", "4", "5"] and listed[0]["size"] == 26
    assert sum(row["share"] for row in listed) == pytest.approx(1, abs=0.001)
    assert [row["accepted"] <= row["settled"] for row in listed] == [True] * 5 and listed[0]["settled"] > 0
    assert {"1.1", "1.2"} <= {row["cluster"] for row in lines(run("clusters", "-p", demo, "--all", "--json"))}
    for order, key in (("sparse", "density"), ("acceptance", "acceptance")):
        values = [row[key] for row in lines(run("clusters", "-p", demo, "--order", order, "--json"))]
        known = [value for value in values if value is not None]
        assert known == sorted(known) and values[: len(known)] == known
    table = run("clusters", "-p", demo)
    assert "photosynthesis" in table.stdout and not set("\x1b\x07\u202e\x9b") & set(table.output)
    assert isinstance(run("clusters", "-p", demo, "--order", "x").exception, UsageError)


def test_a_cluster_is_shown_and_written(demo: Path, tmp_path: Path) -> None:
    (whole,) = lines(run("clusters", "show", "1", "-p", demo, "--json", "--limit", 3))
    assert [one["cluster"] for one in whole["inside"]] == ["1.1", "1.2"] and len(whole["records"]) == 3
    assert "most central" in run("clusters", "show", "4", "-p", demo).stdout
    assert run("clusters", "prune", "1", "-p", demo, "--keep", 20, "-y", "-q").exit_code == 0
    target = tmp_path / "seeds.jsonl"
    assert run("clusters", "show", "1", "-p", demo, "-o", target).exit_code == 0
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert len(rows) == 20 and all(row["instruction"] for row in rows)
    assert isinstance(run("clusters", "show", "7.7", "-p", demo).exception, UsageError)


def test_pruning_leaves_records_out_of_exports_until_it_is_taken_back(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exported() -> int:
        target = tmp_path / "out.jsonl"
        assert run("export", "-p", demo, "--as", "jsonl", "-o", target, "-q").exit_code == 0
        return len(target.read_text().splitlines())

    before = exported()
    asked = run("clusters", "prune", "2", "-p", demo)
    assert isinstance(asked.exception, UsageError) and "--yes" in str(asked.exception.hint) and exported() == before
    (done,) = lines(run("clusters", "prune", "2", "-p", demo, "--json", "-y"))
    assert done == {"cluster": "2", "rejected": 13, "reason": "cluster 2"} and exported() == before - 13
    (done,) = lines(run("clusters", "prune", "2", "-p", demo, "--json", "-y"))
    assert done["rejected"] == 0
    (done,) = lines(run("clusters", "prune", "1", "-p", demo, "--json", "-y", "--duplicates", "--reason", HOSTILE))
    assert done["rejected"] == 3 and done["reason"] == HOSTILE
    taken = run("clusters", "undo", "-p", demo)
    assert "3 verdicts" in taken.stderr and "\x1b" not in taken.output
    assert lines(run("clusters", "undo", "-p", demo, "--json")) == [{"taken_back": 13, "reason": "cluster 2"}]
    assert exported() == before and lines(run("clusters", "undo", "-p", demo, "--json"))[0]["taken_back"] == 0
    monkeypatch.setenv("AUGTUI_REVIEWER", f"Bob {HOSTILE}")
    assert run("clusters", "prune", "2", "-p", demo, "-y").exit_code == 0
    monkeypatch.delenv("AUGTUI_REVIEWER")
    refused = run("clusters", "undo", "-p", demo)
    assert "Bob" in refused.stderr and "--anybody" in refused.stderr and "\x1b" not in refused.output
    assert exported() == before - 13
    assert "13 verdicts" in run("clusters", "undo", "-p", demo, "--anybody").stderr and exported() == before
    assert isinstance(run("clusters", "prune", "1", "-p", demo, "--keep", 1, "--duplicates").exception, UsageError)


def test_the_map_is_made_kept_and_told_to_be_old(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    with projects.open_project(path) as project:
        dataset.add_records(project, [Record(f"Describe station {n} 第{n}站") for n in range(30)])
    first = lines(run("clusters", "map", "-p", path, "--layout", "pca", "--json", "-q"))
    assert first[0]["records"] == 30
    assert lines(run("clusters", "map", "-p", path, "--layout", "pca", "--json", "-q")) == first
    with projects.open_project(path) as project:
        dataset.add_records(project, [Record("something else")])
    assert "1 later records" in run("clusters", "-p", path).stderr
    assert lines(run("clusters", "map", "-p", path, "--layout", "pca", "--json", "-q"))[0]["placed"] == 1
    assert "later records" not in run("clusters", "-p", path).stderr
    for wrong in (("--layout", "x"), ("--on", "x")):
        assert isinstance(run("clusters", "map", "-p", path, *wrong).exception, UsageError)


def test_an_empty_project(home: Path, tmp_path: Path) -> None:
    projects.open_project(tmp_path / "empty.db").close()
    result = run("clusters", "-p", tmp_path / "empty.db")
    assert result.exit_code == 0 and "no records" in result.stderr
    target = tmp_path / "map.svg"
    assert run("plot", "map", "-p", tmp_path / "empty.db", "-o", target).exit_code == 0
    assert "nothing to show" in target.read_text()


def test_the_map_is_drawn(demo: Path, tmp_path: Path) -> None:
    target = tmp_path / "map.svg"
    (said,) = lines(run("plot", "map", "-p", demo, "-o", target, "--json"))
    assert said["points"] == 78
    drawn = target.read_text()
    root = ElementTree.fromstring(drawn)
    texts = ["".join(one.itertext()) for one in root.iter() if one.tag.endswith("text")]
    assert any("photosynthesis" in text for text in texts) and any("光合作用" in text for text in texts)
    dots = sum(one.get("d", "").count("M") for one in root.iter() if one.tag.endswith("path"))
    assert 60 <= dots <= 78 and not set("\x1b\x07\u202e\x9b") & set(drawn)
    assert run("plot", "map", "-p", demo, "-o", target, "--cluster", "1").exit_code == 0
    assert "Cluster 1: photosynthesis" in target.read_text()
    assert isinstance(run("plot", "map", "-p", demo, "-o", target, "--cluster", "8").exception, UsageError)
    assert isinstance(run("plot", "tasks", "-p", demo, "-o", target, "--cluster", "1").exception, UsageError)
    pytest.importorskip("cairosvg")
    png = tmp_path / "map.png"
    assert run("plot", "map", "-p", demo, "-o", png).exit_code == 0 and png.read_bytes().startswith(b"\x89PNG")
