"""One command builds a model from nothing, and another goes on from the default model with one's own examples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.data import TokenizedChats
from training.nano import build


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "SHARDS", 2)


def test_one_s_own_model_goes_on_from_the_default_model(tmp_path: Path) -> None:
    own = tmp_path / "own.jsonl"
    examples = [{"task": "refine", "instruction": f"Fix pump {i}", "output": f"Fix pump {i}. Warn."} for i in range(9)]
    own.write_text("\n".join(map(json.dumps, examples)))
    out = tmp_path / "out"
    command = ["--out", str(out), "--own", str(own), "--start", "default", "--chats", "24", "--minutes", "0.02",
               "--processes", "1"]  # fmt: skip
    assert build.main(command) == 0
    model = out / build.FILE_NAME
    assert model.read_bytes()[:4] == b"GGUF"
    assert 2**20 < model.stat().st_size <= 16 * 2**20
    provenance = json.loads((out / "provenance.json").read_text())
    tokens = TokenizedChats.load(out / "tokens")
    assert provenance["chats"] == len(tokens) == 24
    assert provenance["tokens"] == tokens.starts[-1] == len(tokens.ids)
    assert 0 < provenance["trained_tokens"] < provenance["tokens"]
    assert any("Warn." in line for shard in out.glob("chats-*.jsonl") for line in shard.read_text().splitlines())


def test_the_first_weights_fit_the_shape_and_copy(tmp_path: Path) -> None:
    from training.nano.tokenizer import train_tokenizer

    train_tokenizer(["Explain how tides work."], 300, tmp_path / "tokenizer")
    build.write_initial_model(tmp_path / "tokenizer", 0, tmp_path / "init")
    config = json.loads((tmp_path / "init/config.json").read_text())
    assert {name: config[name] for name in ("hidden_size", "vocab_size", "tie_word_embeddings")} == {
        name: build.CONFIG[name] for name in ("hidden_size", "vocab_size", "tie_word_embeddings")
    }
