"""A converted checkpoint must be the same model: same tokens, same logits, same structure."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

gguf = pytest.importorskip("gguf")
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import numpy as np  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from quantize.convert import convert  # noqa: E402
from quantize.errors import ConversionError  # noqa: E402

PROMPT = [5, 301, 44, 17, 260, 260, 99, 3, 412, 78]


def hf_logits(folder: Path) -> Any:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        return model(torch.tensor([PROMPT])).logits[0].numpy()


def relative_error(found: list[list[float]], expected: Any) -> float:
    return float(np.linalg.norm(np.array(found) - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize(
    ("options", "kind", "tolerance"),
    [
        ({}, "F32", 1e-5),
        ({"tied": False}, "F32", 1e-5),
        ({"max_shard_size": "100KB"}, "F32", 1e-5),
        ({"type": "bfloat16"}, "F32", 1e-5),
        ({"type": "float16", "tied": False}, "F16", 2e-3),
        ({"type": "bfloat16"}, "BF16", 1e-2),
        ({"tied": False}, "Q8_0", 5e-2),
    ],
    ids=lambda value: "-".join(f"{key}={item}" for key, item in value.items()) if isinstance(value, dict) else None,
)
def test_logits_are_those_of_transformers(
    make_checkpoint: Any, probe: Any, tmp_path: Path, options: dict[str, Any], kind: str, tolerance: float
) -> None:
    folder = make_checkpoint(**options)
    convert(folder, tmp_path / "out.gguf", kind)
    assert relative_error(probe(tmp_path / "out.gguf", prompt=PROMPT)["logits"], hf_logits(folder)) < tolerance


def test_file_says_what_the_model_is(tied_checkpoint: Path, probe: Any, tmp_path: Path) -> None:
    convert(tied_checkpoint, tmp_path / "out.gguf", "F16", name="A small model")
    metadata = probe(tmp_path / "out.gguf")["metadata"]
    expected = {
        "general.architecture": "qwen2",
        "general.name": "A small model",
        "general.file_type": "1",
        "general.quantization_version": "2",
        "qwen2.block_count": "3",
        "qwen2.embedding_length": "64",
        "qwen2.attention.head_count_kv": "2",
        "qwen2.context_length": "256",
        "qwen2.rope.freq_base": "1000000.000000",
        "tokenizer.ggml.pre": "qwen2",
    }
    assert {key: metadata[key] for key in expected} == expected
    assert "<|im_start|>" in metadata["tokenizer.chat_template"]


def test_norms_and_biases_stay_float32(tied_checkpoint: Path, tmp_path: Path) -> None:
    convert(tied_checkpoint, tmp_path / "out.gguf", "Q8_0")
    types = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(tmp_path / "out.gguf").tensors}
    vectors = {name for name in types if name.endswith(("norm.weight", ".bias"))}
    assert {types[name] for name in vectors} == {"F32"}
    assert {types[name] for name in types.keys() - vectors} == {"Q8_0"}


def test_bfloat16_weights_arrive_bit_by_bit(make_checkpoint: Any, tmp_path: Path) -> None:
    folder = make_checkpoint(type="bfloat16")
    convert(folder, tmp_path / "out.gguf", "BF16")
    stored = load_file(folder / "model.safetensors")["model.layers.1.mlp.down_proj.weight"]
    written = next(t for t in gguf.GGUFReader(tmp_path / "out.gguf").tensors if t.name == "blk.1.ffn_down.weight")
    assert written.data.tobytes() == stored.view(torch.uint8).numpy().tobytes()


def test_chunks_do_not_change_the_file(tied_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert(tied_checkpoint, tmp_path / "whole.gguf", "Q8_0")
    monkeypatch.setattr("quantize.gguf_file.CHUNK_VALUES", 64 * 7)
    convert(tied_checkpoint, tmp_path / "chunked.gguf", "Q8_0")
    assert (tmp_path / "chunked.gguf").read_bytes() == (tmp_path / "whole.gguf").read_bytes()


@pytest.mark.parametrize(("kind", "tolerance"), [("Q4_K_M", 0.5), ("Q6_K", 0.2), ("Q5_0", 0.4)])
def test_llama_cpp_types_load_and_run(
    make_checkpoint: Any, probe: Any, tmp_path: Path, kind: str, tolerance: float
) -> None:
    folder = make_checkpoint(hidden=256, type="bfloat16")
    convert(folder, tmp_path / "out.gguf", kind)
    assert relative_error(probe(tmp_path / "out.gguf", prompt=PROMPT)["logits"], hf_logits(folder)) < tolerance
    assert [path.name for path in tmp_path.iterdir()] == ["out.gguf"]


def edit_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def edit_weights(folder: Path, **changes: Any) -> None:
    weights = load_file(folder / "model.safetensors")
    for name, value in changes.items():
        if value is None:
            del weights[name.replace("__", ".")]
        else:
            weights[name.replace("__", ".")] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: edit_config(folder, architectures=["MambaForCausalLM"]), "MambaForCausalLM"),
        (lambda folder: edit_config(folder, architectures=None), "unknown architecture"),
        (lambda folder: edit_config(folder, hidden_size=96), "config.json makes it"),
        (lambda folder: edit_config(folder, num_hidden_layers=4), "lacks model.layers.3"),
        (lambda folder: edit_config(folder, num_hidden_layers=2), "no place"),
        (lambda folder: edit_config(folder, num_hidden_layers="3"), "not a positive whole number"),
        (lambda folder: edit_config(folder, tie_word_embeddings=False), "lacks lm_head.weight"),
        (lambda folder: edit_config(folder, hidden_act="gelu"), "silu"),
        (lambda folder: edit_config(folder, use_sliding_window=True), "sliding_window"),
        (lambda folder: edit_config(folder, rope_parameters={"rope_type": "llama3", "rope_theta": 1e4}), "llama3"),
        (lambda folder: edit_config(folder, vocab_size=100), "vocab_size of 100"),
        (lambda folder: edit_config(folder, vocab_size=1 << 30), "vocab_size"),
        (lambda folder: edit_config(folder, num_hidden_layers=1 << 30), "4096"),
        (lambda folder: edit_config(folder, head_dim=1 << 30), "config.json makes it"),
        (lambda folder: edit_weights(folder, model__norm__weight=None), "lacks model.norm.weight"),
        (lambda folder: edit_weights(folder, score__weight=torch.zeros(2, 2)), "score.weight"),
        (lambda folder: edit_weights(folder, model__norm__weight=torch.full((64,), float("nan"))), "diverged"),
        (lambda folder: edit_weights(folder, model__embed_tokens__weight=torch.full((512, 64), 1e6)), "BF16"),
    ],
)
def test_refuses_what_it_cannot_convert(tied_checkpoint: Path, tmp_path: Path, damage: Any, message: str) -> None:
    folder = tmp_path / "small"
    shutil.copytree(tied_checkpoint, folder)
    damage(folder)
    with pytest.raises(ConversionError, match=message):
        convert(folder, tmp_path / "out.gguf", "F16")
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


def test_refuses_an_unknown_type(tied_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="Q4_K_M"):
        convert(tied_checkpoint, tmp_path / "out.gguf", "Q9")


def test_a_failed_conversion_leaves_the_old_file(tied_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    shutil.copytree(tied_checkpoint, folder)
    edit_weights(folder, model__norm__weight=torch.full((64,), float("inf")))
    (tmp_path / "out.gguf").write_bytes(b"old")
    with pytest.raises(ConversionError):
        convert(folder, tmp_path / "out.gguf", "F16")
    assert (tmp_path / "out.gguf").read_bytes() == b"old"
