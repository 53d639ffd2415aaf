"""From nothing to the small default model, in one command.

    python -m training.nano.build --data ../shared/data --out build/nano

Writes shards of chats (the rule teacher's), tokenizer/, tokens/, provenance.json, init/ (first weights with the copy
circuit), checkpoint/ (the trained Hugging Face model) and, at the end, the quantized augtui-nano-q8_0.gguf. A part that
is already there is kept; `--resume` goes on training.

What makes a model this small and this briefly trained usable, in the order of their effect:
names, texts and rare words are signs (augtui.domain.delexical), and the kind of a prompt is told, not guessed
(augtui.domain.kinds); the targets carry the user's words over in order (refine.py); induction heads are written into
the first weights (circuit.py); AdamW's epsilon keeps rare tokens' embeddings apart (optim.py); Muon; loss on
completions only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.resources import files
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from training.data import TokenizedChats, tokenize_chats
from training.nano.circuit import write_copy_circuit
from training.nano.sources import FILES, Sources, builtin_sources, load_sources
from training.nano.teacher import stream
from training.nano.tokenizer import train_tokenizer

CONFIG: dict[str, Any] = {
    "vocab_size": 8192, "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 512, "tie_word_embeddings": True, "max_position_embeddings": 2048,
    "rope_theta": 1e7, "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0, "augtui_prompts": "hinted",
}  # fmt: skip
"""4.5 M parameters: what two CPU cores can train in an hour. `augtui_prompts` tells augtui how to ask it."""
MAX_LENGTH = 512
SHARDS = 16
"""Parts of the chats that are made side by side; their number is part of what the seed means."""
TOKENIZER_CHATS, TOKENIZER_SENTENCES, TOKENIZER_SENTENCES_ZH = 16_000, 30_000, 20_000
FILE_NAME = "augtui-nano-q8_0.gguf"
NAME = "augtui-nano"
"""What the file calls the model."""


@cache
def _sources(data: Path | None, more: str | None = None) -> Sources:
    sources = builtin_sources() if data is None else load_sources(data)
    return sources.with_own(Path(more)) if more else sources


def write_shard(data: Path | None, out: Path, seed: int, shard: int, count: int, more: str | None) -> Path:
    """Write one part of the teacher's chats as JSON lines, unless it is there; returns its path."""
    path = out / f"chats-{shard:02}.jsonl"
    if path.exists():
        return path
    sources = _sources(data, more)
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", encoding="utf-8") as lines:
        for chat in stream(sources, seed * SHARDS + shard, count, shard / SHARDS, (shard + 1) / SHARDS):
            lines.write(json.dumps(chat, ensure_ascii=False) + "\n")
    unfinished.replace(path)
    return path


def _tokenizer_texts(shards: list[Path], sources: Sources) -> Iterator[str]:
    for shard in shards:
        with shard.open(encoding="utf-8") as lines:
            for line in islice(lines, TOKENIZER_CHATS // len(shards)):
                yield from (message["content"] for message in json.loads(line)["messages"][1:])
    yield from sources.sentences[:TOKENIZER_SENTENCES]
    yield from sources.sentences_zh[:TOKENIZER_SENTENCES_ZH]


def tokenize_shard(shard: Path, tokenizer: Path) -> tuple[TokenizedChats, int]:
    """Return a part's chats as token arrays, and how many were too long."""
    return tokenize_chats(shard, AutoTokenizer.from_pretrained(tokenizer), MAX_LENGTH)


def _digests(paths: list[Path]) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def write_tokens(options: argparse.Namespace, out: Path) -> None:
    """Make the chats, the tokenizer and the token arrays."""
    tokenizer = options.tokenizer
    more = None if options.own is None else str(options.own)
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        count = -(-options.chats // SHARDS)
        made = [pool.submit(write_shard, options.data, out, options.seed, i, count, more) for i in range(SHARDS)]
        shards = [future.result() for future in made]
        if not tokenizer.exists():
            sources = _sources(options.data)
            train_tokenizer(_tokenizer_texts(shards, sources), CONFIG["vocab_size"], tokenizer)
        parts = list(pool.map(tokenize_shard, shards, [tokenizer] * SHARDS))
    arrays = [part for part, _ in parts]
    starts = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(part.starts) for part in arrays]))])
    whole = TokenizedChats(
        np.concatenate([part.ids for part in arrays]), np.concatenate([part.trained for part in arrays]), starts
    )
    whole.save(out / "tokens")
    provenance = {
        "seed": options.seed, "chats": len(whole), "tokens": len(whole.ids), "trained_tokens": int(whole.trained.sum()),
        "too_long": sum(skipped for _, skipped in parts), "config": CONFIG, "own": more,
        "sources": _digests([options.data / name for name in FILES] if options.data else []),
        "shards": _digests(shards),
    }  # fmt: skip
    (out / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
    print(f"{len(whole):,} chats, {len(whole.ids):,} tokens", file=sys.stderr)


def write_initial_model(tokenizer_folder: Path, seed: int, out: Path) -> None:
    """Write the first weights: random, with the copy circuit set."""
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(Qwen2Config(**CONFIG))
    write_copy_circuit(model, seed)
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(out)


def unpack(start: str, out: Path) -> None:
    """Write a trained model as a checkpoint folder to go on from: `default`, a GGUF file or a checkpoint folder."""
    path = Path(str(files("augtui").joinpath("models", "bundled", FILE_NAME))) if start == "default" else Path(start)
    name = {"gguf_file": path.name} if path.suffix == ".gguf" else {}
    folder = path.parent if name else path
    loaded = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32, **name)
    config = loaded.config.to_dict()
    config.pop("quantization_config", None)
    config["augtui_prompts"] = CONFIG["augtui_prompts"]  # as all chats of the teacher are
    # A model that was read from a GGUF file counts as quantized and is not written; its weights are plain fp32.
    model = Qwen2ForCausalLM(Qwen2Config(**config))
    model.load_state_dict(loaded.state_dict())
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(folder, **name).save_pretrained(out)


