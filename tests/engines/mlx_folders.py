"""MLX model folders for tests, made from the default model: its GGUF file, dequantized."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's pre-tokenizer."""
NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
CONTROL = 3
"""llama.cpp's token type of control tokens."""


def write_folder(source: Path, folder: Path) -> None:
    """Write the Qwen2 model of a GGUF file as float32 safetensors with configuration and tokenizer."""
    from gguf import GGUFReader
    from gguf.quants import dequantize
    from safetensors.numpy import save_file

    reader = GGUFReader(source)
    fields = {key: field.contents() for key, field in reader.fields.items()}
    weights = {}
    for tensor in reader.tensors:
        *layer, part, kind = tensor.name.split(".")
        prefix = f"model.layers.{layer[1]}." if layer else ""
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        weights[f"{prefix}{NAMES[part]}.{kind}"] = np.ascontiguousarray(values)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors")
    _write(folder / "config.json", _config(fields, tied="lm_head.weight" not in weights))
    _tokenizer(fields).save(str(folder / "tokenizer.json"))
    tokenizer_config = {"eos_token": "<|im_end|>", "chat_template": fields["tokenizer.chat_template"]}
    _write(folder / "tokenizer_config.json", tokenizer_config)


def _config(fields: dict[str, Any], *, tied: bool) -> dict[str, Any]:
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "hidden_size": fields["qwen2.embedding_length"],
        "num_hidden_layers": fields["qwen2.block_count"],
        "intermediate_size": fields["qwen2.feed_forward_length"],
        "num_attention_heads": fields["qwen2.attention.head_count"],
        "num_key_value_heads": fields["qwen2.attention.head_count_kv"],
        "rms_norm_eps": fields["qwen2.attention.layer_norm_rms_epsilon"],
        "rope_theta": fields["qwen2.rope.freq_base"],
        "max_position_embeddings": fields["qwen2.context_length"],
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": tied,
        # As the published Refine-7B does, it names one end only: <|endoftext|>.
        "eos_token_id": 0,
    }


def _tokenizer(fields: dict[str, Any]) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    texts = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={text: token for token, text in enumerate(texts)}, merges=merges))
    split = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    kinds = zip(texts, fields["tokenizer.ggml.token_type"], strict=True)
    special = [AddedToken(text, special=True, normalized=False) for text, kind in kinds if kind == CONTROL]
    tokenizer.add_special_tokens(special)
    return tokenizer


def write_adapter(folder: Path, source: Path, seed: int, *, rank: int = 4, scale: float = 8.0) -> None:
    """Write a LoRA adapter of random weights for the attention of the model in `source`, as mlx-lm does."""
    from safetensors.numpy import load_file, save_file

    random = np.random.default_rng(seed)
    keys = ["self_attn.q_proj", "self_attn.v_proj"]
    tensors = {}
    for name, weight in load_file(source / "model.safetensors").items():
        path = name.removesuffix(".weight")
        if path != name and path.endswith(tuple(keys)):
            outputs, inputs = weight.shape
            tensors[f"{path}.lora_a"] = (random.standard_normal((inputs, rank)) * 0.1).astype(np.float32)
            tensors[f"{path}.lora_b"] = (random.standard_normal((rank, outputs)) * 0.1).astype(np.float32)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapters.safetensors")
    parameters = {"rank": rank, "scale": scale, "dropout": 0.5, "keys": keys}
    layers = json.loads((source / "config.json").read_text())["num_hidden_layers"]
    settings = {"fine_tune_type": "lora", "num_layers": layers, "lora_parameters": parameters}
    _write(folder / "adapter_config.json", settings)


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value))
