"""The trainer end to end on a tiny model: the loss falls, a run repeats exactly, and a stopped one goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import AutoTokenizer, Qwen2ForCausalLM

from training.sft import learning_rate_factor, main

CONFIG = {
    "vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 64, "tie_word_embeddings": True, "max_position_embeddings": 256,
}  # fmt: skip


@pytest.fixture
def arguments(tmp_path: Path, tokenizer_folder: Path) -> list[str]:
    chats = [
        [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": f"sea {i}"},
            {"role": "assistant", "content": f"Write a poem about the sea {i}."},
        ]
        for i in range(12)
    ]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return [
        "--data",
        str(tmp_path / "chats.jsonl"),
        "--tokenizer",
        str(tokenizer_folder),
        "--optimizer",
        "muon",
        "--lr",
        "0.02",
        "--vector-lr",
        "0.01",
        "--batch-tokens",
        "256",
        "--log-steps",
        "5",
        "--threads",
        "1",
    ]


def test_loss_falls_and_the_output_is_a_hugging_face_checkpoint(tmp_path: Path, arguments: list[str]) -> None:
    out = tmp_path / "out"
    assert main([*arguments, "--init", str(tmp_path / "config.json"), "--out", str(out), "--steps", "20"]) == 0
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert events[-1]["event"] == "done"
    assert events[0]["tokens_per_second"] > 0
    assert events[-2]["loss"] < events[0]["loss"] / 2
    model = Qwen2ForCausalLM.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer.decode(model.generation_config.eos_token_id) == "<|im_end|><|endoftext|>"
    assert "<|im_start|>" in tokenizer.chat_template


def test_the_same_seed_gives_the_same_weights_and_a_model_can_be_continued(
    tmp_path: Path, arguments: list[str]
) -> None:
    for name in ("a", "b"):
        run = [*arguments, "--init", str(tmp_path / "config.json"), "--out", str(tmp_path / name), "--steps", "3"]
        assert main(run) == 0
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("a", "b"))
    assert all(first[key].equal(second[key]) for key in first)
    assert main([*arguments, "--model", str(tmp_path / "a"), "--out", str(tmp_path / "c"), "--steps", "1"]) == 0
    resumed = [*arguments, "--model", str(tmp_path / "a"), "--out", str(tmp_path / "a"), "--steps", "5", "--resume"]
    assert main(resumed) == 0
    assert json.loads((tmp_path / "a" / "events.jsonl").read_text().splitlines()[-1])["step"] == 5


def test_a_missing_file_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments[1] = str(tmp_path / "absent.jsonl")
    assert (
        main([*arguments, "--init", str(tmp_path / "config.json"), "--out", str(tmp_path / "o"), "--steps", "1"]) == 2
    )
    assert capsys.readouterr().err.count("\n") == 1


def test_the_schedule_warms_up_stays_and_ends_at_zero() -> None:
    factors = [learning_rate_factor(p / 100, 0.1, 0.4) for p in range(101)]
    assert factors[:11] == sorted(factors[:11])
    assert factors[10:61] == [1.0] * 51
    assert factors[60:] == sorted(factors[60:], reverse=True)
    assert factors[100] == 0
