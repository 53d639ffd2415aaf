"""Muon: momentum whose matrix updates are orthogonalised, which small models learn much faster with than Adam's.

Source: Keller Jordan, "Muon: An optimizer for hidden layers in neural networks", kellerjordan.github.io/posts/muon.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

RARE_TOKEN_EPSILON = 2e-5
"""AdamW's epsilon beside Muon: far below a common token's gradient, far above what a softmax sends to a rare token.

With the usual 1e-8 that tiny, constant push is scaled up to full steps, and all rare embeddings become one vector.
"""


def orthogonalize(matrices: Tensor, steps: int = 3, *, half: bool = False) -> Tensor:
    """Return the nearest semi-orthogonal matrices of a stack (N, rows, columns), by Newton-Schulz iteration.

    Singular values end between about 0.7 and 1.2, which is as good as exact here and needs products only; `half`
    computes them in bf16 on a CPU, too.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16() if half or matrices.is_cuda else matrices.float()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum with orthogonalised updates, for hidden matrices only (not embeddings or vectors).

    The update of a (rows, columns) matrix is scaled by sqrt(max(1, rows / columns)), so that one learning rate
    fits all shapes.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0,
        *, half: bool = False,
    ) -> None:  # fmt: skip
        """Take 2-D parameters; raise ValueError for any other. `half`: see `orthogonalize`."""
        self._half = half
        matrices = list(params)
        if any(p.ndim != 2 for p in matrices):
            raise ValueError("Muon takes 2-D parameters only")
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """Update every parameter that has a gradient; matrices of one shape are orthogonalised together."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    shapes[p.shape].append(p)
            for shape, params in shapes.items():
                updates = []
                for p in params:
                    state = self.state[p]
                    if "momentum" not in state:
                        state["momentum"] = torch.zeros_like(p)
                    state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                    updates.append(torch.lerp(p.grad, state["momentum"], group["momentum"]))
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                for p, update in zip(params, orthogonalize(torch.stack(updates), half=self._half), strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * scale)


def build_optimizers(
    model: nn.Module, kind: str, matrix_lr: float, vector_lr: float, weight_decay: float, *, half: bool = False
) -> list[torch.optim.Optimizer]:
    """Return [Muon, AdamW] for kind "muon" or [AdamW] for "adamw"; embeddings, heads and vectors use AdamW."""
    hidden: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in model.named_parameters():
        is_hidden = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
        (hidden if is_hidden else rest).append(parameter)
    betas = (0.9, 0.95)
    if kind == "muon":
        return [
            Muon(hidden, lr=matrix_lr, weight_decay=weight_decay, half=half),
            torch.optim.AdamW(rest, lr=vector_lr, betas=betas, eps=RARE_TOKEN_EPSILON, weight_decay=0.0),
        ]
    if kind == "adamw":
        groups = [
            {"params": hidden, "lr": matrix_lr, "weight_decay": weight_decay},
            {"params": rest, "lr": vector_lr, "weight_decay": 0.0},
        ]
        return [torch.optim.AdamW(groups, betas=betas)]
    raise ValueError(f"unknown optimizer {kind!r}: choose muon or adamw")
