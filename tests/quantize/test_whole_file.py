"""Files appear whole or not at all: kills, full disks, and what earlier kills left behind."""

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf")
pytest.importorskip("torch")
pytest.importorskip("llama_cpp")

from quantize.convert import convert
from quantize.whole_file import require_space, scratch_path, whole_file

ROOT = Path(__file__).parents[2]


def command(checkpoint: Path, output: Path, kind: str) -> list[str]:
    return [sys.executable, "-m", "quantize", *map(str, (checkpoint, "-o", output, "-t", kind))]


@pytest.mark.parametrize(("kind", "moment"), [("F16", 0), ("F16", 5), ("Q4_K_M", 8)])
def test_kill_leaves_no_half_file_and_the_next_run_sweeps(
    make_checkpoint: Any, tmp_path: Path, kind: str, moment: int
) -> None:
    checkpoint = make_checkpoint(hidden=1024, type="bfloat16")
    arguments = command(checkpoint, tmp_path / "out.gguf", kind)
    with subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for _ in range(moment):  # lines of progress
            process.stderr.readline()
        process.kill()
    assert process.wait() in (-signal.SIGKILL, 0)
    if process.returncode:
        assert not (tmp_path / "out.gguf").exists()
    done = subprocess.run(command(checkpoint, tmp_path / "out.gguf", kind), cwd=ROOT, capture_output=True)
    assert done.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.gguf"]


@pytest.mark.parametrize(("source", "kind"), [("checkpoint", "F16"), ("checkpoint", "Q4_K_M"), ("gguf", "Q8_0")])
def test_a_full_disk_is_one_readable_error(make_checkpoint: Any, tmp_path: Path, source: str, kind: str) -> None:
    """A limit on the size of files stands for the disk: writes fail in the middle, as there."""
    given = make_checkpoint(hidden=1024, type="bfloat16")
    if source == "gguf":
        convert(given, given.parent / "exact.gguf", "BF16")
        given = given.parent / "exact.gguf"
    (tmp_path / "out.gguf").write_bytes(b"old")
    done = subprocess.run(
        command(given, tmp_path / "out.gguf", kind),
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000)),
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.gguf"]
    assert (tmp_path / "out.gguf").read_bytes() == b"old"


def test_room_is_asked_for_first(tmp_path: Path) -> None:
    require_space(tmp_path, 1000, "a small file")
    with pytest.raises(OSError, match=r"model takes .* GB are free"):
        require_space(tmp_path, 1 << 60, "model")


def test_what_a_living_process_writes_is_not_swept(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from quantize.whole_file import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as path:\n"
        "    path.write_text('theirs'); print('ready', flush=True); time.sleep(60)"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path / "out")]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with whole_file(tmp_path / "out") as path:
            path.write_text("ours")
            assert len(list(tmp_path.glob(".out.*.part"))) == 2
        process.kill()
    time.sleep(0.05)
    assert (tmp_path / "out").read_text() == "ours"
    with scratch_path(tmp_path / "out"):
        assert len(list(tmp_path.glob(".out.*.part"))) == 1


def test_links_and_other_files_are_not_swept(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".out.dead.part").symlink_to(tmp_path / "victim")
    (tmp_path / ".other.dead.part").write_text("another's")
    with whole_file(tmp_path / "out") as path:
        path.write_text("new")
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / ".other.dead.part").exists()
