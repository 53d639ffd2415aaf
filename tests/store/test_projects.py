from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import augtui
from augtui import locations
from augtui.domain.records import Record
from augtui.errors import StoreError, UsageError
from augtui.store import dataset, db, projects, runs


def test_a_project_is_created_listed_opened_again_and_removed() -> None:
    with projects.open_project("demo") as project:
        assert project.name == "demo"
        dataset.add_records(project, [Record("a")])
    with projects.open_project("demo", create=False) as project:
        assert dataset.count(project) == 1
        assert project.db["records"].count == 1
    assert [file.name for file in projects.list_projects()] == ["demo"]
    projects.remove("demo")
    assert projects.list_projects() == []
    assert list(locations.projects().iterdir()) == []


def test_without_create_a_missing_project_is_an_error() -> None:
    with pytest.raises(StoreError, match="no project demo"):
        projects.open_project("demo", create=False)
    with pytest.raises(StoreError, match="no project demo"):
        projects.remove("demo")


def test_a_path_opens_a_file_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for given_path in (tmp_path / "a?b#c%20.db", "plain.db", "./with.sqlite"):
        projects.open_project(given_path).close()
    assert {path.name for path in tmp_path.iterdir()} == {"a?b#c%20.db", "plain.db", "with.sqlite", "home"}
    with pytest.raises(StoreError, match="no folder"):
        projects.open_project(tmp_path / "missing" / "a.db")


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "-flag", "a b", "a\n", "é", "a" * 65, "a\x00b", "~"])
def test_names_that_are_no_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        projects.open_project(name)


@given(st.text(max_size=70))
def test_a_name_never_leads_out_of_the_folder_of_projects(name: str) -> None:
    if "/" in name or name.endswith(".db"):
        return
    try:
        path = projects.locate(name)
    except UsageError:
        return
    assert path.parent == locations.projects()
    assert path.resolve().parent == locations.projects().resolve()


def test_links_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    projects.open_project(target).close()
    folder = locations.projects()
    folder.mkdir(parents=True)
    (folder / "link.db").symlink_to(target)
    (folder / "folder.db").mkdir()
    subprocess.run(["mkfifo", folder / "pipe.db"], check=True)
    for name in ("link", "folder", "pipe"):
        with pytest.raises(StoreError, match="not a regular file"):
            projects.open_project(name)
        with pytest.raises(StoreError, match="not a regular file"):
            projects.remove(name)
    assert projects.list_projects() == []
    assert target.exists()


def test_the_connection_belongs_to_one_thread(project: projects.Project) -> None:
    caught: list[BaseException] = []

    def use() -> None:
        try:
            project.read("SELECT 1")
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert [type(error) for error in caught] == [sqlite3.ProgrammingError]


def test_a_text_file_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("shopping list\n" * 100)
    with pytest.raises(StoreError, match="not a database"):
        projects.open_project(path)


def test_another_programs_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "browser.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE history(url TEXT)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        projects.open_project(path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused_and_left_as_it_is(project: projects.Project) -> None:
    project.conn.execute("PRAGMA user_version=99")
    project.conn.execute("PRAGMA journal_mode=delete")
    project.close()
    before = project.path.read_bytes()
    with pytest.raises(StoreError, match="newer augtui") as caught:
        projects.open_project("demo", journal_mode="wal")
    assert caught.value.hint == "Upgrade augtui."
    assert project.path.read_bytes() == before


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(content)


def _filled(count: int = 300) -> Path:
    with projects.open_project("demo", journal_mode="delete") as project:
        dataset.add_records(project, (Record(f"{n} " + "x" * 500) for n in range(count)))
        return project.path


def test_a_damaged_file_is_one_clear_line_and_can_be_removed() -> None:
    path = _filled()
    _damage(path)
    with pytest.raises(StoreError, match="is damaged") as caught:
        projects.open_project("demo")
    assert "\n" not in caught.value.message
    projects.remove("demo")
    assert not path.exists()


def test_a_truncated_file_is_damaged() -> None:
    path = _filled()
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(StoreError, match="is damaged"):
        projects.open_project("demo")


def test_a_large_file_is_checked_after_an_unclean_end_only(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[Path] = []
    path = _filled()
    monkeypatch.setattr(db, "CHECKED_BYTES", 1_000)
    monkeypatch.setattr(db, "quick_check", lambda conn, path: checked.append(path))
    projects.open_project("demo").close()
    assert checked == []
    path.with_name("demo.db-journal").write_bytes(b"no journal of SQLite's")
    projects.open_project("demo").close()
    assert checked == [path]


def test_an_empty_file_becomes_a_project_and_an_old_journal_does_not_hurt_it(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.touch()
    path.with_name("a.db-journal").write_bytes(b"left from a removed project" * 100)
    with projects.open_project(path) as project:
        assert project.integrity() == []


def test_a_project_with_a_living_run_is_not_removed(project: projects.Project) -> None:
    run = runs.begin(project, runs.RunPlan("key", "refine", "a", {}))
    with pytest.raises(StoreError, match=r"Run 1 of demo\.db is being worked on"):
        projects.remove("demo")
    runs.finish(project, run, "interrupted")
    project.close()
    projects.remove("demo")


def test_integrity_tells_of_a_missing_row(project: projects.Project) -> None:
    assert project.integrity() == []
    project.conn.execute("PRAGMA foreign_keys=OFF")
    project.conn.execute("INSERT INTO sources(record, digest) VALUES (7, 'x')")
    assert project.integrity() == ["sources row 1 refers to a missing row of records"]


def test_opening_an_existing_project_loads_no_sqlite_utils() -> None:
    projects.open_project("demo").close()
    code = (
        "import sys; from augtui.store import items, lineage, projects; projects.open_project('demo').close();"
        " print({'sqlite_utils', 'numpy'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(augtui.__file__).parents[1])}
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert printed.stdout == "set()\n"
