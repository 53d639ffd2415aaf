"""import, export, records and project as a user runs them, in processes of their own."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROWS = [{"id": f"r{n}", "instruction": f"Write about the number {n}.", "output": f"It is {n}."} for n in range(20)]


def augtui(*arguments: object, stdin: bytes | None = None, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "augtui", *map(str, arguments)]
    return subprocess.run(
        command, input=stdin, capture_output=True, timeout=120, check=False, env={**os.environ, **environment}
    )


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.decode().splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_from_a_file_to_a_training_set(file: Path, tmp_path: Path) -> None:
    done = augtui("import", file, "-p", "demo", "--license", "mit")
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    assert b"20 records" in done.stderr
    again = lines(augtui("import", file, "-p", "demo", "--json", "-q").stdout)
    assert [(row["added"], row["known"]) for row in again] == [(20, True)]
    listed = augtui("records", "-p", "demo", "--limit", "3")
    assert len(listed.stdout.splitlines()) == 3
    assert b"and 17 more" in listed.stderr
    found = lines(augtui("records", "-p", "demo", "--search", "number 12", "--json").stdout)
    assert [row["instruction"] for row in found] == ["Write about the number 12."]
    shown = augtui("records", "show", found[0]["id"][:8], "-p", "demo", "--json")
    (whole,) = lines(shown.stdout)
    assert (whole["response"], whole["sources"][0]["id"], whole["sources"][0]["line"]) == ("It is 12.", "r12", 13)
    out = tmp_path / "out.jsonl"
    done = augtui("export", "-p", "demo", "--as", "trl-sft", "-o", out, "--validation", "0.1", "--json")
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout)[0]["written"] == {"train": 18, "validation": 2}
    both = lines(out.read_bytes()) + lines((tmp_path / "out.validation.jsonl").read_bytes())
    assert {row["completion"] for row in both} == {row["output"] for row in ROWS}
    folder = tmp_path / "set"
    assert augtui("export", "-p", "demo", "--as", "hf-dataset", "-o", folder, "-q").returncode == 0
    assert "license: mit" in (folder / "README.md").read_text()


def test_a_file_is_exported_without_a_project(file: Path, home: Path) -> None:
    done = augtui("export", "--file", file, "--as", "messages")
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout)[0]["messages"][1] == {"role": "assistant", "content": "It is 0."}
    piped = augtui("export", "--file", "-", "--as", "csv", stdin=file.read_bytes())
    assert piped.stdout.splitlines()[0].startswith(b"id,instruction,response")
    assert not (home / "projects").exists()


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text("".join(json.dumps({"instruction": f"Say {n}", "output": "x" * 500}) + "\n" for n in range(5000)))
    command = f"{sys.executable} -m augtui export --file {path} --as messages -q | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 1


def test_lines_that_are_none_are_told_by_number(tmp_path: Path) -> None:
    data = b'{"instruction": "a"}\n{broken\n\n{"instruction": "b\xff"}\n{"instruction": ""}\n'
    done = augtui("import", "-", "--json", stdin=data)
    assert done.returncode == 4
    (summary,) = lines(done.stdout)
    assert summary["records"] == 1
    assert summary["reasons"] == {"broken JSON": 1, "not UTF-8": 1, "empty": 1}
    for wanted in (b"line 2: broken JSON", b"line 4: not UTF-8", b"line 5: empty", b"--encoding"):
        assert wanted in done.stderr
    shown = lines(augtui("runs", "show", "1", "--json").stdout)
    assert [line["line"] for line in shown[0]["quarantined"]] == [2, 4, 5]
    listed = lines(augtui("runs", "ls", "--json").stdout)
    assert (listed[0]["task"], listed[0]["counts"]) == ("import", {"records": 1})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "none.jsonl"], b"no such file"),
        (["import", "a", "--as", "xml"], b"unknown layout 'xml'"),
        (["import", "a", "--turns", "third"], b"first, last or all"),
        (["export", "--as", "xml"], b"unknown format 'xml'"),
        (["export", "--as", "jsonl", "-p", "nowhere"], b"There is no project nowhere"),
        (["export", "--as", "parquet", "--file", "a"], b"needs a name"),
        (["export", "--as", "jsonl", "--file", "a", "-p", "b"], b"do not go together"),
        (["export", "--as", "jsonl", "--file", "a", "--state", "accepted"], b"filters"),
        (["records", "-p", "nowhere"], b"There is no project nowhere"),
        (["project", "new", "nowhere/x"], b"There is no folder"),
        (["project", "new", "a b"], b"not a project's name"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_wishes(arguments: list[str], message: bytes) -> None:
    done = augtui(*arguments)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert b"Traceback" not in done.stderr


def test_projects_come_and_go(file: Path) -> None:
    assert augtui("project", "new", "one").returncode == 0
    assert b"already" in augtui("project", "new", "one").stderr
    augtui("import", file, "-p", "two", "-q")
    held = {row["name"]: row for row in lines(augtui("project", "ls", "--json").stdout)}
    assert (held["one"]["imported"], held["two"]["imported"], held["two"]["languages"]) == (0, 20, {"en": 20})
    listed = augtui("project", "ls").stdout.decode()
    assert "20 imported" in listed
    refused = augtui("project", "rm", "two", stdin=b"")
    assert refused.returncode == 2
    assert b"20 records" in refused.stderr
    assert augtui("project", "rm", "two", "--yes").returncode == 0
    assert [row["name"] for row in lines(augtui("project", "ls", "--json").stdout)] == ["one"]
    assert augtui("project", "rm", "two", "--yes").returncode == 1


def test_an_interrupted_import_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    with path.open("w") as out:
        for n in range(150_000):
            out.write(json.dumps({"instruction": f"Write about the number {n}.", "output": "x" * 50}) + "\n")
    command = [sys.executable, "-m", "augtui", "import", str(path), "-p", "demo"]
    child = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        listed = augtui("project", "ls", "--json")
        if any(row.get("imported", 0) > 0 for row in lines(listed.stdout)):
            break
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode in (0, 130), errors
    assert b"Traceback" not in errors
    (summary,) = lines(augtui("import", path, "-p", "demo", "--json", "-q").stdout)
    assert (summary["records"], summary["added"]) == (150_000, 150_000)


HOSTILE = "\x1b]52;c;cGF5bG9hZA==\x07\x9b31m\u202e\x1b[2J[/foo][b]evil"


def test_hostile_text_reaches_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "hostile.jsonl"
    row = {"id": HOSTILE, "instruction": HOSTILE + " Write this.", "output": HOSTILE, HOSTILE: HOSTILE}
    path.write_text(json.dumps(row) + "\n" + json.dumps({"x": HOSTILE}) + "\n")
    for arguments in (
        ["import", str(path)], ["records"], ["records", "--json"], ["records", "show", "#1"], ["runs", "show", "1"],
        ["records", "show", "#1", "--json"], ["records", "show", HOSTILE], ["import", HOSTILE],
        ["project", "rm", HOSTILE], ["project", "new", HOSTILE], ["export", "--as", HOSTILE],
    ):  # fmt: skip
        shown = on_terminal(arguments)
        for escape in (b"\x1b]", b"\x07", b"\xc2\x9b", "\u202e".encode(), b"\x1b[2J", b"\x1b[31m"):
            assert escape not in shown, (arguments, shown)


def on_terminal(arguments: list[str]) -> bytes:
    """Run a command on a terminal and return all that it would show."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "augtui", *arguments])
    shown = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.waitpid(pid, 0)
    os.close(terminal)
    return shown


def test_a_file_that_is_not_there_makes_no_project_and_imports_no_other(file: Path, tmp_path: Path) -> None:
    done = augtui("import", file, tmp_path / "none.jsonl", "-p", "half")
    assert (done.returncode, b"no such file" in done.stderr) == (2, True)
    assert augtui("import", tmp_path, "-p", "half").returncode == 2
    assert "half" not in augtui("project", "ls").stdout.decode()


def test_columns_with_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "faq.csv"
    path.write_bytes("\ufeffFrage;Antwort;Nr\r\nWas ist ein Fluss?;Wasser, das fließt.;1\r\n".encode())
    done = augtui("import", path, "-p", "faq", "--field", "frage", "--response", "Antwortt")
    assert done.returncode == 2
    assert b"no row of" in done.stderr and b"'Antwort'" in done.stderr
    done = augtui("import", path, "-p", "faq", "--field", "frage", "--response", "antwort")
    assert done.returncode == 0, done.stderr
    (row,) = lines(augtui("records", "-p", "faq", "--json").stdout)
    assert (row["instruction"], row["response"]) == ("Was ist ein Fluss?", "Wasser, das fließt.")
    assert row["extra"] == {"Nr": "1"}
