"""From nothing to the small default model, in one command.

    python -m training.nano.build --data ../shared/data --out build/nano --minutes 75

Writes chats.jsonl (the rule teacher's), tokenizer/, tokens/, config.json, init/ (first weights with the copy circuit)
and checkpoint/ (the trained Hugging Face model). A part that is already there is kept; `--resume` goes on training.

What makes a model this small and this briefly trained usable, in the order of their effect:
the targets carry the user's words over in order (teacher.py); induction heads are written into the first weights
(circuit.py); AdamW's epsilon keeps rare tokens' embeddings apart (optim.py); Muon; loss on completions only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from training.data import tokenize_chats
from training.nano.circuit import write_copy_circuit
from training.nano.sources import Sources, load_sources
from training.nano.teacher import stream
from training.nano.tokenizer import train_tokenizer

VOCABULARY = 4096
CONFIG = {
    "vocab_size": VOCABULARY, "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 704, "tie_word_embeddings": True, "max_position_embeddings": 2048,
    "rope_theta": 10000.0, "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
"""3.7 M parameters: what two CPU cores can train in an hour."""
MAX_LENGTH = 640


def write_chats(sources: Sources, seed: int, count: int, out: Path) -> None:
    """Write the teacher's chats as JSON lines."""
    with out.open("w", encoding="utf-8") as lines:
        for chat in stream(sources, seed, count):
            lines.write(json.dumps(chat, ensure_ascii=False) + "\n")


def _tokenizer_texts(chats: Path, sources: Sources) -> Iterator[str]:
    with chats.open(encoding="utf-8") as lines:
        for line in islice(lines, 12_000):
            yield from (message["content"] for message in json.loads(line)["messages"][1:])
    yield from sources.sentences[:40_000]


def write_initial_model(tokenizer_folder: Path, seed: int, out: Path) -> None:
    """Write the first weights: random, with the copy circuit set."""
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(Qwen2Config(**CONFIG))
    write_copy_circuit(model, seed)
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(out)


def main(argv: list[str] | None = None) -> int:
    """Build every part that is absent, then train; returns the trainer's exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.nano.build", description="Build the default model.")
    parser.add_argument("--data", type=Path, required=True, help="the shared data folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=75.0, help="training time")
    parser.add_argument("--chats", type=int, default=66_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2, help="processes that share the training, one a core")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    options = parser.parse_args(argv)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    chats, tokenizer, tokens, init = (out / name for name in ("chats.jsonl", "tokenizer", "tokens", "init"))
    if not (tokens / "starts.npy").exists():
        sources = load_sources(options.data)
        write_chats(sources, options.seed, options.chats, chats)
        train_tokenizer(_tokenizer_texts(chats, sources), VOCABULARY, tokenizer)
        arrays, skipped = tokenize_chats(chats, AutoTokenizer.from_pretrained(tokenizer), MAX_LENGTH)
        arrays.save(tokens)
        print(f"{len(arrays)} chats, {len(arrays.ids):,} tokens, {skipped} too long", file=sys.stderr)
    if not (init / "model.safetensors").exists():
        write_initial_model(tokenizer, options.seed, init)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(options.processes),
        "-m", "training.sft", "--data", str(tokens), "--model", str(init), "--out", str(out / "checkpoint"),
        "--minutes", str(options.minutes), "--in-order", "--optimizer", "muon", "--lr", "0.01", "--vector-lr", "0.002",
        "--batch-tokens", "2048", "--threads", "1", "--seed", str(options.seed), "--save-minutes", "6",
        "--decay", "0.5",
    ]  # fmt: skip
    if options.resume:
        command.append("--resume")
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
