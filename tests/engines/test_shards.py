"""Split models: their parts are found, counted, named by all of them, and computed like the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from augtui.engines import shards
from augtui.engines.base import Completion
from augtui.engines.client import LocalEngine
from augtui.engines.options import EngineOptions
from augtui.errors import ModelError
from augtui.models import catalog, gguf_metadata
from tests.engines.test_llama import GREEDY, Request, answers, prompt


@pytest.fixture(scope="module")
def split_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model in three files, written by the gguf package as its converters do."""
    gguf = pytest.importorskip("gguf")
    reader = gguf.GGUFReader(catalog.resolve("default").path)
    out = tmp_path_factory.mktemp("split") / "nano.gguf"
    writer = gguf.GGUFWriter(out, "qwen2", split_max_tensors=20)
    for field in reader.fields.values():
        if field.name == "general.architecture" or field.name.startswith("GGUF."):
            continue
        kind = field.types[0]
        writer.add_key_value(
            field.name, field.contents(), kind, sub_type=field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        )
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out.with_name("nano-00001-of-00003.gguf")


def test_names_of_parts_are_llama_cpp_s() -> None:
    first = Path("/m/a-00001-of-00003.gguf")
    assert [path.name for path in shards.files_of(first)] == [f"a-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    assert shards.number_of(Path("a-00002-of-00003.gguf")) == 2
    for whole in ("a.gguf", "a-00002-of-00003.gguf", "a-00001-of-99999.gguf", "a-00001-of-00000.gguf"):
        assert shards.files_of(Path(whole)) == [Path(whole)]


def test_a_split_model_answers_like_the_whole_one(split_model: Path, tmp_path: Path) -> None:
    texts = []
    for path in (split_model, catalog.resolve("default").path):
        engine = LocalEngine(path, EngineOptions(slots=2), log_path=tmp_path / "log")
        try:
            outcome = answers(engine, [Request("a", prompt("trees"), sampling=GREEDY)])["a"]
        finally:
            engine.close()
        assert isinstance(outcome, Completion)
        texts.append(outcome.text)
    assert texts[0] == texts[1] != ""


def test_its_size_sum_and_tensors_are_those_of_all_parts(split_model: Path) -> None:
    model, whole = catalog.resolve(str(split_model)), catalog.resolve("default")
    files = shards.files_of(split_model)
    assert model.bytes == sum(file.stat().st_size for file in files) > whole.bytes
    before = model.sha256()
    assert gguf_metadata.read(split_model).tensors == gguf_metadata.read(whole.path).tensors
    content = files[2].read_bytes()
    files[2].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert model.sha256() != before
    files[2].write_bytes(content)


def test_a_part_that_is_missing_or_is_not_the_first_is_said(split_model: Path, tmp_path: Path) -> None:
    alone = tmp_path / split_model.name
    alone.write_bytes(split_model.read_bytes())
    with pytest.raises(ModelError, match=r"nano-00002-of-00003.gguf: no such model file"):
        catalog.resolve(str(alone))
    with pytest.raises(ModelError, match="is a later part of a split model"):
        catalog.resolve(str(shards.files_of(split_model)[1]))
