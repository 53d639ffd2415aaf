"""How well the small model refines and expands prompts that its training never saw, before any guard.

    python -m training.nano.evaluate CHECKPOINT --data ../shared/data --show 20

Refining is judged by augtui's own guard at its strictest level: which share of outputs passes, and what the others
lost. Prompts: Self-Instruct's user-oriented tasks (with their input) and EasyDistill's 30 seed instructions.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import AutoTokenizer, Qwen2ForCausalLM

from augtui.domain.guard import Strictness, guard
from augtui.domain.templates import load

LONGEST = 400
"""Tokens of an answer; one that reaches it has gone astray."""


def held_out_prompts(data: Path, count: int, seed: int) -> list[str]:
    """Return the 30 EasyDistill prompts and, up to `count`, user-oriented ones of at most 900 characters."""
    path = data / "seeds/easydistill_seed_instructions_30.jsonl"
    prompts = [json.loads(line)["instruction"] for line in path.read_text(encoding="utf-8").splitlines() if line]
    others = []
    for line in (data / "seeds/self_instruct_user_oriented.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        text = "\n\n".join(part for part in (row["instruction"], row["instances"][0]["input"]) if part)
        if len(text) <= 900:
            others.append(text)
    Random(seed).shuffle(others)
    return (prompts + others)[:count]


@torch.inference_mode()
def complete(
    model: Any, tokenizer: Any, chats: list[list[dict[str, str]]], temperature: float, seed: int, batch: int = 16
) -> list[tuple[str, bool]]:
    """Return each chat's completion and whether it came to its end by itself (within `LONGEST` tokens)."""
    torch.manual_seed(seed)
    tokenizer.padding_side = "left"
    order = sorted(range(len(chats)), key=lambda i: len(str(chats[i])))
    answers: dict[int, tuple[str, bool]] = {}
    for begin in range(0, len(order), batch):
        rows = order[begin : begin + batch]
        texts = [tokenizer.apply_chat_template(chats[i], tokenize=False, add_generation_prompt=True) for i in rows]
        inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
        out = model.generate(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=LONGEST, **sampling
        )
        for i, tokens in zip(rows, out[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
            answers[i] = (tokenizer.decode(tokens, skip_special_tokens=True), tokenizer.eos_token_id in tokens)
    return [answers[i] for i in range(len(chats))]


def ask(task: str, prompt: str) -> list[dict[str, str]]:
    """Return the chat that asks for a task as augtui asks it."""
    return [{"role": m.role, "content": m.content} for m in load(task).render(instruction=prompt)]


def evaluate(checkpoint: Path, data: Path, count: int, temperature: float, show: int, seed: int) -> dict[str, Any]:
    """Return the figures of a checkpoint, printing `show` outputs of each task on the way."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = Qwen2ForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    prompts = held_out_prompts(data, count, seed)
    kinds: Counter[str] = Counter()
    levels = {level.value: 0 for level in (Strictness.LENIENT, Strictness.NORMAL, Strictness.STRICT)}
    ended = 0
    refined = complete(model, tokenizer, [ask("refine", p) for p in prompts], temperature, seed)
    for index, (prompt, (answer, end)) in enumerate(zip(prompts, refined, strict=True)):
        ended += end
        for level in levels:
            levels[level] += end and not guard(prompt, answer, Strictness(level))
        violations = guard(prompt, answer, Strictness.STRICT)
        kinds.update({violation.kind for violation in violations})
        if index % max(1, len(prompts) // max(show, 1)) == 0 and show:
            print(f"--- refine: {prompt}\n>>> {answer}\n{'; '.join(map(str, violations)) or 'guard: ok'}")
    asked = prompts[: max(1, count // 2)]
    expanded = [
        answer.strip() for answer, _ in complete(model, tokenizer, [ask("expand", p) for p in asked], temperature, seed)
    ]
    for prompt, answer in list(zip(asked, expanded, strict=True))[:show]:
        print(f"--- expand: {prompt[:150]}\n>>> {answer}")
    return {
        "prompts": len(prompts), "temperature": temperature, "ended": ended / len(prompts),
        **{f"guard {name}": passed / len(prompts) for name, passed in levels.items()},
        "outputs with": {kind: n / len(prompts) for kind, n in kinds.most_common()},
        "expand new": sum(a != p and bool(a) for a, p in zip(expanded, asked, strict=True)) / len(asked),
        "expand distinct": len(set(expanded)) / len(asked),
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Evaluate and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m training.nano.evaluate", description="Evaluate the small model.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the shared data folder")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    figures = evaluate(options.checkpoint, options.data, options.count, options.temperature, options.show, options.seed)
    json.dump(figures, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
