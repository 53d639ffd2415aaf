"""The command: exit codes, one line per error, progress on standard error, nothing on standard output."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

gguf = pytest.importorskip("gguf")
pytest.importorskip("torch")
pytest.importorskip("llama_cpp")

ROOT = Path(__file__).parents[2]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "quantize", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("kind", ["q8_0", "Q4_K_M"])
def test_converts_a_checkpoint(tied_checkpoint: Path, tmp_path: Path, kind: str) -> None:
    done = run(tied_checkpoint, "-o", tmp_path / "out.gguf", "--type", kind)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "100%" in done.stderr
    assert "out.gguf" in done.stderr.splitlines()[-1]
    fields = gguf.GGUFReader(tmp_path / "out.gguf").fields
    assert fields["general.file_type"].contents() == gguf.LlamaFileType[f"MOSTLY_{kind.upper()}"]


def test_quantizes_a_gguf_file(tied_checkpoint: Path, tmp_path: Path) -> None:
    assert run(tied_checkpoint, "-o", tmp_path / "f16.gguf", "-t", "f16", "-q").stderr == ""
    assert run(tmp_path / "f16.gguf", "-o", tmp_path / "q5.gguf", "-t", "Q5_K_M", "-q").returncode == 0
    assert (tmp_path / "q5.gguf").stat().st_size < (tmp_path / "f16.gguf").stat().st_size


@pytest.mark.parametrize("kind", ["F16", "Q4_K_M"])
def test_a_request_to_end_leaves_nothing_behind(make_checkpoint: Any, tmp_path: Path, kind: str) -> None:
    command = [sys.executable, "-m", "quantize", make_checkpoint(hidden=1024), "-o", tmp_path / "out.gguf", "-t", kind]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()  # the first tensors are on their way
        process.terminate()
        process.communicate(timeout=60)
    expected = {0: ["out.gguf"], 130: []}
    assert [path.name for path in tmp_path.iterdir()] == expected[process.returncode]


def test_bad_input_is_one_line_and_exit_code_2(make_checkpoint: Any, tmp_path: Path) -> None:
    good = make_checkpoint(hidden=256)
    pickled = shutil.copytree(good, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    for arguments in (
        (pickled, "-o", tmp_path / "out.gguf"),
        (tmp_path / "absent", "-o", tmp_path / "out.gguf"),
        (good, "-o", tmp_path / "out.gguf", "-t", "Q9"),
        (good, "-o", tmp_path / "out.gguf", "-t", "IQ1_S", "-q"),
        (good, "-o", tmp_path / "absent" / "out.gguf"),
    ):
        done = run(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["pickled"]
