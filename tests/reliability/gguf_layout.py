"""GGUF files taken apart and put together, sound or not: the writer refuses nothing.

The layout is that of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3, little-endian.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
"""Types of metadata values."""
NUMBERS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B", U64: "Q", I64: "q", F64: "d"}
TENSOR_F32, TENSOR_F16, TENSOR_Q4_0, TENSOR_Q4_1, TENSOR_Q5_0, TENSOR_Q8_0 = 0, 1, 2, 3, 6, 8
BLOCKS = {
    TENSOR_F32: (1, 4),
    TENSOR_F16: (1, 2),
    TENSOR_Q4_0: (32, 18),
    TENSOR_Q4_1: (32, 20),
    TENSOR_Q5_0: (32, 22),
    TENSOR_Q8_0: (32, 34),
}
"""Elements and bytes of a block of each tensor type."""
ALIGNMENT = 32


@dataclass(slots=True)
class Value:
    """One metadata entry; `items` is the type of an array's items."""

    key: bytes
    type: int
    value: Any
    items: int = 0


@dataclass(slots=True)
class Tensor:
    """One tensor's entry in the header."""

    name: bytes
    shape: list[int]
    type: int
    offset: int


@dataclass(slots=True)
class Layout:
    """A whole file; `tensor_count` and `value_count` are what the header claims, None for the truth."""

    values: list[Value]
    tensors: list[Tensor]
    data: bytes
    version: int = 3
    tensor_count: int | None = None
    value_count: int | None = None
    alignment: int = ALIGNMENT

    def copy(self) -> Layout:
        """Return a copy whose entries can be changed."""
        tensors = [replace(tensor, shape=list(tensor.shape)) for tensor in self.tensors]
        return replace(self, values=[replace(value) for value in self.values], tensors=tensors)

    def find(self, ending: str) -> Value | None:
        """Return the first entry whose key ends so, or None."""
        return next((value for value in self.values if value.key.endswith(ending.encode())), None)

    def header(self) -> bytes:
        """Return all that stands before the tensors' data, without the padding."""
        tensors = len(self.tensors) if self.tensor_count is None else self.tensor_count
        values = len(self.values) if self.value_count is None else self.value_count
        out = [b"GGUF", struct.pack("<IQQ", self.version & 0xFFFFFFFF, tensors & 2**64 - 1, values & 2**64 - 1)]
        out += [pack_value(value) for value in self.values]
        for tensor in self.tensors:
            out.append(string(tensor.name) + struct.pack("<I", len(tensor.shape)))
            out += [struct.pack("<Q", side & 2**64 - 1) for side in tensor.shape]
            out.append(struct.pack("<IQ", tensor.type & 0xFFFFFFFF, tensor.offset & 2**64 - 1))
        return b"".join(out)

    def pack(self) -> bytes:
        """Return the file's bytes."""
        header = self.header()
        return header + bytes(-len(header) % self.alignment) + self.data


def string(text: bytes) -> bytes:
    """Return a string with its length before it."""
    return struct.pack("<Q", len(text)) + text


def pack_value(value: Value) -> bytes:
    """Return one metadata entry; raw bytes as a value are written as they are."""
    head = string(value.key) + struct.pack("<I", value.type)
    if isinstance(value.value, bytes) and value.type != STRING:
        return head + value.value
    if value.type == STRING:
        return head + string(value.value)
    if value.type != ARRAY:
        return head + number(value.type, value.value)
    head += struct.pack("<IQ", value.items, len(value.value))
    if value.items == STRING:
        return head + b"".join(map(string, value.value))
    return head + b"".join(number(value.items, item) for item in value.value)


def number(kind: int, value: float) -> bytes:
    """Return a number in `kind`'s width, wrapped around where it does not fit."""
    if kind in (F32, F64):
        return struct.pack("<" + NUMBERS[kind], value)
    width = struct.calcsize(NUMBERS[kind])
    return (int(value) & (1 << 8 * width) - 1).to_bytes(width, "little")


