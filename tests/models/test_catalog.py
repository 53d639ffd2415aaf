"""What a model's name means, and what is refused before any process is started for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from augtui.domain.guard import Strictness
from augtui.errors import ExitCode, ModelError
from augtui.models import catalog


def gguf(folder: Path, name: str) -> str:
    path = folder / name
    path.write_bytes(b"GGUF" + bytes(100))
    return str(path)


def test_the_default_model_is_in_the_package_and_small_enough_for_it() -> None:
    model = catalog.resolve("default")
    assert model.path.stat().st_size <= 16 * 2**20
    assert (model.style, model.guard) == ("specialised", Strictness.STRICT)


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("Qwen2-1.5B-Instruct-Refine.Q4_K_M.gguf", "specialised"),
        ("Qwen2-7B-Instruct-Exp.i1-Q4_K_M.gguf", "specialised"),
        ("Qwen2-7B-Instruct-Response-Exp-Q8_0.gguf", "specialised"),
        ("Qwen2-7B-Instruct-Exp.gguf", "specialised"),
        ("Qwen2.5-7B-Instruct-Q4_K_M.gguf", "general"),
        ("my-experiment.gguf", "general"),
    ],
)
def test_augmenters_are_asked_as_they_were_trained(tmp_path: Path, name: str, style: str) -> None:
    assert catalog.resolve(gguf(tmp_path, name)).style == style


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not a GGUF file"), (b"PK\x03\x04 something", "not a GGUF file"), (b"GGUF\x03", "cut short")],
)
def test_what_is_plainly_no_model_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        catalog.resolve(str(path))
    assert caught.value.exit_code == ExitCode.UNAVAILABLE


def test_a_missing_file_a_folder_and_an_unknown_name_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model file"):
        catalog.resolve(str(tmp_path / "missing.gguf"))
    with pytest.raises(ModelError, match="is a folder"):
        catalog.resolve(str(tmp_path))
    with pytest.raises(ModelError, match="no model 'llama'"):
        catalog.resolve("llama")
