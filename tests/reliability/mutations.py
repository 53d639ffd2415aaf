"""Ways to spoil a GGUF file: in its bytes, its metadata, its tokenizer, its chat template and its tensors."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

from tests.reliability.gguf_layout import ARRAY, F32, I32, NUMBERS, STRING, U32, Layout, Value, string

Mutation = Callable[[random.Random, Layout, Sequence[Layout]], bytes]
"""From a sound file, and others to take pieces from, to the bytes of a spoilt one."""

EXTREMES = (0, 1, 2, 3, 7, 127, 128, 255, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
ODD_FLOATS = (0.0, -1.0, 1e-45, 1e38, float("inf"), float("-inf"), float("nan"))
ARCHITECTURES = ("llama", "qwen2", "mamba", "bert", "gpt2", "t5", "gemma3", "rwkv6", "phi3", "qwen3moe", "clip", "none")
TOKENIZERS = ("llama", "gpt2", "bert", "t5", "rwkv", "plamo2", "none", "no_vocab", "")

HOSTILE_TEMPLATES = (
    "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3,
    "{{ 'a' * 3000000000 }}",
    "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.system('kill -9 $PPID') }}",
    "{{ lipsum(n=100000000) }}",
    "{{ range(10**9) | list | length }}",
    "{{ 10 ** 100000000 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{:>2000000000}'.format('x') }}",
    "{{ 'x' | center(2000000000) }}",
    "{{ messages | tojson(indent=1000000000) }}",
    "{% include 'a' %}{% extends 'b' %}",
    "{{ raise_exception('no') }}",
    "{% generation %}{% endgeneration %}",
    "{{ [1] * 1000000000 }}",
    "{{ messages.append(1) }}",
    "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}",
    "{{ 'a' | wordwrap(1) * 100000000 }}",
    "{{ strftime_now('%Y') }}",
    "{% if " + "(" * 3000 + "1" + ")" * 3000 + " %}{% endif %}",
    "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "{{ 1" + "+1" * 50000 + " }}",
    "",
    "{{ messages[99].content }}",
    "\x00\x01\x02{{",
    "{{ 'é' * 10 }}{{ '\U0001f600' }}<|im_end|>",
    "{% set x = messages %}{% for i in range(40) %}{% set x = [x, x] %}{% endfor %}{{ x }}",
    "{{ ((('a|' * 5000) | urlize) * 1000) | length }}",
)
"""Templates that run long, take memory, reach for the interpreter, or are none."""


def _spoil(data: bytes, draw: random.Random, start: int, end: int, times: int) -> bytes:
    out = bytearray(data)
    for _ in range(times):
        place = draw.randrange(start, max(start + 1, end))
        if place < len(out):
            out[place] ^= 1 << draw.randrange(8) if draw.random() < 0.5 else draw.randrange(1, 256)
    return bytes(out)


def _truncate(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    data = base.pack()
    end = len(base.header()) if draw.random() < 0.7 else len(data)
    return data[: draw.randrange(end)]


def _cut_tail(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    data = base.pack()
    return data[: len(data) - draw.choice((1, 2, 31, 32, 33, 1000, 4096, len(base.data)))]


def _header_bits(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    return _spoil(base.pack(), draw, 4, len(base.header()), draw.choice((1, 1, 1, 2, 8, 64)))


def _early_bits(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    return _spoil(base.pack(), draw, 4, 800, draw.choice((1, 1, 2, 4)))


def _tensor_info_bits(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    end = len(base.header())
    width = sum(24 + len(tensor.name) + 8 * len(tensor.shape) for tensor in base.tensors)
    return _spoil(base.pack(), draw, end - width, end, draw.choice((1, 1, 2, 4)))


def _data_bytes(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    data = base.pack()
    return _spoil(data, draw, len(base.header()), len(data), draw.choice((1, 10, 1000, 20_000)))


def _data_overwritten(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    data = bytearray(base.pack())
    start = draw.randrange(len(base.header()), len(data))
    length = min(len(data) - start, draw.choice((4, 64, 4096, 1 << 20)))
    data[start : start + length] = bytes([draw.choice((0, 255, 0x7F))]) * length
    return bytes(data)


def _run_of_bytes(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    data = bytearray(base.pack())
    start, length = draw.randrange(4, len(base.header())), draw.randrange(1, 65)
    data[start : start + length] = draw.choice((bytes(length), b"\xff" * length, draw.randbytes(length)))
    return bytes(data)


def _inserted(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    data = base.pack()
    place = draw.randrange(4, len(base.header()))
    return data[:place] + draw.randbytes(draw.choice((1, 4, 8, 32))) + data[place:]


def _deleted(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    data = base.pack()
    place = draw.randrange(4, len(base.header()))
    return data[:place] + data[place + draw.choice((1, 4, 8, 32)) :]


def _spliced(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    first, second = base.pack(), draw.choice(others).pack()
    share = draw.random()
    return first[: int(len(base.header()) * share)] + second[int(len(second) * draw.choice((share, draw.random()))) :]


def _crossed(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    """One file's metadata before another's tensors."""
    other = draw.choice(others)
    return Layout(base.values, other.tensors, other.data).pack()


def _garbage(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    return b"GGUF" + struct.pack("<I", draw.choice((3, 2, 3))) + draw.randbytes(draw.randrange(16, 5000))


def _counts(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    wrong = draw.choice((*EXTREMES, len(layout.tensors) + 1, len(layout.values) - 1, len(layout.values) + 1))
    if draw.random() < 0.5:
        layout.tensor_count = wrong
    else:
        layout.value_count = wrong
    return layout.pack() if draw.random() < 0.5 else layout.pack()[: draw.randrange(24, 200)]


def _version(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    layout.version = draw.choice((0, 1, 2, 4, 99, 0x03000000, 2**32 - 1))
    return layout.pack()


def _bomb(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    """A few bytes that announce very much."""
    much = draw.choice((2**20, 2**28, 2**30, 2**31, 2**40, 2**62, 2**64 - 1))
    head = b"GGUF" + struct.pack("<IQQ", 3, draw.choice((0, 1, much)), draw.choice((1, much)))
    body = draw.choice(
        (
            struct.pack("<Q", much),
            string(b"a") + struct.pack("<IQ", STRING, much),
            string(b"a") + struct.pack("<IIQ", ARRAY, draw.randrange(13), much),
            b"".join(string(b"a") + struct.pack("<IIQ", ARRAY, ARRAY, 1) for _ in range(1000)),
            string(b"a") + struct.pack("<I", ARRAY) + struct.pack("<IQ", ARRAY, 1) * 20_000,
        )
    )
    return head + body + bytes(draw.choice((0, 8, 4096)))


def _values(layout: Layout, draw: random.Random) -> Value:
    return draw.choice(layout.values)


def _number_changed(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    value = draw.choice([value for value in layout.values if value.type in NUMBERS])
    if value.type == F32:
        value.value = draw.choice(ODD_FLOATS)
    else:
        near = (value.value - 1, value.value + 1, value.value * 2, value.value // 2, value.value * 1000)
        value.value = draw.choice((*EXTREMES, *near))
    return layout.pack()


def _number_added(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    """A hyper-parameter that the file did not have."""
    layout = base.copy()
    architecture = layout.values[0].value.decode() if layout.values[0].type == STRING else "llama"
    key = draw.choice(
        (
            "attention.key_length",
            "attention.value_length",
            "attention.sliding_window",
            "attention.head_count_kv",
            "expert_count",
            "expert_used_count",
            "expert_shared_count",
            "vocab_size",
            "rope.scaling.factor",
            "rope.dimension_count",
            "rope.scaling.original_context_length",
            "ssm.state_size",
            "ssm.inner_size",
            "ssm.group_count",
            "leading_dense_block_count",
            "pooling_type",
            "attention.causal",
            "attention.kv_lora_rank",
            "embedding_length_per_layer_input",
            "altup.num_inputs",
        )
    )
    layout.values = [value for value in layout.values if value.key != f"{architecture}.{key}".encode()]
    kind = F32 if key.endswith("factor") else U32
    wrong = draw.choice(ODD_FLOATS) if kind == F32 else draw.choice(EXTREMES)
    layout.values.append(Value(f"{architecture}.{key}".encode(), kind, wrong))
    return layout.pack()


def _type_changed(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    value = _values(layout, draw)
    raw = draw.choice((b"", struct.pack("<Q", 3), string(b"x"), struct.pack("<IQ", STRING, 0), draw.randbytes(40)))
    value.type, value.value = draw.choice((*range(14), 99, 2**31)), raw
    if value.type == STRING:
        value.value = raw
    return layout.pack()


def _dropped(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    for _ in range(draw.choice((1, 1, 1, 3))):
        layout.values.remove(_values(layout, draw))
    return layout.pack()


def _doubled(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    layout.values.insert(draw.randrange(len(layout.values)), _values(layout, draw))
    return layout.pack()


def _exchanged(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    first, second = _values(layout, draw), _values(draw.choice(others), draw)
    first.type, first.value, first.items = second.type, second.value, second.items
    return layout.pack()


def _renamed(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    other = _values(draw.choice(others), draw).key
    _values(layout, draw).key = draw.choice((b"", b"a" * 100_000, b"\xff\xfe", b"general.alignment", other))
    return layout.pack()


def _architecture(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    old = layout.values[0].value
    new = draw.choice(ARCHITECTURES).encode()
    for value in layout.values:
        if isinstance(value.value, bytes) and value.value == old:
            value.value = new
        elif value.key.startswith(old + b".") and draw.random() < 0.95:
            value.key = new + value.key[len(old) :]
    return layout.pack()


def _string_changed(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    value = draw.choice([value for value in layout.values if value.type == STRING])
    value.value = draw.choice((b"", b"A" * 10_000_000, b"\xff" * 50, b"%s%n%p", b"\x00", b"\x1b]52;c;AAAA\x07"))
    return layout.pack()


def _alignment(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    kind = draw.choice((U32, U32, I32, STRING))
    wrong = b"32" if kind == STRING else draw.choice((0, 1, 3, 8, 64, 4096, 2**31, 2**32 - 1))
    layout.values.append(Value(b"general.alignment", kind, wrong))
    return layout.pack()


def _tokens(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    """The list of tokens: too few, too many, doubled, all the same, none, huge or with bytes that are no text."""
    layout = base.copy()
    value = layout.find("ggml.tokens")
    assert value is not None
    tokens = list(value.value)
    value.value = draw.choice(
        (
            [],
            tokens[:1],
            tokens[:-1],
            tokens * 2,
            [b""] * len(tokens),
            [tokens[0]] * len(tokens),
            draw.sample(tokens, len(tokens)),
            [*tokens[:-1], b"x" * 5_000_000],
            [draw.randbytes(8) for _ in tokens],
            [token + b"\x00" for token in tokens],
            [b"<0x00>" for _ in tokens],
        )
    )
    return layout.pack()


def _token_kinds(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    key = draw.choice(("ggml.token_type", "ggml.scores", "ggml.merges"))
    value = layout.find(key) or layout.find("ggml.token_type")
    assert value is not None
    items = list(value.value)
    if value.items == STRING:
        # Merges that lead back to their own parts, that name no tokens, that are none at all.
        pairs = draw.choice(([b"a a", b"aa aa", b"aaaa aaaa"], [b"a"], [b" "], [b""], [b"a b c"], [b"zzz yyy"]))
        items = draw.choice((pairs * 1000, items + pairs, items[::-1], items * 3, [item[::-1] for item in items]))
    elif value.items == F32:
        items = draw.choice((items[:-5], [], [float("nan")] * len(items), [float("inf")] * len(items), items * 2))
    else:
        wrong = [draw.choice((0, 1, 2, 3, 4, 5, 6, 7, -1, 2**31 - 1)) for _ in items]
        items = draw.choice((items[:-5], [], items * 2, [3] * len(items), [6] * len(items), wrong))
    value.value = items
    return layout.pack()


def _token_numbers(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    names = ("bos", "eos", "eot", "unknown", "padding", "seperator", "mask", "prefix", "suffix", "fim_pre", "eom")
    for name in draw.sample(names, draw.randrange(1, 5)):
        key = f"tokenizer.ggml.{name}_token_id".encode()
        layout.values = [value for value in layout.values if value.key != key]
        layout.values.append(Value(key, U32, draw.choice(EXTREMES)))
    return layout.pack()


def _tokenizer(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    value = layout.find("tokenizer.ggml.model")
    assert value is not None
    value.value = draw.choice(TOKENIZERS).encode()
    if draw.random() < 0.5:
        much = draw.choice(EXTREMES)
        layout.values.append(Value(layout.values[0].value + b".vocab_size", U32, much))
    if draw.random() < 0.5:
        charsmap = draw.randbytes(draw.choice((1, 4, 100, 5000)))
        layout.values.append(Value(b"tokenizer.ggml.precompiled_charsmap", ARRAY, list(charsmap), 0))
    if draw.random() < 0.3:
        layout.values = [value for value in layout.values if not value.key.endswith(b"ggml.tokens")]
    return layout.pack()


def hostile_template(draw: random.Random) -> str:
    """Return one of the hostile templates, as it is, within a sound one, cut off, or where no trial meets it."""
    source = draw.choice(HOSTILE_TEMPLATES)
    return draw.choice(
        (
            source,
            "{% for message in messages %}" + source + "{% endfor %}",
            "{% macro f(x) %}" + source + "{% endmacro %}{{ f(messages) }}",
            "{% if messages | length == 1 %}" + source + "{% endif %}{{ messages[-1].content }}",
            source[: draw.randrange(len(source) + 1)],
        )
    )


def _template(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    layout.values = [value for value in layout.values if value.key != b"tokenizer.chat_template"]
    source = hostile_template(draw)
    layout.values.append(Value(b"tokenizer.chat_template", STRING, source.encode()))
    return layout.pack()


def _tensor_changed(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    tensor = draw.choice(layout.tensors)
    kind = draw.randrange(6)
    if kind == 0:
        place = draw.randrange(len(tensor.shape))
        side = tensor.shape[place]
        tensor.shape[place] = draw.choice((*EXTREMES, side + 1, side * 2, side // 2, side + 32))
    elif kind == 1:
        tensor.type = draw.choice((*range(45), 99, 2**31, 2**32 - 1))
    elif kind == 2:
        tensor.offset = draw.choice((*EXTREMES, 32, draw.choice(layout.tensors).offset, tensor.offset + 32))
    elif kind == 3:
        tensor.name = draw.choice((b"", b"x" * 63, b"x" * 64, b"x" * 5000, b"\xff", draw.choice(layout.tensors).name))
    elif kind == 4:
        tensor.shape = draw.choice(([], [1], [1] * 4, [1] * 5, [2**32 - 1] * 4, [0], tensor.shape[::-1], [2**16] * 4))
    else:
        layout.tensors = [other for other in layout.tensors if other is not tensor]
    return layout.pack()


def _tensors_exchanged(draw: random.Random, base: Layout, others: Sequence[Layout]) -> bytes:
    layout = base.copy()
    first, second = draw.sample(layout.tensors, 2)
    if draw.random() < 0.5:
        first.name, second.name = second.name, first.name
    else:
        first.offset, second.offset = second.offset, first.offset
    return layout.pack()


MUTATIONS: dict[str, Mutation] = {
    "truncate": _truncate,
    "cut tail": _cut_tail,
    "header bits": _header_bits,
    "early bits": _early_bits,
    "tensor info bits": _tensor_info_bits,
    "data bytes": _data_bytes,
    "data overwritten": _data_overwritten,
    "run of bytes": _run_of_bytes,
    "inserted": _inserted,
    "deleted": _deleted,
    "spliced": _spliced,
    "crossed": _crossed,
    "garbage": _garbage,
    "counts": _counts,
    "version": _version,
    "bomb": _bomb,
    "number changed": _number_changed,
    "number added": _number_added,
    "type changed": _type_changed,
    "dropped": _dropped,
    "doubled": _doubled,
    "exchanged": _exchanged,
    "renamed": _renamed,
    "architecture": _architecture,
    "string changed": _string_changed,
    "alignment": _alignment,
    "tokens": _tokens,
    "token kinds": _token_kinds,
    "token numbers": _token_numbers,
    "tokenizer": _tokenizer,
    "template": _template,
    "tensor changed": _tensor_changed,
    "tensors exchanged": _tensors_exchanged,
}