def parse(data: bytes) -> Layout:
    """Return the layout of a sound file."""
    place = 8
    version, tensor_count, value_count = struct.unpack_from("<IQQ", data, 4)
    place = 24

    def take(form: str) -> Any:
        nonlocal place
        (found,) = struct.unpack_from("<" + form, data, place)
        place += struct.calcsize("<" + form)
        return found

    def text() -> bytes:
        nonlocal place
        length = take("Q")
        place += length
        return data[place - length : place]

    def item(kind: int) -> Any:
        return text() if kind == STRING else take(NUMBERS[kind])

    values = []
    for _ in range(value_count):
        key, kind = text(), take("I")
        if kind == ARRAY:
            items, length = take("I"), take("Q")
            values.append(Value(key, kind, [item(items) for _ in range(length)], items))
        else:
            values.append(Value(key, kind, item(kind)))
    tensors = []
    for _ in range(tensor_count):
        name = text()
        shape = [take("Q") for _ in range(take("I"))]
        tensors.append(Tensor(name, shape, take("I"), take("Q")))
    start = place + -place % ALIGNMENT
    return Layout(values, tensors, data[start:], version)


@dataclass(slots=True)
class Draft:
    """A small sound model under construction."""

    architecture: str
    draw: random.Random
    values: list[Value] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)

    def put(self, key: str, kind: int, value: Any, items: int = 0) -> None:
        """Add metadata; a key that begins with a dot belongs to the architecture."""
        name = self.architecture + key if key.startswith(".") else key
        self.values.append(Value(name.encode(), kind, value, items))

    def add(self, name: str, *shape: int, kind: int = TENSOR_F32) -> None:
        """Add a tensor of small random weights, its shape innermost first as in the file."""
        count = 1
        for side in shape:
            count *= side
        self.data += bytes(-len(self.data) % ALIGNMENT)
        self.tensors.append(Tensor(name.encode(), list(shape), kind, len(self.data)))
        self.data += self._weights(count, kind)

    def _weights(self, count: int, kind: int) -> bytes:
        if kind == TENSOR_F32:
            return struct.pack(f"<{count}f", *(self.draw.uniform(-0.3, 0.3) for _ in range(count)))
        if kind == TENSOR_F16:
            return struct.pack(f"<{count}e", *(self.draw.uniform(-0.3, 0.3) for _ in range(count)))
        elements, width = BLOCKS[kind]
        scales = 2 if kind == TENSOR_Q4_1 else 1
        scale = struct.pack(f"<{scales}e", *[0.01] * scales)
        blocks = count // elements
        return b"".join(scale + self.draw.randbytes(width - len(scale)) for _ in range(blocks))

    def layout(self) -> Layout:
        """Return the finished file."""
        return Layout(self.values, self.tensors, bytes(self.data) + bytes(-len(self.data) % ALIGNMENT))


WIDTH, HEADS, INNER, LAYERS = 64, 4, 96, 2
CHATML = (
    b"{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    b"<|im_start|>assistant\n"
)


def base_models(seed: int = 7) -> dict[str, Layout]:
    """Return small sound models of several architectures, tokenizers and tensor types, by name."""
    draw = random.Random(seed)
    return {
        "llama-f32": _llama(draw, TENSOR_F32),
        "llama-q4_0": _llama(draw, TENSOR_Q4_0),
        "llama-experts-q8_0": _llama(draw, TENSOR_Q8_0, experts=4),
        "qwen2-f16": _qwen2(draw, TENSOR_F16),
        "qwen2-q5_0": _qwen2(draw, TENSOR_Q5_0),
        "mamba-f32": _mamba(draw),
        "bert-f32": _bert(draw),
    }


def _sizes(draft: Draft) -> None:
    draft.put("general.architecture", STRING, draft.architecture.encode())
    draft.put("general.name", STRING, b"small")
    draft.put(".block_count", U32, LAYERS)
    draft.put(".context_length", U32, 256)
    draft.put(".embedding_length", U32, WIDTH)
    draft.put(".feed_forward_length", U32, INNER)
    draft.put(".attention.head_count", U32, HEADS)


