"""Reading checkpoints: every stored type exactly, and a clear word about what cannot be read."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf")
torch = pytest.importorskip("torch")

import numpy as np  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from quantize.checkpoint import INDEX, open_checkpoint  # noqa: E402
from quantize.errors import ConversionError  # noqa: E402


@pytest.fixture
def folder(tied_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(tied_checkpoint, tmp_path / "small")


@pytest.fixture
def sharded(make_checkpoint: Any, tmp_path: Path) -> Path:
    return shutil.copytree(make_checkpoint(max_shard_size="100KB"), tmp_path / "sharded")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with one tensor of each type, and the tensors."""
    folder = tmp_path_factory.mktemp("types")
    torch.manual_seed(3)
    tensors = {kind: torch.randn(9, 5).to(getattr(torch, kind)) for kind in ("float32", "float16", "bfloat16")}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    return folder, tensors


@given(kind=st.sampled_from(["float32", "float16", "bfloat16"]), ends=st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_rows_are_those_of_torch(stored: tuple[Path, dict[str, Any]], kind: str, ends: tuple[int, int]) -> None:
    folder, tensors = stored
    start, stop = sorted(ends)
    rows = open_checkpoint(folder).tensors[kind].rows(start, stop)
    assert rows.dtype == (np.float16 if kind == "float16" else np.float32)
    np.testing.assert_array_equal(rows, tensors[kind].float().numpy()[start:stop])


def test_shards_hold_the_same_tensors_as_one_file(tied_checkpoint: Path, sharded: Path) -> None:
    whole, parts = open_checkpoint(tied_checkpoint), open_checkpoint(sharded)
    assert len({tensor.file for tensor in parts.tensors.values()}) > 1
    assert whole.tensors.keys() == parts.tensors.keys()
    for name, tensor in whole.tensors.items():
        np.testing.assert_array_equal(tensor.rows(0, tensor.shape[0]), parts.tensors[name].rows(0, tensor.shape[0]))


def truncate(path: Path, size: int) -> None:
    with path.open("rb+") as file:
        file.truncate(size)


def to_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def write(name: str, text: str) -> Any:
    return lambda folder: (folder / name).write_text(text)


def set_config(**changes: Any) -> Any:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (to_pickle, "pickled weights only"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no model.safetensors"),
        (lambda folder: truncate(folder / "model.safetensors", 100_000), "damaged or incomplete"),
        (lambda folder: truncate(folder / "model.safetensors", 5), "damaged or incomplete"),
        (write("model.safetensors", "x" * 1000), "damaged or incomplete"),
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (write("config.json", "{"), "not valid JSON"),
        (write("config.json", "[" * 100_000), "not valid JSON"),
        (write("config.json", "[]"), "JSON object"),
        (write(INDEX, "{}"), "weight_map"),
        (write(INDEX, '{"weight_map": {"a": "../b.safetensors"}}'), "same folder"),
        (write(INDEX, '{"weight_map": {"a": "b.safetensors"}}'), "lacks b.safetensors"),
        (write(INDEX, '{"weight_map": {"a": "model.safetensors"}}'), "disagree"),
        (set_config(auto_map={"AutoModel": "code.Model"}), "never run"),
        (set_config(quantization_config={"quant_method": "gptq"}), "quantized already"),
    ],
)
def test_refuses_bad_checkpoints(folder: Path, damage: Any, message: str) -> None:
    damage(folder)
    with pytest.raises(ConversionError, match=message):
        open_checkpoint(folder)


def test_refuses_an_adapter_without_its_base(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")
    with pytest.raises(ConversionError, match="adapter"):
        open_checkpoint(folder)


def test_refuses_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="not a checkpoint folder"):
        open_checkpoint(tmp_path / "absent")


def test_refuses_weights_of_other_types(folder: Path) -> None:
    save_file({"a": torch.ones(2, dtype=torch.int8)}, folder / "model.safetensors")
    with pytest.raises(ConversionError, match="I8"):
        open_checkpoint(folder)


def test_a_missing_shard_is_named(sharded: Path) -> None:
    sorted(sharded.glob("model-*.safetensors"))[2].unlink()
    with pytest.raises(ConversionError, match="lacks model-00003"):
        open_checkpoint(sharded)


def test_a_tensor_stored_twice_is_refused(folder: Path) -> None:
    shutil.copy(folder / "model.safetensors", folder / "model-2.safetensors")
    with pytest.raises(ConversionError, match="stored twice"):
        open_checkpoint(folder)


def test_a_file_that_shrinks_after_opening_is_an_error(folder: Path) -> None:
    checkpoint = open_checkpoint(folder)
    last = max(checkpoint.tensors.values(), key=lambda tensor: tensor.start)
    truncate(last.file, last.start + 8)
    with pytest.raises(ConversionError, match="ends in the middle"):
        last.rows(0, last.shape[0])
