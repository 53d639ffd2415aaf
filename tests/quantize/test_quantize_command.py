"""The command: exit codes, one line per error, progress on standard error, nothing on standard output."""

import json
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
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


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


def test_adapters_are_converted_and_merged(make_checkpoint: Any, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    from tests.quantize.test_lora import make_adapter

    base = make_checkpoint(tied=False)
    folder, _ = make_adapter(base, tmp_path / "adapter")
    assert run("adapter", folder, "--base", base, "-o", tmp_path / "adapter.gguf", "-t", "f16").returncode == 0
    fields = gguf.GGUFReader(tmp_path / "adapter.gguf").fields
    assert (fields["general.type"].contents(), fields["adapter.type"].contents()) == ("adapter", "lora")
    assert fields["adapter.lora.alpha"].contents() == 6
    assert run(base, "-o", tmp_path / "merged.gguf", "--merge", folder, "-q").returncode == 0
    assert run(base, "-o", tmp_path / "plain.gguf", "-q").returncode == 0
    assert (tmp_path / "merged.gguf").read_bytes() != (tmp_path / "plain.gguf").read_bytes()
    refused = run(folder, "-o", tmp_path / "out.gguf")
    assert refused.returncode == 2
    assert "--merge" in refused.stderr


def test_calibrates_with_prompts_or_a_matrix_made_before(make_checkpoint: Any, tmp_path: Path) -> None:
    base, prompts = make_checkpoint(hidden=256), tmp_path / "prompts.jsonl"
    prompts.write_text('{"instruction": "Bake bread."}\n{"instruction": "Write a guide."}\n')
    done = run(base, "-o", tmp_path / "a.gguf", "-t", "IQ2_XXS", "--calibrate", prompts)
    assert done.returncode == 0, done.stderr
    assert "importance matrix" in done.stderr
    assert run(base, "-o", tmp_path / "f16.gguf", "-t", "f16", "-q").returncode == 0
    assert run("imatrix", tmp_path / "f16.gguf", prompts, "-o", tmp_path / "m.gguf", "-q").returncode == 0
    done = run(tmp_path / "f16.gguf", "-o", tmp_path / "b.gguf", "-t", "IQ2_XXS", "--imatrix", tmp_path / "m.gguf")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.gguf").stat().st_size == pytest.approx((tmp_path / "b.gguf").stat().st_size, abs=200)
    both = run(base, "-o", tmp_path / "c.gguf", "-t", "Q4_K_M", "--imatrix", "x", "--calibrate", prompts)
    assert both.returncode == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.gguf", "b.gguf", "f16.gguf", "m.gguf", "prompts.jsonl",
    ]  # fmt: skip


def test_compares_and_verifies(make_checkpoint: Any, tmp_path: Path) -> None:
    base, text = make_checkpoint(hidden=256), tmp_path / "text.txt"
    text.write_text("The quick brown fox jumps over the lazy dog. " * 40)
    for kind in ("F16", "Q4_0"):
        assert run(base, "-o", tmp_path / f"{kind}.gguf", "-t", kind, "-q").returncode == 0
    models = (tmp_path / "F16.gguf", tmp_path / "Q4_0.gguf")
    done = run("compare", *models, "-f", text, "--context", 64, "--json", "-q")
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["mean_kl"] is None
    assert second["mean_kl"] > 0
    table = run("compare", *models, "-f", text, "--context", 64, "--chunks", 2, "-q").stdout
    assert [line.split()[0] for line in table.splitlines()] == ["model", "F16.gguf", "Q4_0.gguf"]
    assert run("compare", *models, "-f", tmp_path / "absent", "-q").returncode == 2

    same = run("verify", base, models[0])
    assert same.returncode == 0, same.stdout + same.stderr
    assert same.stdout.endswith("the same model\n")
    other = make_checkpoint(hidden=256, tied=False)
    different = run("verify", other, models[0], "--json")
    assert different.returncode == 1
    assert json.loads(different.stdout)["passed"] is False


def test_a_missing_library_is_told_with_exit_code_3(tied_checkpoint: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['{0}'] = None; from quantize.__main__ import main; sys.exit(main(sys.argv[1:]))"
    for name, arguments in {
        "gguf": [tied_checkpoint, "-o", tmp_path / "out.gguf"],
        "llama_cpp": [tied_checkpoint, "-o", tmp_path / "out.gguf", "-t", "Q4_0", "-q"],
        "mlx_lm": [tied_checkpoint, "-o", tmp_path / "out", "--format", "mlx"],
    }.items():
        command = [sys.executable, "-c", program.format(name), *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert done.returncode == 3, done.stderr
        assert done.stderr.startswith("error: ")
        assert "install" in done.stderr
    assert not list(tmp_path.iterdir())