def has_bf16() -> bool:
    """Say whether this CPU multiplies bf16 numbers in hardware (Linux); elsewhere fp32 is the safe choice."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def train_command(options: argparse.Namespace, model: Path, to: Path, rate: float, decay: float) -> list[str]:
    """Return the trainer's command line; `rate` is Muon's, AdamW has a fifth of it."""
    length = ("--minutes", str(options.minutes)) if options.minutes else ("--epochs", str(options.epochs))
    return [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(options.processes),
        "-m", "training.sft", "--data", str(options.out / "tokens"), "--model", str(model), "--out", str(to),
        *length, "--in-order", "--optimizer", "muon", "--lr", str(rate),
        "--vector-lr", str(rate / 5), "--warmup", "0.03", "--decay", str(decay), "--batch-tokens", "2048",
        "--threads", "1", "--seed", str(options.seed), "--save-minutes", "5",
        "--precision", "bf16" if has_bf16() else "auto",
    ]  # fmt: skip


RATE, DECAY = 0.010, 0.7
"""Muon's peak learning rate, and the share of the training in which it falls."""
FURTHER_RATE, FURTHER_DECAY = 0.002, 0.9
"""For a model that has learned before."""


def main(argv: list[str] | None = None) -> int:
    """Build every part that is absent, train and quantize; returns the exit code of what failed, or 0."""
    parser = argparse.ArgumentParser(prog="python -m training.nano.build", description="Build the default model.")
    parser.add_argument("--data", type=Path, help="the shared data folder; without it, the teacher's own forms alone")
    parser.add_argument("--out", type=Path, required=True)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=float, default=1.0, help="passes over the chats: the same on every machine")
    length.add_argument("--minutes", type=float, help="training time instead")
    parser.add_argument("--chats", type=int, default=160_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2, help="processes that share the training, one a core")
    parser.add_argument("--own", type=Path, help="JSONL of your own examples: {task, instruction, output}")
    parser.add_argument("--start", help="train this further: `default`, a GGUF file or a checkpoint folder")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    options = parser.parse_args(argv)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    init = out / "init"
    if options.start and not (init / "model.safetensors").exists():
        unpack(options.start, init)
    options.tokenizer = init if options.start else out / "tokenizer"
    if not (out / "tokens/starts.npy").exists():
        write_tokens(options, out)
    if not (init / "model.safetensors").exists():
        write_initial_model(out / "tokenizer", options.seed, init)
    checkpoint = out / "checkpoint"
    if not (checkpoint / "done").exists():
        command = train_command(
            options, init, checkpoint, *((FURTHER_RATE, FURTHER_DECAY) if options.start else (RATE, DECAY))
        )
        if options.resume and (checkpoint / "state.pt").exists():
            command.append("--resume")
        if code := subprocess.run(command, check=False).returncode:
            return code
        (checkpoint / "done").touch()
    quantize = [
        sys.executable, "-m", "quantize", str(checkpoint), "-o", str(out / FILE_NAME), "--type", "Q8_0",
        "--name", NAME if options.start is None else f"{NAME}, trained further",
    ]  # fmt: skip
    return subprocess.run(quantize, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
