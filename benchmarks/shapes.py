"""Qwen2-shaped models with random weights and the real vocabulary: what they write is noise, how fast is real.

    python -m benchmarks.shapes --shape 1.5b --vocab ggml-vocab-qwen2.gguf --type Q8_0 Q4_K_M -o FOLDER

writes FOLDER/qwen2-1.5b-shape-q8_0.gguf and FOLDER/qwen2-1.5b-shape-q4_k_m.gguf; `-o OUT.gguf` names a single file.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from quantize.convert import DIRECT
from quantize.errors import ConversionError
from quantize.gguf_file import TensorSource, write_gguf
from quantize.quantize import file_type, quantize_gguf
from quantize.whole_file import scratch_path, whole_file

# Standard deviation of the weights: `initializer_range` of the published Qwen2 configurations.
DEVIATION = 0.02


@dataclass(frozen=True)
class Shape:
    """The sizes of a Qwen2 model (config.json of Qwen2-0.5B and Qwen2-1.5B); all of them tie the embeddings."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    feed_forward: int
    context: int = 32768

    @property
    def kv_width(self) -> int:
        return self.hidden // self.heads * self.kv_heads


SHAPES = {
    "tiny": Shape(hidden=256, layers=4, heads=4, kv_heads=2, feed_forward=704),
    "0.5b": Shape(hidden=896, layers=24, heads=14, kv_heads=2, feed_forward=4864),
    "1.5b": Shape(hidden=1536, layers=28, heads=12, kv_heads=2, feed_forward=8960),
}


class Weights:
    """Seeded normal weights, read from one pool at a random place each time: drawing every value would take minutes."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.pool = self.random.standard_normal(1 << 22, dtype=np.float32) * np.float32(DEVIATION)

    def matrix(self, rows: int, columns: int) -> NDArray[np.float32]:
        values = np.empty(rows * columns, dtype=np.float32)
        filled = 0
        while filled < values.size:
            start = int(self.random.integers(self.pool.size // 2))
            part = self.pool[start : start + values.size - filled]
            values[filled : filled + part.size] = part
            filled += part.size
        return values.reshape(rows, columns)


def tensors(shape: Shape, vocabulary_size: int, kind: str, seed: int) -> list[TensorSource]:
    """Every tensor of the model, in llama.cpp's order; norms are ones, biases zero, both float32."""
    weights = Weights(seed)
    matrix_type = gguf.GGMLQuantizationType[kind]

    def matrix(name: str, rows: int, columns: int) -> TensorSource:
        return TensorSource(
            name, (rows, columns), matrix_type, lambda start, stop: weights.matrix(stop - start, columns)
        )

    def constant(name: str, size: int, value: float) -> TensorSource:
        read: Callable[[int, int], NDArray[np.floating]] = lambda start, stop: np.full(  # noqa: E731
            stop - start, value, dtype=np.float32
        )
        return TensorSource(name, (size,), gguf.GGMLQuantizationType.F32, read)

    found = [matrix("token_embd.weight", vocabulary_size, shape.hidden)]
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        found += [
            constant(f"{block}.attn_norm.weight", shape.hidden, 1),
            matrix(f"{block}.ffn_down.weight", shape.hidden, shape.feed_forward),
            matrix(f"{block}.ffn_gate.weight", shape.feed_forward, shape.hidden),
            matrix(f"{block}.ffn_up.weight", shape.feed_forward, shape.hidden),
            constant(f"{block}.ffn_norm.weight", shape.hidden, 1),
            constant(f"{block}.attn_k.bias", shape.kv_width, 0),
            matrix(f"{block}.attn_k.weight", shape.kv_width, shape.hidden),
            matrix(f"{block}.attn_output.weight", shape.hidden, shape.hidden),
            constant(f"{block}.attn_q.bias", shape.hidden, 0),
            matrix(f"{block}.attn_q.weight", shape.hidden, shape.hidden),
            constant(f"{block}.attn_v.bias", shape.kv_width, 0),
            matrix(f"{block}.attn_v.weight", shape.kv_width, shape.hidden),
        ]
    return [*found, constant("output_norm.weight", shape.hidden, 1)]


def add_vocabulary(writer: gguf.GGUFWriter, vocabulary: gguf.GGUFReader) -> int:
    """Copy the tokenizer and the chat template of `vocabulary`; end of turn is <|im_end|>. Returns the token count."""

    def values(key: str) -> list[Any]:
        if (field := vocabulary.get_field(key)) is None:
            raise ConversionError(f"the vocabulary has no {key}")
        return list(field.contents())

    tokens: list[str] = values(gguf.Keys.Tokenizer.LIST)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(values(gguf.Keys.Tokenizer.TOKEN_TYPE))
    writer.add_token_merges(values(gguf.Keys.Tokenizer.MERGES))
    # The published Qwen2 instruct models: eos <|im_end|>, pad <|endoftext|>, no bos added.
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
    if (template := vocabulary.get_field(gguf.Keys.Tokenizer.CHAT_TEMPLATE)) is not None:
        writer.add_chat_template(template.contents())
    return len(tokens)


def file_name(shape: str, kind: str) -> str:
    """Return what the file of a shape and type is called."""
    return f"qwen2-{shape}-shape-{kind.lower()}.gguf"


def make(name: str, vocabulary_path: Path, destination: Path, kind: str, seed: int = 0) -> None:
    """Write the random-weight model of shape `name` and type `kind` (any llama.cpp type) to `destination`."""
    shape, kind = SHAPES[name], kind.upper()
    file_type(kind)
    if not vocabulary_path.is_file():
        raise ConversionError(f"{vocabulary_path}: no such file")
    if kind not in DIRECT:
        with scratch_path(destination) as half:
            _write(half, shape, name, vocabulary_path, "F16", seed)
            quantize_gguf(half, destination, kind)
        return
    with whole_file(destination) as partial:
        _write(partial, shape, name, vocabulary_path, kind, seed)


def _write(path: Path, shape: Shape, name: str, vocabulary_path: Path, kind: str, seed: int) -> None:
    vocabulary = gguf.GGUFReader(vocabulary_path)
    size = len(vocabulary.fields[gguf.Keys.Tokenizer.LIST].data)

    def add_metadata(writer: gguf.GGUFWriter) -> None:
        writer.add_type(gguf.GGUFType.MODEL)
        writer.add_name(f"Qwen2 {name} shape, random weights")
        writer.add_block_count(shape.layers)
        writer.add_context_length(shape.context)
        writer.add_embedding_length(shape.hidden)
        writer.add_feed_forward_length(shape.feed_forward)
        writer.add_head_count(shape.heads)
        writer.add_head_count_kv(shape.kv_heads)
        writer.add_rope_freq_base(1e6)
        writer.add_layer_norm_rms_eps(1e-6)
        writer.add_file_type(file_type(kind))
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        add_vocabulary(writer, vocabulary)

    write_gguf(path, "qwen2", add_metadata, tensors(shape, size, kind, seed))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shapes", description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="0.5b")
    parser.add_argument("--vocab", type=Path, required=True, help="GGUF file with the Qwen2 vocabulary")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .gguf file, or a folder for several types")
    parser.add_argument("--type", nargs="+", default=["Q8_0"], help="any llama.cpp types: Q8_0, Q4_K_M, F16 ...")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    into_folder = options.output.is_dir() or len(options.type) > 1
    try:
        if into_folder:
            options.output.mkdir(parents=True, exist_ok=True)
        for kind in options.type:
            path = options.output / file_name(options.shape, kind) if into_folder else options.output
            make(options.shape, options.vocab, path, kind, options.seed)
    except (ConversionError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
