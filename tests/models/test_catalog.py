"""What a model's name means, and what is refused before any process is started for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from augtui.domain.guard import Strictness
from augtui.errors import ExitCode, ModelError
from augtui.models import catalog, checksums
from tests.engines.http.fakeserver import FakeServer


def gguf(folder: Path, name: str) -> str:
    path = folder / name
    path.write_bytes(b"GGUF" + bytes(100))
    return str(path)


def test_the_default_model_is_in_the_package_and_small_enough_for_it(tmp_path: Path) -> None:
    model = catalog.resolve("default")
    assert model.path.stat().st_size <= 16 * 2**20
    assert (model.style, model.guard) == ("specialised", Strictness.STRICT)
    assert model.languages == ("en", "zh")
    assert model.answer_room is not None
    assert model.refine_retries < catalog.resolve(gguf(tmp_path, "another-refine.gguf")).refine_retries


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


def test_a_file_is_named_by_its_weights(tmp_path: Path) -> None:
    model = catalog.resolve(gguf(tmp_path, "some.gguf"))
    assert (model.library, model.location, model.bytes) == ("llama", str(tmp_path / "some.gguf"), 104)
    assert model.sha256() == checksums.sha256(model.path)


@pytest.mark.parametrize(
    ("named", "style"),
    [
        ("Qwen2.5-7B-Instruct", "general"),
        ("alibaba/Qwen2-1.5B-Instruct-Refine", "specialised"),
        ("/home/refine/models/qwen.gguf", "general"),
    ],
)
def test_a_server_s_model_is_known_without_asking_for_it(named: str, style: str) -> None:
    model = catalog.resolve(f"http://127.0.0.1:9/v1/#{named}")
    assert (model.name, model.style, model.library, model.file) == (named, style, "http", None)
    assert (model.location, model.bytes) == (f"http://127.0.0.1:9/v1#{named}", 0)
    assert model.top_k == 0
    assert model.sha256() != catalog.resolve(f"http://127.0.0.1:10/v1#{named}").sha256()
    with pytest.raises(ModelError, match="server's model"):
        _ = model.path


def test_a_server_without_a_name_is_asked_for_its_first_model() -> None:
    with FakeServer(models={"data": [{"id": "first"}, {"id": "second"}]}) as server:
        model = catalog.resolve(server.address, timeout_s=5)
        assert model.name == "first"
        assert model.sha256() == catalog.resolve(f"{server.address}#first").sha256()
    with FakeServer(models={"data": []}) as server, pytest.raises(ModelError, match="does not say"):
        catalog.resolve(server.address, timeout_s=5)


def test_a_name_that_repeats_the_key_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGTUI_API_KEY", "sk-0123456789abcdef")
    with FakeServer(models={"data": [{"id": "Bearer sk-0123456789abcdef"}, {"id": "good"}]}) as server:
        assert catalog.resolve(server.address, timeout_s=5).name == "good"
