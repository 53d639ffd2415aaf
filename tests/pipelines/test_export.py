"""A file is written whole, or its target stays as it was."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.errors import OutputError
from augtui.pipelines.export import WholeFile, write_jsonl


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_rows_are_written_as_utf8_lines(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    assert write_jsonl([{"text": "größer 🙂\n"}, {"n": 1}], target) == 2
    assert target.read_bytes() == '{"text": "größer 🙂\\n"}\n{"n": 1}\n'.encode()
    assert names(tmp_path) == {"out.jsonl"}
    assert write_jsonl([], target) == 0
    assert target.read_bytes() == b""


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.none(), max_size=3), max_size=5))
def test_rows_come_back(rows: list[dict[str, str | int | None]]) -> None:
    read_end, write_end = os.pipe()
    try:
        write_jsonl(rows, f"/dev/fd/{write_end}")
    finally:
        os.close(write_end)
    with os.fdopen(read_end, encoding="utf-8", newline="\n") as file:
        assert [json.loads(line) for line in file] == rows


def test_new_file_has_the_usual_permissions_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.touch()
    target = tmp_path / "out"
    write_jsonl([], target)
    assert target.stat().st_mode == usual.stat().st_mode
    target.chmod(0o640)
    write_jsonl([{}], target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_target_is_untouched_when_the_block_raises(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "out"
    target.write_text("before")
    with pytest.raises(error), WholeFile(target) as file:
        file.write("x" * 100_000)
        assert len(names(tmp_path)) == 2
        raise error
    assert target.read_text() == "before"
    assert names(tmp_path) == {"out"}


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ({"n": float("nan")}, "row 2 is no JSON"),
        ({"n": object()}, "row 2 is no JSON"),
        ({"n": "\ud800"}, "lone surrogate"),
    ],
)
def test_row_that_cannot_be_written_leaves_the_target(tmp_path: Path, row: dict[str, object], cause: str) -> None:
    target = tmp_path / "out"
    target.write_text("before")
    with pytest.raises(OutputError, match=cause):
        write_jsonl([{}, row], target)
    assert target.read_text() == "before"
    assert names(tmp_path) == {"out"}


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("", "it is a folder"),
        ("none/out", "the folder does not exist"),
        ("file/out", "a part of its path is not a folder"),
        ("loop", "loop"),
        ("x" * 300, "the name is too long"),
        ("a\0b", "null"),
    ],
)
def test_impossible_target_is_refused_in_one_line(tmp_path: Path, name: str, cause: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputError, match=cause) as caught:
        write_jsonl([{}], tmp_path / name)
    assert "\n" not in caught.value.message
    assert names(tmp_path) == {"file", "loop"}


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is permitted to root")
def test_missing_permission_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_text("before")
    target.chmod(0o400)
    with pytest.raises(OutputError, match="permission denied"):
        write_jsonl([{}], target)
    assert target.read_text() == "before"
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="permission denied"):
        write_jsonl([{}], tmp_path / "new")


def test_no_space_leaves_the_target(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_text("before")
    # In a process of its own: the limit on the size of files stands for a full disk and cannot be lifted again.
    script = (
        "import resource, signal, sys\n"
        "from augtui.errors import OutputError\n"
        "from augtui.pipelines.export import write_jsonl\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_jsonl([{'n': 'x' * 100}] * 1000, sys.argv[1])\n"
        "except OutputError as error:\n    print(error.message)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(target)], capture_output=True, text=True, check=True)
    assert ran.stdout == f"{target} cannot be written: the file would be larger than allowed\n"
    assert target.read_text() == "before"
    assert names(tmp_path) == {"out"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_device_is_reported() -> None:
    with pytest.raises(OutputError, match="/dev/full cannot be written: no space left on the device"):
        write_jsonl([{}], "/dev/full")


def test_symbolic_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / "out"
    link = tmp_path / "link"
    link.symlink_to("far/out")
    write_jsonl([{}], link)
    write_jsonl([{"n": 1}], link)
    assert link.is_symlink()
    assert target.read_text() == '{"n": 1}\n'
    assert names(tmp_path / "far") == {"out"}


def test_standard_output_is_appended_to_and_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "log"
    target.write_text("before\n")
    script = "from augtui.pipelines.export import write_jsonl; write_jsonl([{}], '/dev/stdout')"
    with target.open("a") as file:
        subprocess.run([sys.executable, "-c", script], stdout=file, check=True)
    assert target.read_text() == "before\n{}\n"


def test_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 255)
    assert write_jsonl([{}], target) == 1
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000
