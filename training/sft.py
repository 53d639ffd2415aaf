"""Supervised fine-tuning of a Qwen2 model on chats, from scratch or continued, on a CPU or one GPU.

    python -m training.sft --data chats.jsonl --model Qwen2-1.5B-Instruct --out checkpoint --epochs 3
    python -m training.sft --data tokens/ --init config.json --tokenizer tok/ --out checkpoint --minutes 75
    torchrun --standalone --nproc-per-node 2 -m training.sft …   one process a GPU, or a CPU core

The output folder is a Hugging Face checkpoint (safetensors, tokenizer, generation_config.json) with
`events.jsonl` (one line a report: step, loss, lr, tokens per second) and `state.pt`, from which `--resume` goes on.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM

from training.data import TokenizedChats, batch_rows, collate, tokenize_chats
from training.losses import completion_loss
from training.optim import build_optimizers


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the command line's options; exits with a usage message when they do not fit."""
    parser = argparse.ArgumentParser(prog="python -m training.sft", description="Supervised fine-tuning on chats.")
    parser.add_argument("--data", type=Path, required=True, help="chat .jsonl, or a folder of token arrays")
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("--model", type=Path, help="checkpoint folder to continue from")
    start.add_argument("--init", type=Path, help="config.json of a model to train from scratch")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer folder (default: the --model folder)")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint folder to write")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="wall-clock budget, at whose end the schedule is annealed")
    length.add_argument("--steps", type=int, help="optimizer steps (reproducible to the bit on one machine)")
    length.add_argument("--epochs", type=float, help="passes over the data")
    parser.add_argument("--batch-tokens", type=int, default=4096, help="padded tokens a step")
    parser.add_argument("--max-length", type=int, default=1024, help="longer chats are left out")
    parser.add_argument("--in-order", action="store_true", help="keep the file's order (a curriculum)")
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="adamw")
    parser.add_argument("--lr", type=float, default=1e-5, help="learning rate of the matrices")
    parser.add_argument("--vector-lr", type=float, help="of embeddings, norms and biases (default: --lr)")
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--warmup", type=float, default=0.02, help="share of the run")
    parser.add_argument("--decay", type=float, default=0.4, help="share of the run in which lr falls to zero")
    parser.add_argument("--until", type=float, default=1.0, help="share of the run after which to stop, not annealed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (0: torch's choice)")
    parser.add_argument(
        "--precision", choices=("auto", "fp32", "bf16"), default="auto",
        help="of the products (auto: bf16 on a GPU, fp32 on a CPU; bf16 pays on CPUs with avx512_bf16 or amx)",
    )  # fmt: skip
    parser.add_argument("--compile", action="store_true", help="torch.compile the model body")
    parser.add_argument("--save-minutes", type=float, default=10.0, help="minutes between checkpoints")
    parser.add_argument("--log-steps", type=int, default=10)
    parser.add_argument("--resume", action="store_true", help="go on from --out's last checkpoint")
    return parser.parse_args(argv)


def learning_rate_factor(progress: float, warmup: float, decay: float) -> float:
    """Return the share of the peak learning rate at `progress` (0 to 1): warm-up, stable, 1 - sqrt decay.

    The schedule is WSD's (Hägele et al. 2024, arXiv:2405.18392), whose decay can start whenever time is short.
    """
    if progress < warmup:
        return max(progress, 1e-4) / warmup
    if progress > 1 - decay:
        return 1 - math.sqrt(min(1.0, (progress - (1 - decay)) / decay))
    return 1.0


def load_model(options: argparse.Namespace, device: torch.device) -> Qwen2ForCausalLM:
    """Return the model, its weights in fp32, from scratch or from a folder."""
    torch.manual_seed(options.seed)
    source = options.out if options.resume else options.model
    if source is None:
        config = Qwen2Config(**json.loads(options.init.read_text()))
        return Qwen2ForCausalLM(config).to(device)
    return Qwen2ForCausalLM.from_pretrained(source, dtype=torch.float32).to(device)


def load_chats(options: argparse.Namespace, tokenizer: PreTrainedTokenizerBase | None) -> TokenizedChats:
    """Return the training chats, tokenizing a .jsonl; raises ValueError when there is no tokenizer to do it."""
    if options.data.is_dir():
        return TokenizedChats.load(options.data)
    if tokenizer is None:
        raise ValueError("a .jsonl needs --tokenizer or --model")
    chats, skipped = tokenize_chats(options.data, tokenizer, options.max_length)
    print(f"{len(chats)} chats, {skipped} left out as longer than {options.max_length} tokens", file=sys.stderr)
    return chats


def endless_rows(chats: TokenizedChats, options: argparse.Namespace, skip: int) -> Iterator[list[int]]:
    """Yield batches epoch after epoch, deterministic by seed, leaving out the first `skip` (already trained on)."""
    epoch = 0
    while True:
        for rows in batch_rows(chats, options.batch_tokens, options.seed + epoch, options.in_order):
            if skip > 0:
                skip -= 1
            else:
                yield rows
        epoch += 1


def save_checkpoint(
    model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerBase | None, out: Path, state: dict[str, Any]
) -> None:
    """Write a complete Hugging Face checkpoint and the state to resume from; each file replaces the last whole."""
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    if tokenizer is not None:
        tokenizer.save_pretrained(out)
        ends = [tokenizer.eos_token_id, tokenizer.pad_token_id]
        GenerationConfig(
            eos_token_id=[i for i in ends if i is not None], pad_token_id=tokenizer.pad_token_id
        ).save_pretrained(out)
    part = out / "state.pt.part"
    torch.save(state, part)
    part.replace(out / "state.pt")


