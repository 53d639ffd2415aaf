"""What is special to a model architecture: its GGUF name, the tensors it must have, and its parameters in the file.

Tensor names are translated by the maps of the `gguf` package. To add an architecture, describe it and enter it in
`ARCHITECTURES`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gguf

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

    @property
    def name(self) -> str:
        """Its name in GGUF files (general.architecture)."""
        return str(gguf.MODEL_ARCH_NAMES[self.gguf])


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
    elif kind != "default":
        raise ConversionError(f"config.json: rotary embedding of type {kind!r} cannot be converted")
    writer.add_rope_freq_base(_number(rope, "rope_theta"))


def _add_decoder(writer: gguf.GGUFWriter, config: Config) -> None:
    """The parameters shared by decoders of the Llama family."""
    if config.get("hidden_act") != "silu":
        raise ConversionError(f"config.json: hidden_act is {config.get('hidden_act')!r}; llama.cpp computes silu here")
    writer.add_block_count(size(config, "num_hidden_layers"))
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


def _decoder_shapes(config: Config) -> Shapes:
    """The matrices and norms shared by decoders of the Llama family; shapes are (outputs, inputs)."""
    hidden, feed_forward = size(config, "hidden_size"), size(config, "intermediate_size")
    heads, kv_heads = size(config, "num_attention_heads"), size(config, "num_key_value_heads")
    if hidden % heads or heads % kv_heads:
        raise ConversionError(
            f"config.json: {hidden} hidden, {heads} heads and {kv_heads} key-value heads do not divide"
        )
    head = size(config, "head_dim") if config.get("head_dim") is not None else hidden // heads
    vocabulary = size(config, "vocab_size")
    shapes: Shapes = {"model.embed_tokens.weight": (vocabulary, hidden), "model.norm.weight": (hidden,)}
    if not config.get("tie_word_embeddings", False):
        shapes["lm_head.weight"] = (vocabulary, hidden)
    for layer in range(size(config, "num_hidden_layers")):
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


def _qwen2_shapes(config: Config) -> Shapes:
    if config.get("use_sliding_window"):
        raise ConversionError("config.json: use_sliding_window is on, which llama.cpp does not compute for Qwen2")
    shapes = _decoder_shapes(config)
    biases = {
        f"{name.removesuffix('weight')}bias": shape[:1]
        for name, shape in shapes.items()
        if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight"))
    }
    return shapes | biases


ARCHITECTURES = {
    "Qwen2ForCausalLM": Architecture(gguf.MODEL_ARCH.QWEN2, _qwen2_shapes, _output_shape, _add_decoder),
}
