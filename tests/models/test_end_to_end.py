"""From training to a refined file: a small checkpoint is trained, quantized, published, pulled, and used offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from augtui.domain import templates
from tests.models.fakehub import FakeHub, sha256

ROOT = Path(__file__).parents[2]
CONFIG = {
    "vocab_size": 320, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 128, "tie_word_embeddings": True, "max_position_embeddings": 256,
}  # fmt: skip
SUBJECTS = ("the sea", "a tree", "my cat", "the rain")
REFINED = "Write a poem about {}. Use four short lines."


def python(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )


def test_a_checkpoint_trained_here_comes_back_from_the_hub_and_refines_a_file_offline(
    hub: FakeHub, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    from training.nano.tokenizer import train_tokenizer

    chats = []
    for subject in SUBJECTS:
        system, user = templates.load("refine").render(instruction=f"poem about {subject}")
        answer = {"role": "assistant", "content": REFINED.format(subject)}
        chats.append([{"role": turn.role, "content": turn.content} for turn in (system, user)] + [answer])
    train_tokenizer([turn["content"] for chat in chats for turn in chat], 320, tmp_path / "tokenizer")
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats * 4))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    trained = python(
        "-m", "training.sft", "--data", tmp_path / "chats.jsonl", "--tokenizer", tmp_path / "tokenizer", "--init",
        tmp_path / "config.json", "--out", tmp_path / "out", "--steps", 150, "--optimizer", "muon", "--lr", 0.02,
        "--vector-lr", 0.01, "--batch-tokens", 512, "--threads", 1,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    gguf = tmp_path / "poet-refine.Q8_0.gguf"
    quantized = python("-m", "quantize", tmp_path / "out", "-o", gguf, "--type", "Q8_0")
    assert quantized.returncode == 0, quantized.stderr

    hub.put("owner/Poet-Refine-GGUF", {gguf.name: gguf.read_bytes(), "README.md": b"# a poet\n"})
    pulled = python("-m", "augtui", "pull", "hf:owner/Poet-Refine-GGUF")
    assert pulled.returncode == 0, pulled.stderr
    before = len(hub.served)

    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"poem about {subject}"}) + "\n" for subject in SUBJECTS))
    out = tmp_path / "refined.jsonl"
    refined = python(
        "-m", "augtui", "refine", "-m", "poet-refine", "--file", prompts, "-o", out, "--temperature", 0,
        AUGTUI_OFFLINE="1",
    )  # fmt: skip
    assert refined.returncode == 0, refined.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["instruction"] for line in lines] == [f"poem about {subject}" for subject in SUBJECTS]
    assert [line["status"] for line in lines] == ["accepted"] * 4, [line["reason"] for line in lines]
    assert [line["refined"] for line in lines] == [REFINED.format(subject) for subject in SUBJECTS]
    for line in lines:
        assert line["provenance"]["model"] == "poet-refine:Q8_0"
        assert line["provenance"]["model_sha256"] == sha256(gguf.read_bytes())
        assert line["provenance"]["paper_table"] == 9
    assert len(hub.served) == before
