"""Importance matrices: what they hold, that llama.cpp's own tool computes the same, and what they are good for."""

import json
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

gguf = pytest.importorskip("gguf")
pytest.importorskip("torch")
pytest.importorskip("llama_cpp")

import numpy as np  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from quantize.calibrate import calibrate, read_prompts  # noqa: E402
from quantize.compare import compare  # noqa: E402
from quantize.convert import convert  # noqa: E402
from quantize.errors import ConversionError  # noqa: E402
from quantize.importance import Importance, Sums, read_importance, write_importance  # noqa: E402
from quantize.native import Model  # noqa: E402
from quantize.quantize import quantize_gguf  # noqa: E402
from tests.quantize.conftest import TRAINING_TEXT  # noqa: E402

TOOLS = "AUGTUI_LLAMA_CPP_BIN"


@pytest.fixture(scope="module")
def checkpoint(make_checkpoint: Any) -> Path:
    return make_checkpoint(hidden=256, type="bfloat16")


@pytest.fixture(scope="module")
def model(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "f32.gguf"
    convert(checkpoint, path, "F32")
    return path


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(TRAINING_TEXT) * 12, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def matrix(model: Path, text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("matrix") / "imatrix.gguf"
    assert calibrate(model, text, path, chunk_tokens=128) >= 4
    return path


def test_every_matrix_of_a_block_has_a_weight_for_each_input(model: Path, matrix: Path) -> None:
    found = read_importance(matrix)
    shapes = {tensor.name: tensor.shape for tensor in gguf.GGUFReader(model).tensors}
    expected = {name for name, shape in shapes.items() if name.startswith("blk.") and len(shape) > 1}
    assert found.columns.keys() == expected
    for name, values in found.columns.items():
        assert values.size == shapes[name][0]
        assert (values >= 0).all()
        assert values.any()


def test_the_first_matrix_sees_normalised_embeddings(model: Path, text: Path, matrix: Path) -> None:
    """The queries' inputs are the embeddings after RMSNorm: their mean squares can be computed by hand."""
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(model).tensors}
    with Model(model, 128) as loaded:
        tokens = loaded.tokenize(text.read_text(), special=False, begin=True)
    rows = tensors["token_embd.weight"][tokens[: len(tokens) // 128 * 128]].astype(np.float64)
    normed = rows / np.sqrt((rows**2).mean(axis=1, keepdims=True) + 1e-6) * tensors["blk.0.attn_norm.weight"]
    np.testing.assert_allclose(read_importance(matrix).columns["blk.0.attn_q.weight"], (normed**2).mean(axis=0), 1e-4)


def test_llama_imatrix_computes_the_same(model: Path, text: Path, matrix: Path, tmp_path: Path) -> None:
    tool = Path(os.environ.get(TOOLS, "absent")) / "llama-imatrix"
    if not tool.is_file():
        pytest.skip(f"{TOOLS} does not name a folder with llama-imatrix")
    command = [tool, "-m", model, "-f", text, "-o", tmp_path / "theirs.gguf", "-c", "128", "-b", "128", "--no-ppl"]
    subprocess.run([*map(str, command), "--no-repack"], check=True, capture_output=True, timeout=120)
    ours, theirs = read_importance(matrix), read_importance(tmp_path / "theirs.gguf")
    assert ours.chunks == theirs.chunks
    assert ours.columns.keys() == theirs.columns.keys()
    for name, values in theirs.columns.items():
        np.testing.assert_allclose(ours.columns[name], values, rtol=2e-4)


def test_llama_quantize_takes_it_and_makes_the_same_file(model: Path, matrix: Path, tmp_path: Path) -> None:
    tool = Path(os.environ.get(TOOLS, "absent")) / "llama-quantize"
    if not tool.is_file():
        pytest.skip(f"{TOOLS} does not name a folder with llama-quantize")
    shutil.copy(matrix, tmp_path / "imatrix.gguf")
    command = [tool, "--imatrix", "imatrix.gguf", model, "theirs.gguf", "IQ3_XXS"]
    subprocess.run([*map(str, command)], check=True, capture_output=True, timeout=120, cwd=tmp_path)
    quantize_gguf(model, tmp_path / "ours.gguf", "IQ3_XXS", importance=read_importance(tmp_path / "imatrix.gguf"))
    assert (tmp_path / "ours.gguf").read_bytes() == (tmp_path / "theirs.gguf").read_bytes()


@pytest.mark.parametrize("kind", ["IQ2_XXS", "IQ3_S", "Q2_K"])
def test_types_that_need_it_are_made_and_note_where_it_is_from(
    checkpoint: Path, probe: Any, matrix: Path, tmp_path: Path, kind: str
) -> None:
    convert(checkpoint, tmp_path / "out.gguf", kind, importance=read_importance(matrix))
    metadata = probe(tmp_path / "out.gguf")["metadata"]
    assert metadata["quantize.imatrix.dataset"] == "text.txt"
    assert int(metadata["quantize.imatrix.entries_count"]) == 21


def test_weighed_columns_are_kept_better(model: Path, text: Path, tmp_path: Path) -> None:
    """Over the text it was computed from, a weighed model is nearer to the exact one than a plain one."""
    calibrate(model, text, tmp_path / "imatrix.gguf", chunk_tokens=128)
    quantize_gguf(model, tmp_path / "plain.gguf", "Q2_K")
    quantize_gguf(model, tmp_path / "weighed.gguf", "Q2_K", importance=read_importance(tmp_path / "imatrix.gguf"))
    _, plain, weighed = compare([model, tmp_path / "plain.gguf", tmp_path / "weighed.gguf"], text, chunk_tokens=128)
    assert weighed.mean_kl < plain.mean_kl


def test_prompts_are_put_as_the_augmenter_sees_them(model: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    rows = [{"instruction": "Bake bread."}, "Bake a cake.", {"prompt": "烤面包"}, {"text": "  "}]
    prompts.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    assert list(read_prompts(prompts)) == ["Bake bread.", "Bake a cake.", "烤面包"]
    plain, refined = tmp_path / "plain.gguf", tmp_path / "refined.gguf"
    calibrate(model, prompts, plain, task=None)
    calibrate(model, prompts, refined, task="refine")
    counts = [
        next(float(t.data[0]) for t in gguf.GGUFReader(path).tensors if t.name.endswith(".counts"))
        for path in (plain, refined)
    ]
    assert counts[1] > counts[0] >= 16


@given(
    values=st.dictionaries(
        st.text("abc.", min_size=1, max_size=8),
        st.tuples(st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=9), st.integers(0, 10_000)),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, values: Any) -> None:
    path = tmp_path_factory.mktemp("law") / "imatrix.gguf"
    sums = {name: Sums(np.array(squares), tokens) for name, (squares, tokens) in values.items()}
    write_importance(path, sums, "prompts.jsonl", 3, 512)
    found = read_importance(path)
    assert (found.file, found.dataset, found.chunks) == ("imatrix.gguf", "prompts.jsonl", 3)
    for name, (squares, tokens) in values.items():
        expected = np.float32(squares) / np.float32(tokens) if tokens else np.ones(len(squares))
        np.testing.assert_allclose(found.columns[name], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path, matrix: None, "no such file"),
        (lambda path, matrix: path.write_bytes(b"legacy format"), "no imatrix file"),
        (lambda path, matrix: path.write_bytes(matrix.read_bytes()[:900]), "damaged"),
        (lambda path, matrix: path.write_bytes(b"GGUF" + b"\xff" * 60), "damaged"),
        # A list of 2**60 numbers in a file of 53 bytes.
        (
            lambda path, matrix: path.write_bytes(
                struct.pack("<4sIQQQ1sIIQ", b"GGUF", 3, 0, 1, 1, b"a", 9, 4, 1 << 60)
            ),
            "damaged",
        ),
    ],
)
def test_refuses_bad_files(matrix: Path, tmp_path: Path, make: Any, message: str) -> None:
    make(tmp_path / "bad.gguf", matrix)
    with pytest.raises(ConversionError, match=message):
        read_importance(tmp_path / "bad.gguf")


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_files_are_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "imatrix.gguf"
    write_importance(path, {"blk.0.a": Sums(np.ones(8), 5), "blk.1.a": Sums(np.ones(4), 5)}, "text", 1, 512)
    changed = bytearray(path.read_bytes()[: data.draw(st.integers(0, 700))])
    for _ in range(data.draw(st.integers(0, 3))):
        if changed:
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(changed))
    try:
        assert all(np.isfinite(values).all() for values in read_importance(path).columns.values())
    except ConversionError as error:
        assert str(error)


def test_refuses_a_model_as_a_matrix_and_a_matrix_of_another_model(model: Path, matrix: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="imatrix"):
        read_importance(model)
    foreign = {name: np.ones(7, dtype=np.float32) for name in read_importance(matrix).columns}
    with pytest.raises(ConversionError, match="size"):
        quantize_gguf(model, tmp_path / "out.gguf", "Q4_K_M", importance=Importance(foreign, "a", "b", 1))
    assert not list(tmp_path.iterdir())


def test_refuses_types_it_changes_nothing_for_and_too_little_text(
    checkpoint: Path, model: Path, matrix: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match="changes nothing"):
        convert(checkpoint, tmp_path / "out.gguf", "Q8_0", importance=read_importance(matrix))
    (tmp_path / "short.txt").write_text("Hi")
    with pytest.raises(ConversionError, match="more text"):
        calibrate(model, tmp_path / "short.txt", tmp_path / "out.gguf")
    (tmp_path / "bad.jsonl").write_text('{"instruction": "a"}\n{"x": 1}\n')
    with pytest.raises(ConversionError, match="line 2"):
        calibrate(model, tmp_path / "bad.jsonl", tmp_path / "out.gguf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.jsonl", "short.txt"]
