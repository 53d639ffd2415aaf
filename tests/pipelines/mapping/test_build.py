"""A project's map: made, kept, found again, added to; odd projects; two makers, a killed one, a broken file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from augtui.domain.records import Record
from augtui.errors import StoreError, UsageError
from augtui.metrics import clusters as metrics
from augtui.metrics.centrality import central, repeating
from augtui.pipelines.mapping import build, layout
from augtui.pipelines.mapping.reading import Options
from augtui.store import dataset, locks, maps, projects, pruning
from augtui.store.projects import Project

pytest.importorskip("sklearn")
PCA = Options(method="pca")
TOPICS = {
    "cook": "Write a recipe for a {} soup with fresh spices and {} bread",
    "code": "Write a python function that sorts a {} of numbers in {} order",
    "zh": "请详细解释{}的光合作用原理，以及{}对它的影响",
}


def quiet(what: str, done: int, total: int) -> None:
    assert done >= 0 and (not total or done <= total), (what, done, total)


def topic_texts(each: int) -> list[str]:
    fills = [("红", "blue"), ("tall", "低"), ("warm", "cold"), ("small", "大"), ("quick", "slow")]
    return [form.format(f"{fills[n % 5][0]} {n}", fills[n % 5][1]) for n in range(each) for form in TOPICS.values()]


def filled(path: Path, texts: list[str]) -> Project:
    project = projects.open_project(path)
    dataset.add_records(project, [Record(text) for text in texts])
    return project


def test_topics_become_clusters_with_their_names(tmp_path: Path) -> None:
    project = filled(tmp_path / "p.db", topic_texts(20))
    state, was_there = build.make(project, Options(method="pca", clusters=3), quiet)
    assert not was_there and state.records == 60 and state.placed == 0
    found = maps.clusters(project)
    assert [cluster.size for cluster in found] == [20, 20, 20]
    names = " ".join(cluster.name for cluster in found)
    assert "recipe" in names and "python" in names and "光合作用" in names
    for one in metrics.figures(project):
        assert one.share == pytest.approx(1 / 3) and one.acceptance is None and 0 <= one.cluster.density <= 1
        topic = {number % 3 for number, _, _ in maps.members(project, one.cluster)}
        assert len(topic) == 1
        assert set(one.cluster.examples) <= {row[0] for row in maps.members(project, one.cluster)}
        assert one.cluster.duplicates == len(repeating(project, one.cluster)) > 0
    again, was_there = build.make(project, Options(method="pca", clusters=3), quiet)
    assert was_there and again == state
    other, was_there = build.make(project, Options(method="pca", clusters=3, seed=1), quiet)
    assert not was_there and other.digest != state.digest


def test_the_same_seed_is_the_same_map(tmp_path: Path) -> None:
    found = []
    for name in ("a.db", "b.db"):
        project = filled(tmp_path / name, topic_texts(10))
        build.make(project, PCA, quiet)
        found.append((maps.clusters(project, centres=True), list(maps.points(project)), maps.vectors(project)))
    assert found[0] == found[1]


def test_later_records_come_to_their_clusters_and_nothing_moves(tmp_path: Path) -> None:
    project = filled(tmp_path / "p.db", topic_texts(20))
    options = Options(method="pca", clusters=3)
    build.make(project, options, quiet)
    before = {point.record: (point.x, point.y, point.cluster) for point in maps.points(project)}
    names = [cluster.name for cluster in maps.clusters(project)]
    later = ["Write a recipe for a green soup with spices", "Write a python function that sorts words", "解释光合作用"]
    dataset.add_records(project, [Record(text) for text in later])
    state = maps.state(project)
    assert state is not None and maps.fresh(project, state) == 3
    state, was_there = build.make(project, options, quiet)
    assert not was_there and state.placed == 3 and state.records == 63 and maps.fresh(project, state) == 0
    after = {point.record: (point.x, point.y, point.cluster) for point in maps.points(project)}
    assert {number: after[number] for number in before} == before
    assert [cluster.name for cluster in maps.clusters(project)] == names
    assert sum(cluster.size for cluster in maps.clusters(project)) == 63
    for number, alike in ((61, 1), (62, 2), (63, 3)):
        assert after[number][2] == before[alike][2]
    again, was_there = build.make(project, options, quiet)
    assert was_there and again == state
    anew, was_there = build.make(project, options, quiet, renew=True)
    assert not was_there and anew.placed == 0 and anew.records == 63
    dataset.add_records(project, [Record(f"one more about {n}") for n in range(40)])
    many, _ = build.make(project, options, quiet)
    assert many.placed == 0 and many.records == 103, "with many later records it is made anew"


ODD = {
    "none": [],
    "one": ["only one"],
    "equal": ["the same"] * 3,
    "two": ["a", "b"],
    "emoji": ["🙂", "🙃🙂", "🎉" * 50, "👩‍👩‍👧", "\u200d"] * 4,
    "blank": [" ", "\n", "\t "],
    "hostile": ["\x1b]52;c;UFdO\x07 [bold]x[/] \x1bPq#0\x1b\\ \u202egnp.exe" + " w" * n for n in range(15)],
    "long": ["word " * 20_000, "x" * 100_000, "字" * 100_000] * 2,
}


@pytest.mark.parametrize("name", ODD)
def test_odd_projects_have_maps(name: str, tmp_path: Path) -> None:
    texts = ODD[name]
    project = projects.open_project(tmp_path / "p.db")
    dataset.add_records(project, [Record(text, occurrence=n) for n, text in enumerate(texts)])
    state, _ = build.make(project, PCA, quiet)
    found = maps.clusters(project)
    assert state.records == len(texts) == sum(one.size for one in found if one.parent is None)
    assert maps.state(project) == state
    for cluster in found:
        assert len(central(project, cluster)) == cluster.size
        assert metrics.prunable(project, cluster, keep=1) == sorted(central(project, cluster)[1:])
    assert build.make(project, PCA, quiet)[1]
    dataset.add_records(project, [Record("a later one")])
    build.make(project, PCA, quiet)
    assert sum(one.size for one in maps.clusters(project) if one.parent is None) == len(texts) + 1


def test_pruned_records_are_counted_and_not_pruned_again(tmp_path: Path) -> None:
    project = filled(tmp_path / "p.db", topic_texts(20))
    build.make(project, Options(method="pca", clusters=3), quiet)
    cluster = maps.find(project, "2")
    order = central(project, cluster)
    wanted = metrics.prunable(project, cluster, keep=5)
    assert sorted(order[5:]) == wanted
    pruning.prune(project, wanted, metrics.why(cluster, keep=5))
    assert {one.cluster.path: one.rejected for one in metrics.figures(project)} == {"1": 0, "2": 15, "3": 0}
    assert sorted(metrics.prunable(project, cluster)) == sorted(order[:5])
    assert metrics.prunable(project, cluster, keep=5) == []
    with pytest.raises(UsageError, match="no cluster"):
        maps.find(project, "9.9")


def test_another_project_under_the_same_name_has_no_map(tmp_path: Path) -> None:
    project = filled(tmp_path / "p.db", topic_texts(5))
    build.make(project, PCA, quiet)
    project.close()
    (tmp_path / "p.db").unlink()
    other = filled(tmp_path / "p.db", ["something", "quite", "different"] * 5)
    assert maps.state(other) is None
    build.make(other, PCA, quiet)
    assert maps.state(other) is not None
    other.close()
    projects.remove(tmp_path / "p.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no database at all", b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_broken_map_is_made_anew(content: bytes, tmp_path: Path) -> None:
    project = filled(tmp_path / "p.db", topic_texts(5))
    maps.map_path(project.path).write_bytes(content)
    assert maps.state(project) is None and maps.clusters(project) == [] and not list(maps.points(project))
    build.make(project, PCA, quiet)
    assert maps.state(project) is not None and len(list(maps.points(project))) == 15


def test_a_map_that_was_deleted_and_made_again_is_seen(tmp_path: Path) -> None:
    project, reader = filled(tmp_path / "p.db", topic_texts(5)), projects.open_project(tmp_path / "p.db")
    build.make(project, PCA, quiet)
    first = maps.state(reader)
    maps.map_path(project.path).unlink()
    assert maps.state(reader) is None
    build.make(project, Options(method="pca", seed=7), quiet)
    second = maps.state(reader)
    assert first is not None and second is not None and second.digest != first.digest


def test_two_do_not_make_it_at_once(tmp_path: Path) -> None:
    project = filled(tmp_path / "p.db", topic_texts(3))
    with locks.acquire(project.path, build.LOCK), pytest.raises(StoreError, match=f"process {os.getpid()}"):
        build.make(project, PCA, quiet)


def test_a_run_that_writes_does_not_hinder_the_map(tmp_path: Path) -> None:
    project, writer = filled(tmp_path / "p.db", topic_texts(5)), projects.open_project(tmp_path / "p.db")

    def tell(what: str, done: int, total: int) -> None:
        dataset.add_records(writer, [Record(f"{what} {done}")])

    state, _ = build.make(project, PCA, tell)
    assert state.records <= dataset.count(project)
    kept = maps.state(project)
    assert kept is not None and maps.fresh(project, kept) > 0


def test_without_the_libraries_there_is_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = filled(tmp_path / "p.db", ["a"])
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    with pytest.raises(UsageError) as raised:
        build.make(project, Options(), quiet)
    assert "openTSNE" in str(raised.value) and "--layout pca" in str(raised.value.hint)
    build.make(project, PCA, quiet)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(UsageError, match=r"sklearn|scikit") as raised:
        layout.require("pca")
    assert raised.value.hint == "pip install 'augtui[map]'."


def test_a_killed_maker_leaves_the_old_map(tmp_path: Path) -> None:
    project = filled(tmp_path / "p.db", topic_texts(10))
    old, _ = build.make(project, PCA, quiet)
    program = (
        "import sys, os, signal\n"
        "from augtui.pipelines.mapping import build, reading\nfrom augtui.store import maps, projects\n"
        "points = maps.db.batches\n"
        "def dying(rows, length):\n"
        "    for batch in points(rows, length):\n"
        "        yield batch[:5]\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "maps.db.batches = dying\n"
        f"project = projects.open_project({str(project.path)!r})\n"
        "build.make(project, reading.Options(method='pca', seed=9), lambda *a: None)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    assert maps.state(project) == old and len(list(maps.points(project))) == 30
    began = time.monotonic()
    state, _ = build.make(project, Options(method="pca", seed=9), quiet)
    assert state.digest != old.digest and time.monotonic() - began < 60
