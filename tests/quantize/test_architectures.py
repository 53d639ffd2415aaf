"""Each architecture: the logits of transformers, and the bytes of llama.cpp's own converter."""

from pathlib import Path
from typing import Any

import pytest

gguf = pytest.importorskip("gguf")
torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import numpy as np  # noqa: E402

from benchmarks.conversion import EXPECTED, differences  # noqa: E402
from quantize.architectures import interleave  # noqa: E402
from quantize.convert import convert  # noqa: E402
from tests.quantize import reference  # noqa: E402
from tests.quantize.test_convert import PROMPT, hf_logits, relative_error  # noqa: E402

STRETCHED = {
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
}
MODELS: dict[str, dict[str, Any]] = {
    "qwen2": {"architecture": "Qwen2"},
    "qwen3": {"architecture": "Qwen3", "head_dim": 32},
    "qwen3-untied": {"architecture": "Qwen3", "head_dim": 16, "tied": False},
    "llama": {"architecture": "Llama", "tied": False},
    "llama-biases": {"architecture": "Llama", "attention_bias": True, "mlp_bias": True},
    "llama-3.1": {"architecture": "Llama", "head_dim": 32} | STRETCHED,
}


@pytest.fixture(scope="module")
def checkpoint(make_checkpoint: Any, llama3_tokenizer: Any, small_tokenizer: Any) -> Any:
    made: dict[tuple[str, str], Path] = {}

    def get(name: str, type: str = "float32") -> Path:
        if (name, type) not in made:
            tokenizer = llama3_tokenizer if name.startswith("llama") else small_tokenizer
            # Sharded by another order of tensors too.
            made[name, type] = make_checkpoint(tokenizer=tokenizer, type=type, max_shard_size="200KB", **MODELS[name])
        return made[name, type]

    return get


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_transformers(checkpoint: Any, probe: Any, tmp_path: Path, name: str) -> None:
    convert(checkpoint(name), tmp_path / "out.gguf", "F32")
    found = probe(tmp_path / "out.gguf", prompt=PROMPT)["logits"]
    assert relative_error(found, hf_logits(checkpoint(name))) < 2e-5


# Each architecture and each type once: the converter takes ten seconds to start.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "BF16") for name in MODELS), ("llama-3.1", "F16"), ("llama-biases", "Q8_0")]
)
def test_every_byte_is_llama_cpps(checkpoint: Any, tmp_path: Path, name: str, kind: str) -> None:
    pre = "llama-bpe" if name.startswith("llama") else "qwen2"
    folder = checkpoint(name, "bfloat16")
    reference.run(
        "convert_hf_to_gguf.py", folder, "--outfile", tmp_path / "theirs.gguf", "--outtype", kind.lower(), pre=pre
    )
    convert(folder, tmp_path / "ours.gguf", kind)
    tensors, same, fields = differences(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")
    assert fields.keys() <= EXPECTED.keys()
    if name == "llama-3.1" and same == tensors - 1:
        # These are computed, and torch's powers differ from numpy's in the last bit.
        ours, theirs = (
            next(t.data for t in gguf.GGUFReader(tmp_path / f"{side}.gguf").tensors if t.name == "rope_freqs.weight")
            for side in ("ours", "theirs")
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        tensors -= 1
    assert same == tensors


def test_rows_of_a_head_change_places_and_come_back() -> None:
    rows = np.arange(2 * 8 * 3).reshape(16, 3)
    order = interleave(np.arange(16), 8)
    assert order.tolist() == [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]
    assert (interleave(rows, 8) == rows[order]).all()


@pytest.mark.parametrize("chunk", [1, 5, 33])
def test_chunks_that_cut_heads_do_not_change_the_file(
    checkpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    convert(checkpoint("llama"), tmp_path / "whole.gguf", "F16")
    monkeypatch.setattr("quantize.gguf_file.CHUNK_VALUES", 64 * chunk)
    convert(checkpoint("llama"), tmp_path / "parts.gguf", "F16")
    assert (tmp_path / "parts.gguf").read_bytes() == (tmp_path / "whole.gguf").read_bytes()
