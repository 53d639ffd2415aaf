"""`augtui runs resume`: a run goes on by its number, with its own command and settings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from augtui.cli.runs import without_project
from augtui.store import runs
from augtui.store.projects import Project, open_project
from augtui.store.runs import RunPlan
from tests.cli.test_commands import FAST, augtui

MANY = 120


def settled(project: Project, run: int) -> int:
    counts = runs.counts(project, run)
    return sum(counts.values()) - counts["pending"]


def killed(words: Sequence[str], folder: Path, project: str, **variables: str) -> None:
    """Begin a command, and kill it once some of its items are settled."""
    command = [sys.executable, "-m", "augtui", *words]
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
        with open_project(project) as opened:
            if any(settled(opened, run.id) > 2 for run in runs.list_runs(opened)):
                break
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_run_goes_on_with_the_settings_it_had(home: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("".join(f"Describe station {n} for a guide\n" for n in range(MANY)))
    killed(["refine", "-f", "in.txt", "-o", "out.jsonl", *FAST], tmp_path, "default", AUGTUI_SEED="7")
    with open_project("default") as project:
        run = runs.get(project, 1)
        assert run.status == "interrupted" and run.command is not None and run.command.settings == {"seed": 7}
        before = settled(project, 1)
        assert 0 < before < MANY
    # Neither the folder nor config.toml nor the variables are what they were.
    (home / "config.toml").write_text("seed = 9\nmax_tokens = 5\n")
    done = augtui("runs", "resume", "1")
    assert done.returncode in (0, 4), done.stderr
    assert "out.jsonl" in done.stderr.decode()
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(lines) == MANY
    with open_project("default") as project:
        assert [one.status for one in runs.list_runs(project)] == ["finished"]
        again = runs.get(project, 1)
        assert (again.resumptions, again.config["seed"]) == (1, 7) and again.command is not None
        assert again.command.words[0] == "refine"


def test_what_cannot_be_continued_is_said_and_nothing_is_begun(home: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("explain tcp\n")
    done = subprocess.run(
        [sys.executable, "-m", "augtui", "refine", "-f", "in.txt", "-q", *FAST], cwd=tmp_path, capture_output=True
    )
    assert done.returncode in (0, 4)
    (tmp_path / "in.txt").write_text("explain udp\n")
    changed = augtui("runs", "resume", "1")
    assert changed.returncode == 2 and "the input in.txt is not what it was" in changed.stderr.decode()
    piped = augtui("refine", "-f", "-", "-q", *FAST, stdin=b"explain icmp\n")
    assert piped.returncode in (0, 4)
    other = augtui("runs", "resume", "2", stdin=b"something else\n")
    assert other.returncode == 2 and "cannot be continued" in other.stderr.decode()
    assert augtui("runs", "resume", "2", stdin=b"explain icmp\n").returncode in (0, 4)
    with open_project("default") as project:
        assert len(runs.list_runs(project)) == 2
        runs.finish(project, runs.begin(project, RunPlan("old", "refine", "x", {})), "interrupted")
    unknown = augtui("runs", "resume", "3")
    assert unknown.returncode == 1 and "does not know its command" in unknown.stderr.decode()
    # A project from elsewhere may hold any command: it is shown, and not carried out.
    with open_project("default") as project, project.write() as conn:
        forged = {"words": ["refine", "-o", "/tmp/x\x1b[31m"], "folder": "/", "settings": {}, "seal": "0" * 64}
        conn.execute("UPDATE runs SET command = ? WHERE id = 3", (json.dumps(forged),))
    elsewhere = augtui("runs", "resume", "3")
    assert elsewhere.returncode == 1 and "was begun elsewhere" in elsewhere.stderr.decode()
    assert b"\x1b" not in elsewhere.stderr and b"augtui refine -o" in elsewhere.stderr
    (tmp_path / "in.txt").unlink()
    tmp_path.rename(tmp_path.with_name("gone"))
    assert "cannot be entered" in augtui("runs", "resume", "1").stderr.decode()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("refine -p x -f a", "refine -f a"),
        ("refine --project x --project=y -px", "refine"),
        ("import -- -p x", "import -- -p x"),
    ],
)
def test_the_project_is_the_one_in_which_the_run_is(words: str, expected: str) -> None:
    assert without_project(words.split()) == tuple(expected.split())
