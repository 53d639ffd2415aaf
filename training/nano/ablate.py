"""Small ablations of the default model's recipe: the same minutes for each variant, judged on chats kept aside.

    python -m training.nano.ablate --build build/nano --data ../shared/data --minutes 2

On a machine that does other work besides, equal minutes are not equal: `--steps 150` compares equal batches instead.
Needs the chats of a build. The figure is the mean loss of the answers in nats a character (a token of another
vocabulary is another unit), for refinement and expansion, on chats of another seed. It is one seed and a few minutes,
whose order may not be that of an hour.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from training.data import TokenizedChats, collate, encode_chat, tokenize_chats
from training.losses import IGNORE
from training.nano.build import CONFIG, MAX_LENGTH, has_bf16
from training.nano.circuit import write_copy_circuit
from training.nano.sources import load_sources
from training.nano.teacher import stream
from training.nano.tokenizer import train_tokenizer

KEPT_ASIDE_SEED, KEPT_ASIDE = 987_654, 240
CHATS = 30_000


@dataclass(frozen=True)
class Variant:
    """One change of the recipe: of the model's shape, the trainer's options, or what comes before."""

    name: str
    config: dict[str, Any] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    has_circuit: bool = True
    pretrained: float = 0.0
    """Share of the minutes given to language modelling on the corpora."""


VARIANTS = (
    Variant("the recipe (4.5 M, 8k, Muon)"),
    Variant("AdamW alone", options={"--optimizer": "adamw", "--lr": "0.002", "--vector-lr": "0.002"}),
    Variant("no copy circuit", has_circuit=False),
    Variant("rotary base 1e4", {"rope_theta": 1e4}),
    Variant("vocabulary 4k", {"vocab_size": 4096}),
    Variant("vocabulary 16k", {"vocab_size": 16384}),
    Variant("12 M: hidden 384, 5 layers", {"hidden_size": 384, "num_hidden_layers": 5, "intermediate_size": 1024}),
    Variant("half of the minutes on the corpora first", pretrained=0.5),
)


@dataclass(frozen=True)
class Length:
    """How long each variant is trained: so many steps, or else so many minutes."""

    minutes: float
    steps: int | None = None

    def options(self, share: float) -> tuple[str, str]:
        """Return the trainer's options for a share of it."""
        if self.steps is not None:
            return "--steps", str(max(1, round(self.steps * share)))
        return "--minutes", str(self.minutes * share)


def answer_losses(model: Qwen2ForCausalLM, tokenizer: Any, chats: list[dict[str, Any]]) -> dict[str, float]:
    """Return the mean loss of the answers in nats a character, by task (refine, expand, pairs)."""
    totals: dict[str, list[float]] = {}
    for chat in chats:
        messages = chat["messages"]
        ids, mask = encode_chat(tokenizer, messages)
        array = TokenizedChats(np.asarray(ids), np.asarray(mask), np.asarray([0, len(ids)]))
        batch = collate(array, [0], multiple=1)
        with torch.inference_mode():
            logits = model(input_ids=batch.inputs).logits[0].float()
        loss = torch.nn.functional.cross_entropy(logits, batch.labels[0], ignore_index=IGNORE, reduction="sum")
        task = next(name for name in ("refine", "expand", "continue") if name in messages[0]["content"])
        total = totals.setdefault(task, [0.0, 0.0])
        total[0] += float(loss)
        total[1] += len(messages[-1]["content"])
    return {task: loss / length for task, (loss, length) in sorted(totals.items())}


def corpus_tokens(tokenizer: Any, sentences: list[str], count: int = 20_000) -> TokenizedChats:
    """Return neighbouring sentences as token rows that are trained on from end to end."""
    rows = [tokenizer.encode(" ".join(sentences[i : i + 6]))[:400] for i in range(0, min(len(sentences), count * 6), 6)]
    ids = np.concatenate([np.asarray(row, dtype=np.int32) for row in rows])
    return TokenizedChats(ids, np.ones(len(ids), dtype=np.bool_), np.cumsum([0, *map(len, rows)]))


