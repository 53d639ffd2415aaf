"""An initial copy circuit: what a small model needs millions of tokens to discover, written into its first weights.

Copying in transformers rests on induction heads (Olsson et al. 2022, arXiv:2209.11895): a head that looks at the
previous token, and a later one that finds where the current token occurred before and carries over what followed.
Both are simple linear maps, so they are set here; training refines them like any other weight.

The residual stream of width D starts split: A, the first half, holds the token's embedding; B and C, a quarter
each, receive a projection of the previous token and of the one before it. Long texts are copied only if enough rotary
dimensions turn slowly, which is a matter of the base theta: of 300 tokens of an encyclopedia, an untrained model copies
30% with a base of 1e4 and 91% with 1e7.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import Qwen2ForCausalLM

QUICK, AMPLITUDE = 0.05, 8.0
"""Angular frequencies (radians a token) above which a dimension tells neighbours apart, and the bias there."""
SLOW = 0.002
"""Those below which a dimension turns by less than a radian over 500 tokens."""
GAIN = 12.0
"""Score, in nats, of one matching token."""


def _orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Return a random (rows, columns) matrix with orthonormal rows, rows <= columns."""
    return torch.linalg.qr(torch.randn(columns, rows, generator=generator))[0].T


@torch.no_grad()
def write_copy_circuit(model: Qwen2ForCausalLM, seed: int, scale: float = 0.08) -> None:
    """Set layer 0 to attend one and two tokens back and layer 1 to match both and copy what followed, in place.

    Needs four query heads on two key-value heads with D = 4 head_dim; `scale` is the embeddings' standard
    deviation. Raises ValueError for another shape.
    """
    config = model.config
    width, heads = config.hidden_size, config.num_attention_heads
    dim = width // heads
    if heads != 4 or config.num_key_value_heads != 2:
        raise ValueError("the copy circuit is laid out for 4 query heads on 2 key-value heads")
    half, random = width // 2, torch.Generator().manual_seed(seed)
    b, c = slice(half, half + dim), slice(half + dim, width)
    parameters = config.rope_parameters if hasattr(config, "rope_parameters") else None
    theta = (parameters or {}).get("rope_theta", None) or config.rope_theta
    frequencies = theta ** (-torch.arange(dim // 2) / (dim // 2))

    embedding = model.model.embed_tokens.weight
    embedding.normal_(0, scale, generator=random)
    embedding[:, half:] *= 0.1

    first = model.model.layers[0].self_attn
    # Scores from the biases alone: with rotary positions, sum_f a^2 cos(f (distance - offset)), highest at the offset.
    amplitude = torch.where(frequencies > QUICK, AMPLITUDE, 0.0)
    for head, offset, target in ((0, 1, b), (1, 2, c)):
        rows = slice(head * dim, (head + 1) * dim)
        first.q_proj.weight[rows] *= 0.1
        first.q_proj.bias[rows] = torch.cat(
            [amplitude * torch.cos(frequencies * offset), -amplitude * torch.sin(frequencies * offset)]
        )
        first.o_proj.weight[:, rows] = 0
        first.o_proj.weight[target, rows] = torch.eye(dim) * scale / 2**0.5
    seen = _orthonormal(dim, half, random)
    first.k_proj.weight[:dim] *= 0.1
    first.k_proj.bias[:dim] = torch.cat([amplitude, torch.zeros_like(amplitude)])
    first.v_proj.weight[:dim] = 0
    first.v_proj.weight[:dim, :half] = seen

    second = model.model.layers[1].self_attn
    # Only slowly rotating dimensions can compare content over hundreds of tokens.
    slow = torch.nonzero(frequencies < SLOW).flatten()
    slow = torch.cat([slow, slow + dim // 2])
    gain = (GAIN * dim**0.5 / len(slow)) ** 0.5
    for kv in (0, 1):
        one, two = (_orthonormal(len(slow), dim, random) * gain for _ in range(2))
        query, key = kv * 2 * dim + slow, kv * dim + slow
        for projection, start in ((second.q_proj, kv * 2 * dim), (second.k_proj, kv * dim)):
            projection.weight[start : start + dim] *= 0.1
        second.q_proj.weight[query, :half] += one @ seen
        second.q_proj.weight[query, b] += two
        second.k_proj.weight[key, b] += one
        second.k_proj.weight[key, c] += two
        carried = slice(kv * dim, (kv + 1) * dim)
        second.v_proj.weight[carried] = 0
        second.v_proj.weight[carried, carried] = torch.eye(dim)
        columns = slice(kv * 2 * dim, (kv * 2 + 1) * dim)
        second.o_proj.weight[:, columns] = 0
        second.o_proj.weight[carried, columns] = torch.eye(dim) * 3 * scale
