"""Qwen2-shaped Hugging Face checkpoints: random weights with the real vocabulary, or a GGUF model unpacked again.

    python -m benchmarks.checkpoints --shape 1.5b --vocab ggml-vocab-qwen2.gguf -o FOLDER
    python -m benchmarks.checkpoints --unpack augtui/models/bundled/augtui-nano-q8_0.gguf -o FOLDER

Written without torch and transformers, a few rows at a time: tokenizer.json, tokenizer_config.json, config.json,
generation_config.json and safetensors.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from benchmarks.shapes import SHAPES, Shape, Weights
from quantize.vocabulary import PRE_TOKENIZERS

ROWS = 1 << 12
BYTES = {"BF16": 2, "F16": 2, "F32": 4}
TORCH_NAMES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}


@dataclass(frozen=True)
class Tensor:
    """A tensor to be stored: rows `start` to `stop` of it as float32."""

    name: str
    shape: tuple[int, ...]
    rows: Callable[[int, int], NDArray[np.float32]]


def write_safetensors(path: Path, tensors: list[Tensor], kind: str) -> None:
    """Write one safetensors file (https://huggingface.co/docs/safetensors#format), a few rows in memory at a time."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        start, end = end, end + math.prod(tensor.shape) * BYTES[kind]
        header[tensor.name] = {"dtype": kind, "shape": tensor.shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors:
            for first in range(0, tensor.shape[0], ROWS):
                file.write(_encoded(tensor.rows(first, min(first + ROWS, tensor.shape[0])), kind).tobytes())


def _encoded(values: NDArray[np.float32], kind: str) -> NDArray[Any]:
    if kind == "BF16":
        # Round to nearest, ties to even, as torch does.
        bits = np.ascontiguousarray(values).view(np.uint32)
        return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
    return values.astype(np.float16 if kind == "F16" else np.float32)


def write_checkpoint(
    folder: Path, vocabulary: gguf.GGUFReader, tensors: list[Tensor], config: dict[str, Any], kind: str, shards: int = 1
) -> None:
    """Write a whole checkpoint folder: `tensors` under their Hugging Face names, in `shards` files."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder, vocabulary)
    tokens = _field(vocabulary, gguf.Keys.Tokenizer.LIST)
    end, pad = tokens.index("<|im_end|>"), tokens.index("<|endoftext|>")
    config |= {"vocab_size": len(tokens), "torch_dtype": TORCH_NAMES[kind], "bos_token_id": pad, "eos_token_id": end}
    _write_json(folder / "config.json", config)
    sampling = {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.1, "do_sample": True}
    _write_json(folder / "generation_config.json", {"eos_token_id": [end, pad], "pad_token_id": pad, **sampling})
    if shards == 1:
        write_safetensors(folder / "model.safetensors", tensors, kind)
        return
    weight_map: dict[str, str] = {}
    for number in range(shards):
        name = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        part = tensors[number::shards]
        write_safetensors(folder / name, part, kind)
        weight_map |= {tensor.name: name for tensor in part}
    _write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})


def write_tokenizer(folder: Path, vocabulary: gguf.GGUFReader) -> None:
    """Write the tokenizer of a GGUF file with a Qwen2 vocabulary as tokenizer.json and tokenizer_config.json."""
    tokens, kinds, merges = (
        _field(vocabulary, key)
        for key in (gguf.Keys.Tokenizer.LIST, gguf.Keys.Tokenizer.TOKEN_TYPE, gguf.Keys.Tokenizer.MERGES)
    )
    named = (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED)
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [
        {"id": number, "content": tokens[number], **plain, "special": kind == gguf.TokenType.CONTROL}
        for number, kind in enumerate(kinds)
        if kind in named
    ]
    split = {"type": "Split", "pattern": {"Regex": _qwen2_pattern()}, "behavior": "Isolated", "invert": False}
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    _write_json(
        folder / "tokenizer.json",
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytes_]},
            "post_processor": bytes_,
            "decoder": bytes_,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": "",
                "end_of_word_suffix": "",
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": {t: n for n, (t, k) in enumerate(zip(tokens, kinds, strict=True)) if k == 1},
                "merges": [merge.split(" ") for merge in merges],
            },
        },
    )
    settings = {
        "tokenizer_class": "Qwen2Tokenizer",
        "add_bos_token": False,
        "add_prefix_space": False,
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "model_max_length": 32768,
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": {str(token["id"]): {k: v for k, v in token.items() if k != "id"} for token in added},
    }
    if (template := vocabulary.get_field(gguf.Keys.Tokenizer.CHAT_TEMPLATE)) is not None:
        settings["chat_template"] = template.contents()
    _write_json(folder / "tokenizer_config.json", settings)


def random_checkpoint(name: str, vocabulary_path: Path, folder: Path, kind: str = "BF16", shards: int = 1) -> None:
    """Write a checkpoint of shape `name`: seeded normal weights, norms near one, biases near zero, tied embeddings."""
    vocabulary, shape, weights = gguf.GGUFReader(vocabulary_path), SHAPES[name], Weights(seed=0)
    size = len(_field(vocabulary, gguf.Keys.Tokenizer.LIST))

    def tensor(name: str, rows: int, columns: int = 0) -> Tensor:
        offset = np.float32("norm" in name)
        if columns:
            return Tensor(name, (rows, columns), lambda start, stop: weights.matrix(stop - start, columns))
        return Tensor(name, (rows,), lambda start, stop: offset + weights.matrix(stop - start, 1).reshape(-1))

    tensors = [tensor(name, *sizes) for name, sizes in _layout(shape, size)]
    write_checkpoint(folder, vocabulary, tensors, _config(shape), kind, shards)


def _layout(shape: Shape, vocabulary_size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (vocabulary_size, shape.hidden)
    for layer in range(shape.layers):
        block = f"model.layers.{layer}"
        yield f"{block}.input_layernorm.weight", (shape.hidden,)
        yield f"{block}.mlp.down_proj.weight", (shape.hidden, shape.feed_forward)
        yield f"{block}.mlp.gate_proj.weight", (shape.feed_forward, shape.hidden)
        yield f"{block}.mlp.up_proj.weight", (shape.feed_forward, shape.hidden)
        yield f"{block}.post_attention_layernorm.weight", (shape.hidden,)
        for name, width in {"q": shape.hidden, "k": shape.kv_width, "v": shape.kv_width}.items():
            yield f"{block}.self_attn.{name}_proj.bias", (width,)
            yield f"{block}.self_attn.{name}_proj.weight", (width, shape.hidden)
        yield f"{block}.self_attn.o_proj.weight", (shape.hidden, shape.hidden)
    yield "model.norm.weight", (shape.hidden,)


def _config(shape: Shape) -> dict[str, Any]:
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": shape.context,
        "hidden_act": "silu",
        "rope_theta": 1000000.0,
        "rms_norm_eps": 1e-06,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "use_cache": True,
    }


def unpack(path: Path, folder: Path, kind: str = "F32") -> None:
    """Write the Qwen2 model of a GGUF file as a checkpoint: its weights as they are after dequantization."""
    model = gguf.GGUFReader(path)

    def value(key: str) -> Any:
        return model.fields[f"qwen2.{key}"].contents()

    layers = value("block_count")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, layers)
    shape = Shape(
        value("embedding_length"),
        layers,
        value("attention.head_count"),
        value("attention.head_count_kv"),
        value("feed_forward_length"),
        value("context_length"),
    )
    stored = {tensor.name: tensor for tensor in model.tensors}
    size = len(_field(model, gguf.Keys.Tokenizer.LIST))
    tensors = []
    for name, sizes in _layout(shape, size):
        tensor = stored[str(names.get_name(name, try_suffixes=(".weight", ".bias")))]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(sizes)
        tensors.append(Tensor(name, sizes, lambda start, stop, values=values: values[start:stop]))  # type: ignore[misc]
    rope = {"rope_theta": float(value("rope.freq_base"))}
    config = _config(shape) | rope | {"rms_norm_eps": float(np.float32(value("attention.layer_norm_rms_epsilon")))}
    write_checkpoint(folder, model, tensors, config, kind)


def _qwen2_pattern() -> str:
    return next(pattern for pattern, name in PRE_TOKENIZERS.items() if name == "qwen2")


def _field(reader: gguf.GGUFReader, key: str) -> list[Any]:
    return list(reader.fields[key].contents())


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpoints", description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="0.5b")
    parser.add_argument("--vocab", type=Path, help="GGUF file with the Qwen2 vocabulary")
    parser.add_argument("--unpack", type=Path, metavar="MODEL.gguf", help="a Qwen2 model to unpack instead")
    parser.add_argument("--type", choices=BYTES, help="how weights are stored (default: BF16; unpacked F32)")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder to write")
    options = parser.parse_args()
    if options.unpack:
        unpack(options.unpack, options.output, options.type or "F32")
    elif options.vocab:
        random_checkpoint(options.shape, options.vocab, options.output, options.type or "BF16", options.shards)
    else:
        parser.error("--vocab or --unpack is needed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