def _train(
    tokens: Path, init: Path, out: Path, length: Length, share: float, options: dict[str, str]
) -> dict[str, Any]:
    wanted = {
        "--optimizer": "muon", "--lr": "0.01", "--vector-lr": "0.002", "--batch-tokens": "2048", "--threads": "1",
        "--decay": "0.5", "--precision": "bf16" if has_bf16() else "auto", "--save-minutes": "999", **options,
    }  # fmt: skip
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "training.sft",
        "--data", str(tokens), "--model", str(init), "--out", str(out), *length.options(share), "--in-order",
        *(part for pair in wanted.items() for part in pair),
    ]  # fmt: skip
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    done: dict[str, Any] = json.loads((out / "events.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    return done


def run(variant: Variant, build: Path, data: Path, length: Length, work: Path) -> dict[str, Any]:
    """Train one variant and return its figures."""
    config = {**CONFIG, **variant.config}
    folder = work / variant.name.split(":")[0].replace(" ", "-").strip("()")
    folder.mkdir(parents=True, exist_ok=True)
    shards = sorted(build.glob("chats-*.jsonl"))
    some = folder / "chats.jsonl"
    with some.open("w", encoding="utf-8") as lines:
        for shard in shards:
            with shard.open(encoding="utf-8") as source:
                lines.writelines(islice(source, CHATS // len(shards)))
    tokenizer_folder = build / "tokenizer"
    if config["vocab_size"] != CONFIG["vocab_size"]:
        tokenizer_folder = folder / "tokenizer"
        texts = (m["content"] for line in some.open(encoding="utf-8") for m in json.loads(line)["messages"][1:])
        train_tokenizer(texts, config["vocab_size"], tokenizer_folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenize_chats(some, tokenizer, MAX_LENGTH)[0].save(folder / "tokens")
    torch.manual_seed(0)
    model: Any = Qwen2ForCausalLM(Qwen2Config(**config))
    if variant.has_circuit:
        write_copy_circuit(model, 0)
    init = folder / "init"
    model.save_pretrained(init)
    tokenizer.save_pretrained(init)
    sources = load_sources(data)
    if variant.pretrained:
        corpus_tokens(tokenizer, sources.sentences).save(folder / "corpus")
        _train(folder / "corpus", init, folder / "pretrained", length, variant.pretrained, variant.options)
        init = folder / "pretrained"
    done = _train(folder / "tokens", init, folder / "out", length, 1 - variant.pretrained, variant.options)
    model = Qwen2ForCausalLM.from_pretrained(folder / "out", dtype=torch.float32).eval()
    losses = answer_losses(model, tokenizer, list(stream(sources, KEPT_ASIDE_SEED, KEPT_ASIDE, 0.9, 1.0)))
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    return {"name": variant.name, "parameters": millions, "tokens": done["tokens"], **losses}


def main(argv: list[str] | None = None) -> int:
    """Run the variants one after the other and print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m training.nano.ablate", description="Ablate the recipe.")
    parser.add_argument("--build", type=Path, required=True, help="the folder of a build")
    parser.add_argument("--data", type=Path, required=True, help="the shared data folder")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--steps", type=int, help="optimizer steps of each variant instead of minutes")
    parser.add_argument("--work", type=Path, help="where the variants are trained (default: BUILD/ablations)")
    parser.add_argument("--only", help="variants whose name holds this")
    options = parser.parse_args(argv)
    work = options.work or options.build / "ablations"
    print("| variant | parameters (M) | tokens (M) | refine | expand |\n|---|---|---|---|---|", flush=True)
    for variant in VARIANTS:
        if options.only and options.only not in variant.name:
            continue
        row = run(variant, options.build, options.data, Length(options.minutes, options.steps), work)
        print(
            f"| {row['name']} | {row['parameters']:.1f} | {row['tokens'] / 1e6:.2f} | {row['refine']:.4f} |"
            f" {row['expand']:.4f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
