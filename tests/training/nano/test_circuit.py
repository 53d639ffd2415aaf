"""The copy circuit copies before any training, and says so when a model has no room for it."""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from training.nano.build import CONFIG
from training.nano.circuit import write_copy_circuit


@pytest.mark.parametrize(("length", "least"), [(40, 0.95), (300, 0.9)])
def test_an_untrained_model_copies_random_tokens(length: int, least: float) -> None:
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(**CONFIG))
    words = torch.randint(3, CONFIG["vocab_size"], (2, length))
    mark = torch.full((2, 1), 1)
    ids = torch.cat([mark, words, mark, words], dim=1)

    def share_copied() -> float:
        with torch.inference_mode():
            guesses = model(input_ids=ids[:, :-1]).logits[:, length + 2 :].argmax(-1)
        return float((guesses == words[:, 1:]).float().mean())

    assert share_copied() < 0.05
    write_copy_circuit(model, seed=0)
    assert share_copied() > least


def test_another_head_layout_is_refused() -> None:
    config = Qwen2Config(vocab_size=50, hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
                         num_key_value_heads=2, intermediate_size=64)  # fmt: skip
    with pytest.raises(ValueError, match="4 query heads"):
        write_copy_circuit(Qwen2ForCausalLM(config), seed=0)