def _sentencepiece(draft: Draft) -> int:
    pieces = [b"<unk>", b"<s>", b"</s>"] + [b"<0x%02X>" % byte for byte in range(256)]
    pieces += ["▁".encode()] + [bytes([letter]) for letter in range(97, 123)] + ["▁the".encode(), b"in", b"er"]
    draft.put("tokenizer.ggml.model", STRING, b"llama")
    draft.put("tokenizer.ggml.tokens", ARRAY, pieces, STRING)
    draft.put("tokenizer.ggml.scores", ARRAY, [-float(place) for place in range(len(pieces))], F32)
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(pieces) - 259)
    draft.put("tokenizer.ggml.token_type", ARRAY, kinds, I32)
    draft.put("tokenizer.ggml.bos_token_id", U32, 1)
    draft.put("tokenizer.ggml.eos_token_id", U32, 2)
    draft.put("tokenizer.chat_template", STRING, CHATML)
    return len(pieces)


def _byte_pairs(draft: Draft) -> int:
    # GPT-2 writes each byte as a visible character.
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in visible] + [chr(256 + place) for place in range(256 - len(visible))]
    merges = ["t h", "th e", "i n", "e r", "Ġ t", "Ġ a"]
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *letters, *(pair.replace(" ", "") for pair in merges)]
    draft.put("tokenizer.ggml.model", STRING, b"gpt2")
    draft.put("tokenizer.ggml.pre", STRING, b"qwen2")
    draft.put("tokenizer.ggml.tokens", ARRAY, [token.encode() for token in tokens], STRING)
    draft.put("tokenizer.ggml.token_type", ARRAY, [3, 3, 3] + [1] * (len(tokens) - 3), I32)
    draft.put("tokenizer.ggml.merges", ARRAY, [pair.encode() for pair in merges], STRING)
    draft.put("tokenizer.ggml.eos_token_id", U32, 2)
    draft.put("tokenizer.ggml.padding_token_id", U32, 0)
    draft.put("tokenizer.ggml.add_bos_token", BOOL, 0)
    draft.put("tokenizer.chat_template", STRING, CHATML)
    return len(tokens)


def _word_pieces(draft: Draft) -> int:
    words = [b"[PAD]", b"[UNK]", b"[CLS]", b"[SEP]", b"[MASK]"]
    words += ["▁".encode() + bytes([letter]) for letter in range(97, 123)] + [bytes([n]) for n in range(97, 123)]
    draft.put("tokenizer.ggml.model", STRING, b"bert")
    draft.put("tokenizer.ggml.tokens", ARRAY, words, STRING)
    draft.put("tokenizer.ggml.token_type", ARRAY, [3] * 5 + [1] * (len(words) - 5), I32)
    draft.put("tokenizer.ggml.token_type_count", U32, 2)
    for name, token in (("unknown", 1), ("cls", 2), ("seperator", 3), ("mask", 4), ("padding", 0)):
        draft.put(f"tokenizer.ggml.{name}_token_id", U32, token)
    return len(words)


