"""llama.cpp's quantization: types by name, its refusals in its own words, nothing half-written."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf")
llama_cpp = pytest.importorskip("llama_cpp")

from quantize.convert import convert  # noqa: E402
from quantize.errors import ConversionError  # noqa: E402
from quantize.quantize import file_type, file_types, quantize_gguf  # noqa: E402


def test_types_are_numbered_as_llama_cpp_numbers_them() -> None:
    native = {
        name.removeprefix("LLAMA_FTYPE_"): value for name, value in vars(llama_cpp).items() if "LLAMA_FTYPE_" in name
    }
    for name, number in file_types().items():
        assert number == native.get(f"MOSTLY_{name}", native.get(f"ALL_{name}", number))
    assert file_type("q4_k_m") == llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M


@pytest.fixture(scope="module")
def half(make_checkpoint: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("half") / "half.gguf"
    convert(make_checkpoint(hidden=256), path, "F16")
    return path


def test_progress_counts_every_tensor(half: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    quantize_gguf(half, tmp_path / "out.gguf", "Q8_0", progress=lambda *event: seen.append(event))
    assert [done for _, done, _ in seen] == list(range(1, seen[0][2] + 1))
    assert "token_embd.weight" in {name for name, _, _ in seen}


def test_refuses_a_type_that_needs_an_importance_matrix(half: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"imatrix|importance matrix"):
        quantize_gguf(half, tmp_path / "out.gguf", "IQ2_XXS")
    assert not list(tmp_path.iterdir())


def test_counts_the_tensors_that_fall_back(tied_checkpoint: Path, half: Path, tmp_path: Path) -> None:
    convert(tied_checkpoint, tmp_path / "narrow.gguf", "F16")
    assert quantize_gguf(half, tmp_path / "out.gguf", "Q4_K_M") == 0
    assert quantize_gguf(tmp_path / "narrow.gguf", tmp_path / "out.gguf", "Q4_K_M") > 0


def test_refuses_to_quantize_twice(half: Path, tmp_path: Path) -> None:
    quantize_gguf(half, tmp_path / "q8.gguf", "Q8_0")
    with pytest.raises(ConversionError, match="requantizing"):
        quantize_gguf(tmp_path / "q8.gguf", tmp_path / "out.gguf", "Q4_0")
    assert [path.name for path in tmp_path.iterdir()] == ["q8.gguf"]


def test_refuses_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"not a model" * 100)
    with pytest.raises(ConversionError, match=r"out\.gguf \(Q8_0\): .*bad\.gguf"):
        quantize_gguf(tmp_path / "bad.gguf", tmp_path / "out.gguf", "Q8_0")
    with pytest.raises(ConversionError, match="no such file"):
        quantize_gguf(tmp_path / "absent.gguf", tmp_path / "out.gguf", "Q8_0")
