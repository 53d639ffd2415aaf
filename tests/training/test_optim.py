"""Muon's updates are orthogonal, and it takes matrices only."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.optim import Muon, build_optimizers, orthogonalize


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("shape", [(8, 8), (8, 24), (24, 8)])
def test_orthogonalize_brings_all_singular_values_near_one(shape: tuple[int, int], half: bool) -> None:
    torch.manual_seed(0)
    result = orthogonalize(torch.randn(3, *shape), steps=8, half=half)
    assert result.dtype is torch.float32
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_muon_lowers_a_loss() -> None:
    torch.manual_seed(0)
    weight, target = nn.Parameter(torch.zeros(6, 4)), torch.randn(6, 4)
    optimizer = Muon([weight], lr=0.05)
    before = (weight - target).square().sum().item()
    for _ in range(60):
        optimizer.zero_grad()
        (weight - target).square().sum().backward()
        optimizer.step()
    assert (weight - target).square().sum().item() < before / 4


def test_vectors_are_refused_and_embeddings_go_to_adamw() -> None:
    with pytest.raises(ValueError, match="2-D"):
        Muon([nn.Parameter(torch.zeros(3))])
    model = nn.ModuleDict({"embed_tokens": nn.Embedding(5, 4), "linear": nn.Linear(4, 4)})
    muon, adamw = build_optimizers(model, "muon", 0.01, 0.001, 0.0)
    assert [p.shape for p in muon.param_groups[0]["params"]] == [torch.Size([4, 4])]
    assert len(adamw.param_groups[0]["params"]) == 2
    with pytest.raises(ValueError, match="unknown optimizer"):
        build_optimizers(model, "sgd", 0.01, 0.001, 0.0)
