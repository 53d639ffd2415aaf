"""What a GGUF file says of itself, read from real files, and refused from hostile ones."""

from __future__ import annotations

import random
import struct
from contextlib import suppress
from pathlib import Path

import pytest

from augtui.engines.gguf_header import HeaderError
from augtui.models import fits, gguf_metadata


def test_the_default_model_s_file_tells_what_it_is(default_model: Path) -> None:
    metadata = gguf_metadata.read(default_model)
    assert metadata.values["general.architecture"] == "qwen2"
    assert metadata.of_architecture("block_count") == 4
    assert metadata.values["tokenizer.ggml.tokens"] == 8192
    assert "<|im_start|>" in metadata.values["tokenizer.chat_template"]
    assert metadata.quantization == "Q8_0"
    assert metadata.parameters == 4_460_800
    assert metadata.tensors["Q8_0"] > 0
    # 4 layers, 2 key-value heads of 64, f16, keys and values (its README).
    assert metadata.cell_bytes == 4 * 2 * 64 * 2 * 2
    assert fits.need_bytes(default_model.stat().st_size, metadata.cell_bytes, 2048) < 300e6


def test_the_real_vocabulary_is_counted_not_kept(shared_data: Path) -> None:
    metadata = gguf_metadata.read(shared_data / "gguf" / "ggml-vocab-qwen2.gguf")
    assert metadata.values["tokenizer.ggml.tokens"] == 151_936
    assert all(not isinstance(value, list) for value in metadata.values.values())


def test_mutants_give_metadata_or_an_error_and_nothing_else(default_model: Path, tmp_path: Path) -> None:
    original = default_model.read_bytes()[:150_000]
    draw = random.Random(5)
    path = tmp_path / "mutant.gguf"
    for _ in range(150):
        data = bytearray(original[: draw.choice((24, 100, 5000, len(original)))])
        for _ in range(draw.randint(1, 6)):
            place = draw.randrange(min(len(data), 3000))
            data[place : place + 8] = struct.pack("<Q", draw.choice((0, 1, 2**31, 2**63, draw.getrandbits(64))))
        path.write_bytes(data)
        with suppress(HeaderError):
            gguf_metadata.read(path)


def test_another_format_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(HeaderError, match="no GGUF file"):
        gguf_metadata.read(path)


def test_a_text_before_the_vocabulary_is_found_early(default_model: Path, tmp_path: Path) -> None:
    assert gguf_metadata.early_text(default_model, "augtui.prompts") == "hinted"
    assert gguf_metadata.early_text(default_model, "tokenizer.ggml.pre") is None
    for content in (b"", b"GGUF", b"GGUF" + bytes(20), b"GGUF" + b"\xff" * 200):
        broken = tmp_path / "broken.gguf"
        broken.write_bytes(content)
        assert gguf_metadata.early_text(broken, "augtui.prompts") is None
