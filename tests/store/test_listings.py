"""Lists of records against what a plain reading of all of them finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augtui.domain.records import Record
from augtui.store import dataset, listings, projects, search
from augtui.store.listings import STRIDE, Filter
from augtui.store.projects import Project

SEARCHED = ["river", "秋天", "诗", "RIVER", "100%", "a_b", "x", "numb", "ber 1", "5", "zzz", '"number 12"', "%", "_"]
WORDS = ["river", "秋天", "诗", "RIVER bank", "100%", "a_b", 'say "hi"', "x"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("library")
    project = projects.open_project(folder / "library.db")
    dataset.add_records(
        project, (Record(f"{WORDS[n % 8]} number {n}", WORDS[n % 3] if n % 5 == 0 else None) for n in range(700))
    )
    assert search.attach(project)
    while search.extend(project, 100) and search.indexed(project) < 400:
        pass  # the rest stays to be read
    return project


def plain(project: Project, text: str) -> list[int]:
    lower = [term.lower() for term in search.terms(text)]
    rows = project.read("SELECT number, instruction, COALESCE(response, '') FROM records ORDER BY number")
    return [number for number, *texts in rows if all(any(term in text.lower() for text in texts) for term in lower)]


def listed(project: Project, wanted: Filter, attached: bool) -> list[int]:
    found = listings.listing(project, wanted, attached=attached)
    rows = [row for number in range(found.pages) for row in listings.page(project, found, number)]
    assert len(rows) == found.total
    assert all(listings.place(found, row.number) == place // STRIDE for place, row in enumerate(rows))
    return [row.number for row in rows]


@settings(deadline=None, max_examples=40)
@given(text=st.lists(st.sampled_from(SEARCHED), max_size=3).map(" ".join))
def test_a_search_finds_what_a_plain_reading_finds(library: Project, text: str) -> None:
    expected = plain(library, text)
    assert listed(library, Filter(text), attached=True) == expected
    assert listed(library, Filter(text), attached=False) == expected


def test_filters(project: Project) -> None:
    dataset.add_records(project, [Record("a", "b"), Record("c")])
    assert listed(project, Filter(state="with response"), False) == [1]
    assert listed(project, Filter(state="untouched", text="c"), False) == [2]
    for state in listings.STATES:
        listed(project, Filter(state=state, task="refine", language="en", run=1), False)
    assert listings.languages(project) == [("en", 2)] and listings.step_counts(project) == {}
    project.conn.execute("DELETE FROM sources WHERE record = 1")
    project.conn.execute("DELETE FROM records WHERE number = 1")
    assert listed(project, Filter(), False) == [2], "a gap in the numbers"


def test_an_index_of_another_project_is_made_anew(tmp_path: Path) -> None:
    for texts in (["one two three"], ["four five six"]):
        (tmp_path / "p.db").unlink(missing_ok=True)
        with projects.open_project(tmp_path / "p.db") as project:
            dataset.add_records(project, [Record(text) for text in texts])
            assert search.attach(project)
            assert search.indexed(project) == 0
            search.extend(project)
            assert listed(project, Filter(texts[0].split()[1]), True) == [1]


def test_a_damaged_index_is_made_anew(tmp_path: Path) -> None:
    with projects.open_project(tmp_path / "p.db") as project:
        search.index_path(project.path).write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
        assert search.attach(project)
        search.extend(project)
