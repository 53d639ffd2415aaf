"""What is special to a model architecture: its GGUF name, the tensors it must have, and its parameters in the file.

Tensor names are translated by the maps of the `gguf` package. To add an architecture, describe it and enter it in
`ARCHITECTURES`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from quantize.errors import ConversionError

Config = dict[str, Any]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Architecture:
    """One architecture. `required` gives the tensors that a checkpoint must have; `optional` those it may have."""

    gguf: gguf.MODEL_ARCH
    required: Callable[[Config], Shapes]
    optional: Callable[[Config], Shapes]
    add_parameters: Callable[[gguf.GGUFWriter, Config], None]
    rotary_halves: bool = False
    """Whether llama.cpp rotates neighbouring values of a head, where Hugging Face rotates one half with the other: the
    rows of the query and key projections then change places (`interleave`)."""
    computed: Callable[[Config], dict[str, NDArray[np.float32]]] = lambda config: {}
    """Tensors of the GGUF file that the checkpoint does not have, by their GGUF names."""

    @property
    def name(self) -> str:
        """Its name in GGUF files (general.architecture)."""
        return str(gguf.MODEL_ARCH_NAMES[self.gguf])


MOST_LAYERS = 4096


def layers(config: Config) -> int:
    """How many layers there are. Raises `ConversionError` for more than any model has."""
    count = size(config, "num_hidden_layers")
    if count > MOST_LAYERS:
        raise ConversionError(f"config.json: num_hidden_layers is {count}; more than {MOST_LAYERS} cannot be converted")
    return count


def size(config: Config, key: str) -> int:
    """A size from config.json. Raises `ConversionError` if it is missing or not a positive whole number."""
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 31:
        raise ConversionError(f"config.json: {key} is {value!r}, not a positive whole number")
    return value


def _number(values: Config, key: str) -> float:
    value = values.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise ConversionError(f"config.json: {key} is {value!r}, not a positive number")
    return value


def rope_parameters(config: Config) -> Config:
    """Rotary embedding parameters, whichever way the configuration was saved: `rope_parameters` (transformers 5), or
    `rope_theta` and `rope_scaling` (before); the type's key is `rope_type` or `type`.
    """
    found = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    found.setdefault("rope_theta", config.get("rope_theta", 10000.0))
    found.setdefault("rope_type", found.get("type", "default"))
    return found


def _add_rope(writer: gguf.GGUFWriter, config: Config) -> None:
    rope = rope_parameters(config)
    kind = rope["rope_type"]
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(_number(rope, "factor"))
    elif kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(_number(rope, "factor"))
        original = rope.get("original_max_position_embeddings", config.get("original_max_position_embeddings"))
        writer.add_rope_scaling_orig_ctx_len(
            size({"original_max_position_embeddings": original}, "original_max_position_embeddings")
        )
        for key, add in {
            "extrapolation_factor": writer.add_rope_scaling_yarn_ext_factor,
            "attention_factor": writer.add_rope_scaling_yarn_attn_factor,
            "beta_fast": writer.add_rope_scaling_yarn_beta_fast,
            "beta_slow": writer.add_rope_scaling_yarn_beta_slow,
        }.items():
            if rope.get(key) is not None:
                add(_number(rope, key))
    elif kind != "default" and not (kind == "llama3" and writer.arch == "llama"):
        raise ConversionError(f"config.json: rotary embedding of type {kind!r} cannot be converted")
    writer.add_rope_freq_base(_number(rope, "rope_theta"))


def _add_decoder(writer: gguf.GGUFWriter, config: Config) -> None:
    """The parameters shared by decoders of the Llama family."""
    if config.get("hidden_act") != "silu":
        raise ConversionError(f"config.json: hidden_act is {config.get('hidden_act')!r}; llama.cpp computes silu here")
    writer.add_block_count(layers(config))
    writer.add_context_length(size(config, "max_position_embeddings"))
    writer.add_embedding_length(size(config, "hidden_size"))
    writer.add_feed_forward_length(size(config, "intermediate_size"))
    writer.add_head_count(size(config, "num_attention_heads"))
    writer.add_head_count_kv(size(config, "num_key_value_heads"))
    _add_rope(writer, config)
    writer.add_layer_norm_rms_eps(_number(config, "rms_norm_eps"))
    if config.get("head_dim") is not None:
        writer.add_key_length(size(config, "head_dim"))
        writer.add_value_length(size(config, "head_dim"))


def head_size(config: Config) -> int:
    """Values of one attention head. Raises `ConversionError` if the configuration leaves it open."""
    if config.get("head_dim") is not None:
        return size(config, "head_dim")
    hidden, heads = size(config, "hidden_size"), size(config, "num_attention_heads")
    if hidden % heads:
        raise ConversionError(f"config.json: {hidden} hidden and {heads} heads do not divide")
    return hidden // heads


def _decoder_shapes(config: Config) -> Shapes:
    """The matrices and norms shared by decoders of the Llama family; shapes are (outputs, inputs)."""
    hidden, feed_forward = size(config, "hidden_size"), size(config, "intermediate_size")
    heads, kv_heads = size(config, "num_attention_heads"), size(config, "num_key_value_heads")
    head = head_size(config)
    if heads % kv_heads:
        raise ConversionError(f"config.json: {heads} heads and {kv_heads} key-value heads do not divide")
    vocabulary = size(config, "vocab_size")
    shapes: Shapes = {"model.embed_tokens.weight": (vocabulary, hidden), "model.norm.weight": (hidden,)}
    if not config.get("tie_word_embeddings", False):
        shapes["lm_head.weight"] = (vocabulary, hidden)
    for layer in range(layers(config)):
        block = f"model.layers.{layer}"
        shapes |= {
            f"{block}.input_layernorm.weight": (hidden,),
            f"{block}.self_attn.q_proj.weight": (heads * head, hidden),
            f"{block}.self_attn.k_proj.weight": (kv_heads * head, hidden),
            f"{block}.self_attn.v_proj.weight": (kv_heads * head, hidden),
            f"{block}.self_attn.o_proj.weight": (hidden, heads * head),
            f"{block}.post_attention_layernorm.weight": (hidden,),
            f"{block}.mlp.gate_proj.weight": (feed_forward, hidden),
            f"{block}.mlp.up_proj.weight": (feed_forward, hidden),
            f"{block}.mlp.down_proj.weight": (hidden, feed_forward),
        }
    return shapes


def _output_shape(config: Config) -> Shapes:
    return {"lm_head.weight": (size(config, "vocab_size"), size(config, "hidden_size"))}


def _biases(shapes: Shapes, *projections: str) -> Shapes:
    """The biases of the named projections: a value for each output."""
    ends = tuple(f"{projection}.weight" for projection in projections)
    return {f"{name.removesuffix('weight')}bias": shape[:1] for name, shape in shapes.items() if name.endswith(ends)}


def _refuse_sliding_window(config: Config) -> None:
    if config.get("use_sliding_window"):
        raise ConversionError("config.json: use_sliding_window is on, which llama.cpp does not compute for this model")


def _qwen2_shapes(config: Config) -> Shapes:
    _refuse_sliding_window(config)
    shapes = _decoder_shapes(config)
    return shapes | _biases(shapes, "q_proj", "k_proj", "v_proj")


def _qwen3_config(config: Config) -> Config:
    # Qwen3Config of transformers: heads have 128 values unless it says otherwise.
    return config if config.get("head_dim") is not None else config | {"head_dim": 128}


def _qwen3_shapes(config: Config) -> Shapes:
    _refuse_sliding_window(config)
    if config.get("attention_bias"):
        raise ConversionError("config.json: attention_bias is on, which llama.cpp does not compute for Qwen3")
    config = _qwen3_config(config)
    shapes = _decoder_shapes(config)
    for layer in range(layers(config)):
        for norm in ("q_norm", "k_norm"):
            shapes[f"model.layers.{layer}.self_attn.{norm}.weight"] = (head_size(config),)
    return shapes


def _llama_shapes(config: Config) -> Shapes:
    shapes = _decoder_shapes(config)
    if config.get("attention_bias"):
        shapes |= _biases(shapes, "q_proj", "k_proj", "v_proj", "o_proj")
    if config.get("mlp_bias"):
        shapes |= _biases(shapes, "gate_proj", "up_proj", "down_proj")
    return shapes


def _add_llama(writer: gguf.GGUFWriter, config: Config) -> None:
    head = head_size(config)
    _add_decoder(writer, config | {"head_dim": head})
    writer.add_vocab_size(size(config, "vocab_size"))
    writer.add_rope_dimension_count(head)


def _llama3_factors(config: Config) -> dict[str, NDArray[np.float32]]:
    """How much slower each pair of values rotates than in training, for models stretched as Llama 3.1 was.

    After `_compute_llama3_parameters` of transformers: slow rotations by `factor`, fast ones not at all, a smooth
    passage between. llama.cpp divides its frequencies by these factors.
    """
    rope = rope_parameters(config)
    if rope["rope_type"] != "llama3":
        return {}
    head, base = head_size(config), np.float32(_number(rope, "rope_theta"))
    factor, low, high = (_number(rope, key) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    original = size(rope, "original_max_position_embeddings")
    if low == high:
        raise ConversionError("config.json: low_freq_factor and high_freq_factor are the same")
    exponents = np.arange(0, head, 2, dtype=np.float32) / np.float32(head)
    # Powers of float32 differ between libraries in the last bit: the rounded exact one is the nearest to all.
    frequencies = np.float32(1) / np.power(np.float64(base), exponents.astype(np.float64)).astype(np.float32)
    wavelengths = np.float32(2 * np.pi) / frequencies
    smooth = (np.float32(original) / wavelengths - np.float32(low)) / np.float32(high - low)
    between = np.float32(1) / ((1 - smooth) / np.float32(factor) + smooth)
    factors = np.where(wavelengths > original / low, np.float32(factor), between)
    return {"rope_freqs.weight": np.where(wavelengths < original / high, np.float32(1), factors).astype(np.float32)}


def interleave(rows: NDArray[Any], head: int) -> NDArray[Any]:
    """Whole heads of a projection, (heads * head, ...), in the order in which llama.cpp rotates them.

    Row `half * head / 2 + pair` of a head becomes row `2 * pair + half`.
    """
    return rows.reshape(-1, 2, head // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


ARCHITECTURES = {
    "Qwen2ForCausalLM": Architecture(gguf.MODEL_ARCH.QWEN2, _qwen2_shapes, _output_shape, _add_decoder),
    "Qwen3ForCausalLM": Architecture(
        gguf.MODEL_ARCH.QWEN3,
        _qwen3_shapes,
        _output_shape,
        lambda writer, config: _add_decoder(writer, _qwen3_config(config)),
    ),
    "LlamaForCausalLM": Architecture(
        gguf.MODEL_ARCH.LLAMA,
        _llama_shapes,
        _output_shape,
        _add_llama,
        rotary_halves=True,
        computed=_llama3_factors,
    ),
}