def _llama(draw: random.Random, kind: int, experts: int = 0) -> Layout:
    draft = Draft("llama", draw)
    _sizes(draft)
    draft.put(".attention.head_count_kv", U32, HEADS // 2)
    draft.put(".attention.layer_norm_rms_epsilon", F32, 1e-5)
    draft.put(".rope.dimension_count", U32, WIDTH // HEADS)
    if experts:
        draft.put(".expert_count", U32, experts)
        draft.put(".expert_used_count", U32, 2)
    _transformer(draft, _sentencepiece(draft), kind, experts)
    return draft.layout()


def _qwen2(draw: random.Random, kind: int) -> Layout:
    draft = Draft("qwen2", draw)
    _sizes(draft)
    draft.put(".attention.head_count_kv", U32, HEADS // 2)
    draft.put(".attention.layer_norm_rms_epsilon", F32, 1e-6)
    draft.put(".rope.freq_base", F32, 10000.0)
    _transformer(draft, _byte_pairs(draft), kind, 0)
    return draft.layout()


def _transformer(draft: Draft, words: int, kind: int, experts: int) -> None:
    half = WIDTH // 2
    draft.add("token_embd.weight", WIDTH, words, kind=kind)
    draft.add("output_norm.weight", WIDTH)
    draft.add("output.weight", WIDTH, words, kind=kind)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        draft.add(block + "attn_norm.weight", WIDTH)
        for name, width in (("q", WIDTH), ("k", half), ("v", half), ("output", WIDTH)):
            draft.add(f"{block}attn_{name}.weight", WIDTH, width, kind=kind)
            if draft.architecture == "qwen2" and name != "output":
                draft.add(f"{block}attn_{name}.bias", width)
        draft.add(block + "ffn_norm.weight", WIDTH)
        more: tuple[int, ...] = (experts,) if experts else ()
        ending = "_exps.weight" if experts else ".weight"
        if experts:
            draft.add(block + "ffn_gate_inp.weight", WIDTH, experts)
        draft.add(f"{block}ffn_gate{ending}", WIDTH, INNER, *more, kind=kind)
        draft.add(f"{block}ffn_down{ending}", INNER, WIDTH, *more, kind=kind)
        draft.add(f"{block}ffn_up{ending}", WIDTH, INNER, *more, kind=kind)


def _mamba(draw: random.Random) -> Layout:
    draft = Draft("mamba", draw)
    _sizes(draft)
    inner, state, rank, kernel = 2 * WIDTH, 16, 4, 4
    draft.put(".attention.layer_norm_rms_epsilon", F32, 1e-5)
    for key, size in (("conv_kernel", kernel), ("inner_size", inner), ("state_size", state), ("time_step_rank", rank)):
        draft.put(f".ssm.{key}", U32, size)
    words = _byte_pairs(draft)
    draft.add("token_embd.weight", WIDTH, words)
    draft.add("output_norm.weight", WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        draft.add(block + "attn_norm.weight", WIDTH)
        draft.add(block + "ssm_in.weight", WIDTH, 2 * inner)
        draft.add(block + "ssm_conv1d.weight", kernel, inner)
        draft.add(block + "ssm_conv1d.bias", inner)
        draft.add(block + "ssm_x.weight", inner, rank + 2 * state)
        draft.add(block + "ssm_dt.weight", rank, inner)
        draft.add(block + "ssm_dt.bias", inner)
        draft.add(block + "ssm_a", state, inner)
        draft.add(block + "ssm_d", inner)
        draft.add(block + "ssm_out.weight", inner, WIDTH)
    return draft.layout()


def _bert(draw: random.Random) -> Layout:
    draft = Draft("bert", draw)
    _sizes(draft)
    draft.put(".attention.layer_norm_epsilon", F32, 1e-12)
    draft.put(".attention.causal", BOOL, 0)
    draft.put(".pooling_type", U32, 1)
    words = _word_pieces(draft)
    draft.add("token_embd.weight", WIDTH, words)
    draft.add("token_types.weight", WIDTH, 2)
    draft.add("position_embd.weight", WIDTH, 256)
    for part in ("weight", "bias"):
        draft.add(f"token_embd_norm.{part}", WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        wide = {"ffn_up": (WIDTH, INNER), "ffn_down": (INNER, WIDTH)}
        for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"):
            rows, columns = wide.get(name, (WIDTH, WIDTH))
            draft.add(f"{block}{name}.weight", rows, columns)
            draft.add(f"{block}{name}.bias", columns)
        for name in ("attn_output_norm", "layer_output_norm"):
            for part in ("weight", "bias"):
                draft.add(f"{block}{name}.{part}", WIDTH)
    return draft.layout()


def bundled(path: Path) -> Layout:
    """Return the layout of a model file."""
    return parse(path.read_bytes())