def average_over_ranks(parameters: list[Tensor], numbers: list[float], ranks: int) -> list[float]:
    """Average all gradients, in place, and a few numbers over the ranks in one exchange; return the numbers."""
    if ranks == 1:
        return numbers
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([*(g.flatten() for g in gradients), torch.tensor(numbers, device=gradients[0].device)])
    dist.all_reduce(flat)
    flat /= ranks
    begin = 0
    for gradient in gradients:
        gradient.copy_(flat[begin : begin + gradient.numel()].view_as(gradient))
        begin += gradient.numel()
    return [float(number) for number in flat[begin:]]


def train(options: argparse.Namespace) -> float:
    """Train as the options say, write the checkpoint, and return the last reported loss in nats a token."""
    if options.threads:
        torch.set_num_threads(options.threads)
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        if torch.cuda.is_available()
        else torch.device("cpu")
    )
    if ranks > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    torch.set_float32_matmul_precision("high")
    folder = options.tokenizer or options.model
    tokenizer: Any = AutoTokenizer.from_pretrained(folder) if folder else None
    chats = load_chats(options, tokenizer)
    model = load_model(options, device)
    body = torch.compile(model.model, dynamic=True) if options.compile else model.model
    is_half = options.precision == "bf16" or (options.precision == "auto" and device.type == "cuda")
    optimizers = build_optimizers(
        model, options.optimizer, options.lr, options.vector_lr or options.lr, options.weight_decay, half=is_half
    )
    parameters = list(model.parameters())
    peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]

    step, tokens, elapsed = 0, 0, 0.0
    if options.resume:
        state = torch.load(options.out / "state.pt", map_location=device, weights_only=True)
        step, tokens, elapsed = state["step"], state["tokens"], state["elapsed"]
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
    total_steps = options.steps
    if options.epochs is not None:
        per_epoch = sum(1 for _ in batch_rows(chats, options.batch_tokens, options.seed, options.in_order))
        total_steps = max(1, round(options.epochs * per_epoch / ranks))

    options.out.mkdir(parents=True, exist_ok=True)
    started = last_save = time.monotonic() - elapsed
    last_save += elapsed
    reported = (time.monotonic(), tokens)
    window: list[float] = []
    loss_value = math.nan
    progress = 0.0
    events_path = options.out / "events.jsonl" if rank == 0 else Path(os.devnull)
    with events_path.open("a", encoding="utf-8") as events:
        for rows in islice(endless_rows(chats, options, step * ranks), rank, None, ranks):
            if options.steps or options.epochs:
                progress = step / total_steps
            if progress >= options.until:
                break
            factor = learning_rate_factor(progress, options.warmup, options.decay)
            for optimizer, lrs in zip(optimizers, peaks, strict=True):
                for group, peak in zip(optimizer.param_groups, lrs, strict=True):
                    group["lr"] = peak * factor

            batch = collate(chats, rows)
            inputs, labels = batch.inputs.to(device), batch.labels.to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=is_half):
                hidden = body(input_ids=inputs, use_cache=False).last_hidden_state
                loss, _ = completion_loss(hidden, model.lm_head.weight, labels)
            loss.backward()
            now = time.monotonic() - started
            # Every rank must see the same clock, or they would stop at different steps.
            seen = float(sum(int(chats.starts[r + 1] - chats.starts[r]) for r in rows))
            value, seen, now = average_over_ranks(parameters, [loss.item(), seen, now], ranks)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

            step += 1
            tokens += round(seen * ranks)
            window.append(value)
            if options.minutes:
                progress = now / (60 * options.minutes)
            if step % options.log_steps == 0:
                loss_value = sum(window) / len(window)
                now, rate = time.monotonic(), 0.0
                rate = (tokens - reported[1]) / max(now - reported[0], 1e-9)
                event = {
                    "event": "step",
                    "step": step,
                    "loss": round(loss_value, 4),
                    "lr": peaks[0][0] * factor,
                    "tokens": tokens,
                    "tokens_per_second": round(rate, 1),
                    "elapsed_s": round(now - started, 1),
                    "progress": round(progress, 4),
                }
                print(json.dumps(event), file=events, flush=True)
                if rank == 0:
                    print(f"step {step} loss {loss_value:.3f} {rate:.0f} tok/s {progress:.1%}", file=sys.stderr)
                reported, window = (now, tokens), []
            if rank == 0 and time.monotonic() - last_save > 60 * options.save_minutes:
                last_save = time.monotonic()
                save_checkpoint(model, tokenizer, options.out, _state(step, tokens, started, optimizers))
        if window:
            loss_value = sum(window) / len(window)
        if rank == 0:
            save_checkpoint(model, tokenizer, options.out, _state(step, tokens, started, optimizers))
        done = {
            "event": "done",
            "step": step,
            "loss": round(loss_value, 4),
            "tokens": tokens,
            "elapsed_s": round(time.monotonic() - started, 1),
        }
        print(json.dumps(done), file=events, flush=True)
    if ranks > 1:
        dist.barrier()
        dist.destroy_process_group()
    return loss_value


def _state(step: int, tokens: int, started: float, optimizers: list[torch.optim.Optimizer]) -> dict[str, Any]:
    """Return what `--resume` needs besides the weights."""
    return {
        "step": step,
        "tokens": tokens,
        "elapsed": time.monotonic() - started,
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
    }


def main(argv: list[str] | None = None) -> int:
    """Run the trainer; an input that does not fit is one line on stderr and exit code 2."""
    # On a CPU every shape of a batch gets kernels of its own, of which oneDNN keeps a thousand by itself: 4.7 GB after
    # 1,500 steps of a 4.5 M model, against 1.6 GB with 64.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    try:
        train(parse_arguments(argv))
    except (ValueError, FileNotFoundError) as error:
        print(f"training.sft: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
