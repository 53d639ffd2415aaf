"""Completion-only losses of the paper: equations 1 (expansion), 2 (refinement) and 3 (pair expansion).

All three are the negative log-likelihood of a target given its context; they differ in what the context and
the targets are. A label of `IGNORE` marks a position (prompt, padding) that carries no loss.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = -100


def sequence_nll(logits: Tensor, labels: Tensor) -> Tensor:
    """Return each sequence's negative log-likelihood in nats, shape (B,), so that callers can weigh sequences.

    `logits` (B, T, V) predict `labels` (B, T) of the same position: labels are already shifted left by one.
    """
    batch, length, vocabulary = logits.shape
    flat = F.cross_entropy(
        logits.float().reshape(-1, vocabulary), labels.reshape(-1), ignore_index=IGNORE, reduction="none"
    )
    return flat.view(batch, length).sum(dim=1)


def refinement_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Equation 2: minus the sum over pairs (I_src, I_tgt) of log Pr(I_tgt | I_src)."""
    return sequence_nll(logits, labels).sum()


def expansion_loss(logits: Tensor, labels: Tensor, sources: Tensor) -> Tensor:
    """Equation 1: per source the sum over its N targets of -log Pr(I_tgt^(i) | I_src), shape (sources,).

    Each of a source's N targets is one sequence; `sources` (B,) holds each sequence's source number, 0 to S-1.
    The equation's value is the sum of the result.
    """
    nll = sequence_nll(logits, labels)
    totals = torch.zeros(int(sources.max()) + 1, dtype=nll.dtype, device=nll.device)
    return totals.index_add(0, sources, nll)


def pair_expansion_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Equation 3: minus the sum of log Pr(I_i, R_i | K demonstrations), instruction and response both targets."""
    return sequence_nll(logits, labels).sum()


def completion_loss(hidden: Tensor, head: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """Return the mean loss in nats a target token and the number of target tokens: what equations 1-3 train on.

    The logits are computed at the completion positions only, the larger part of the cost for a small model.
    `hidden` (B, T, D), `head` (V, D), `labels` (B, T) already shifted left by one.
    """
    wanted = labels.reshape(-1) != IGNORE
    states = hidden.reshape(-1, hidden.shape[-1])[wanted]
    targets = labels.reshape(-1)[wanted]
    logits = F.linear(states, head).float()
    return F.cross_entropy(logits, targets), int(targets.numel())
