"""Random-weight models must have the shape they are named after, load, and be the same for the same seed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

gguf = pytest.importorskip("gguf")
pytest.importorskip("safetensors")
pytest.importorskip("llama_cpp")

from benchmarks.shapes import SHAPES, make  # noqa: E402
from quantize.errors import ConversionError  # noqa: E402
from quantize.vocabulary import byte_characters  # noqa: E402

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# One decoded token: enough to show that every tensor is there and fits.
LOAD = """
import sys
from llama_cpp import Llama
print(next(Llama(sys.argv[1], n_ctx=64, n_threads=1, verbose=False).generate([0, 1, 2], temp=1.0)))
"""


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like llama.cpp's vocabulary files, with one token a byte."""
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.gguf"
    writer = gguf.GGUFWriter(path, "qwen2")
    letters = byte_characters()
    writer.add_token_list([*letters, "in", *SPECIAL])
    writer.add_token_types([gguf.TokenType.NORMAL] * 257 + [gguf.TokenType.CONTROL] * 3)
    writer.add_token_merges(["i n"])
    writer.add_chat_template("{{ messages }}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_K_M"])
def test_the_model_loads_and_decodes(vocabulary: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "tiny.gguf"
    make("tiny", vocabulary, path, kind)
    assert [found.name for found in tmp_path.iterdir()] == ["tiny.gguf"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GGML_NO_BACKTRACE": "1"}
    command = [sys.executable, "-c", LOAD, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr[-1000:]
    assert 0 <= int(done.stdout) < 260


def test_the_shape_is_the_one_named(vocabulary: Path, tmp_path: Path) -> None:
    make("tiny", vocabulary, tmp_path / "tiny.gguf", "F16")
    reader, shape = gguf.GGUFReader(tmp_path / "tiny.gguf"), SHAPES["tiny"]
    sizes = {tensor.name: tuple(int(size) for size in reversed(tensor.shape)) for tensor in reader.tensors}
    assert sizes["token_embd.weight"] == (260, shape.hidden)
    assert sizes["blk.3.ffn_down.weight"] == (shape.hidden, shape.feed_forward)
    assert sizes["blk.0.attn_k.weight"] == (128, shape.hidden)
    assert len(sizes) == 2 + 12 * shape.layers
    assert reader.get_field("tokenizer.ggml.eos_token_id").contents() == 259
    assert reader.get_field("general.file_type").contents() == gguf.LlamaFileType.MOSTLY_F16


def test_a_seed_decides_every_byte(vocabulary: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make("tiny", vocabulary, tmp_path / name, "Q8_0", seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_refuses_a_missing_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="no such file"):
        make("tiny", tmp_path / "absent.gguf", tmp_path / "out.gguf", "Q8_0")


def test_several_types_go_into_a_folder(vocabulary: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    command = [sys.executable, "-m", "benchmarks.shapes", "--shape", "tiny", "--vocab", str(vocabulary)]
    done = subprocess.run([*command, "--type", "Q8_0", "F16", "-o", str(folder)], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} == {"qwen2-tiny-shape-q8_0.gguf", "qwen2-tiny-shape-f16.gguf"}
