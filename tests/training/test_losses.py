"""The losses are the sums that equations 1-3 write, whichever way they are computed."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from training.losses import IGNORE, completion_loss, expansion_loss, pair_expansion_loss, refinement_loss, sequence_nll


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    labels = torch.tensor([[IGNORE, 3, 4, IGNORE], [1, 2, IGNORE, IGNORE], [IGNORE, IGNORE, IGNORE, 5]])
    return torch.randn(3, 4, 7), labels


def test_sequence_nll_sums_each_sequences_completion(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = case
    log_probabilities = logits.log_softmax(-1)
    expected = [
        -(log_probabilities[0, 1, 3] + log_probabilities[0, 2, 4]),
        -(log_probabilities[1, 0, 1] + log_probabilities[1, 1, 2]),
        -log_probabilities[2, 3, 5],
    ]
    torch.testing.assert_close(sequence_nll(logits, labels), torch.stack(expected))


def test_equation_1_sums_a_sources_targets(case: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = case
    nll = sequence_nll(logits, labels)
    per_source = expansion_loss(logits, labels, torch.tensor([0, 1, 0]))
    torch.testing.assert_close(per_source, torch.stack([nll[0] + nll[2], nll[1]]))
    torch.testing.assert_close(per_source.sum(), refinement_loss(logits, labels))
    torch.testing.assert_close(per_source.sum(), pair_expansion_loss(logits, labels))


def test_completion_loss_is_torchs_mean_and_so_is_its_gradient() -> None:
    torch.manual_seed(0)
    hidden, head = torch.randn(2, 5, 8, requires_grad=True), torch.randn(11, 8, requires_grad=True)
    labels = torch.tensor([[IGNORE, IGNORE, 1, 2, 3], [IGNORE, 10, 0, IGNORE, IGNORE]])
    loss, count = completion_loss(hidden, head, labels)
    reference = cross_entropy((hidden @ head.T).reshape(-1, 11), labels.reshape(-1), ignore_index=IGNORE)
    torch.testing.assert_close(loss, reference)
    assert count == 5
    for ours, theirs in zip(
        torch.autograd.grad(loss, (hidden, head)), torch.autograd.grad(reference, (hidden, head)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)
