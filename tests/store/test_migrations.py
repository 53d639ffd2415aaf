from __future__ import annotations

import random
import sqlite3
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from augtui import locations
from augtui.domain.records import Record
from augtui.errors import StoreError
from augtui.store import dataset, db, locks, migrations, projects

if TYPE_CHECKING:
    from sqlite_utils import Database

KILLS = 6
TODAY = len(migrations.STEPS)
NEXT = f"{TODAY + 1:03d}"


def second_step(database: Database) -> None:
    database.conn.execute("CREATE TABLE second(x INTEGER)")


def broken_step(database: Database) -> None:
    database.conn.execute("CREATE TABLE second(x INTEGER)")
    raise RuntimeError("broken step")


def _old_project(where: str | Path = "demo", mode: db.JournalMode = "delete") -> Path:
    with projects.open_project(where, journal_mode=mode) as project:
        dataset.add_records(project, [Record(f"record {n}") for n in range(10)])
        return project.path


def _tables(path: Path) -> set[str]:
    conn = sqlite3.connect(path)
    try:
        return {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    finally:
        conn.close()


def test_an_older_file_is_copied_and_brought_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    path = _old_project()
    monkeypatch.setattr(migrations, "STEPS", [*migrations.STEPS, second_step])
    with projects.open_project("demo") as project:
        assert migrations.version(project.conn, path) == TODAY + 1
        assert dataset.count(project) == 10
        assert project.integrity() == []
        names = [row["name"] for row in project.db["_sqlite_migrations"].rows]
        assert (names[0], names[-1], len(names)) == ("001_first_schema", f"{NEXT}_second_step", TODAY + 1)
    backup = path.with_name(f"demo.db.v{TODAY}.backup")
    assert _tables(path) - _tables(backup) == {"second"}
    assert [file.name for file in projects.list_projects()] == ["demo"]


def test_a_new_file_needs_no_copy() -> None:
    path = _old_project()
    assert [file.name for file in path.parent.iterdir()] == ["demo.db"]


def test_the_copy_of_an_older_file_is_a_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = _old_project()
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", [*migrations.STEPS, second_step])
        projects.open_project("demo").close()
    restored = path.with_name(f"demo.db.v{TODAY}.backup").rename(tmp_path / "restored.db")
    with projects.open_project(restored) as project:
        assert dataset.count(project) == 10


def test_a_step_that_fails_leaves_the_old_file(monkeypatch: pytest.MonkeyPatch) -> None:
    path = _old_project()
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", [*migrations.STEPS, broken_step])
        with pytest.raises(RuntimeError, match="broken step"):
            projects.open_project("demo")
    assert "second" not in _tables(path)
    with projects.open_project("demo") as project:
        assert dataset.count(project) == 10
    assert list(locations.locks().iterdir()) == []


def test_a_migration_that_somebody_else_holds_up_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    path = _old_project()
    monkeypatch.setattr(migrations, "STEPS", [*migrations.STEPS, second_step])
    monkeypatch.setattr(migrations, "LOCK_WAIT_S", 0.01)
    with locks.acquire(path, "migration"), pytest.raises(StoreError, match="being migrated by process"):
        projects.open_project("demo")


def test_killed_at_any_moment_the_file_is_old_or_new(
    start: Any, journal_mode: db.JournalMode, memory_folder: Path
) -> None:
    path = _old_project(memory_folder / "demo.db", journal_mode)
    outcomes = set()
    for kill in range(KILLS):
        child = start("migrate", path, journal_mode)
        assert child.stdout.readline() == "ready\n"
        try:
            child.wait(random.Random(kill).uniform(0.0, 0.5))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        conn = sqlite3.connect(path)
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert conn.execute("SELECT COUNT(*) FROM records").fetchone() == (10,)
        tables = {name for (name,) in conn.execute("SELECT name FROM sqlite_master")}
        assert ("second" in tables) == (version == TODAY + 1)
        if version == TODAY + 1:
            assert conn.execute("SELECT COUNT(*) FROM second").fetchone() == (20,)
            conn.execute("DROP TABLE second")
            conn.execute(f"DELETE FROM _sqlite_migrations WHERE name = '{NEXT}_slow_step'")
            conn.execute(f"PRAGMA user_version={TODAY}")
            conn.commit()
        conn.close()
        outcomes.add(version)
    assert TODAY in outcomes
    output, errors = start("migrate", path, journal_mode).communicate()
    assert output == f"ready\n{TODAY + 1}\n", errors


def test_processes_that_migrate_or_create_at_once_do_not_disturb_each_other(start: Any, memory_folder: Path) -> None:
    path = _old_project(memory_folder / "old.db")
    for target in (path, memory_folder / "new.db"):
        children = [start("migrate", target, "delete") for _ in range(4)]
        assert [child.communicate() for child in children] == [(f"ready\n{TODAY + 1}\n", "")] * 4
