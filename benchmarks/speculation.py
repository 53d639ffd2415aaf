"""What drafting tokens from the prompt brings to one long refinement at a time, and that it changes no text.

    python -m benchmarks.speculation [--model default] [--prompts 16] [--tokens 512] [--rounds 2]

One slot, greedy, prompts of 300 words and more: the answer repeats much of such a prompt, which is what prompt lookup
drafts from. An engine with drafts and one without take turns prompt by prompt, in the opposite order every other time.
The texts must be the same, one by one; if they are not, the exit code is 1. Rates are of the answers' tokens after the
first one, by the engine's own clock for each answer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from augtui.domain.records import Record
from augtui.domain.tasks import REFINE
from augtui.engines.base import Completion, Request, Sampling
from augtui.engines.client import LocalEngine
from augtui.engines.options import EngineOptions
from augtui.models import catalog
from augtui.pipelines import collect
from augtui.pipelines.bench import machine_facts
from augtui.pipelines.examples import PROMPTS
from benchmarks.batch import spread
from benchmarks.engine import ask

REAL_PROMPTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "seeds" / "self_instruct_user_oriented.jsonl"
"""Self-Instruct's 252 user-oriented instructions (https://arxiv.org/abs/2212.10560), where they are at hand."""
LEAST_WORDS = 300


@dataclass(slots=True)
class Round:
    """All answers of one engine, in the order of the prompts."""

    completions: list[Completion] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def decode_tokens_per_second(self) -> float:
        """Return the rate after each answer's first token."""
        tokens = sum(done.completion_tokens - 1 for done in self.completions)
        return tokens / sum(done.duration_s - done.first_token_s for done in self.completions)

    @property
    def tokens_per_second(self) -> float:
        """Return generated tokens by wall time, prompts and all."""
        return sum(done.completion_tokens for done in self.completions) / self.seconds


def long_prompts(count: int, texts: Sequence[str], least_words: int = LEAST_WORDS) -> list[str]:
    """Return prompts of at least `least_words`, the longest texts first; shorter ones are joined as paragraphs."""
    prompts: list[str] = []
    parts: list[str] = []
    # Round and round, so that a short list of texts suffices; equal lengths stay in their order.
    ordered = sorted(texts, key=lambda text: -len(text.split()))
    place = 0
    while len(prompts) < count:
        parts.append(ordered[place % len(ordered)])
        place += 1
        if sum(len(part.split()) for part in parts) >= least_words:
            prompts.append("\n\n".join(parts))
            parts = []
    return prompts


def texts() -> tuple[str, list[str]]:
    """Return where the texts come from, and the texts."""
    if REAL_PROMPTS.is_file():
        rows = collect.read(REAL_PROMPTS)
        return "Self-Instruct, user-oriented", [row.instruction for row in rows if isinstance(row, Record)]
    return "built-in examples", list(PROMPTS)


def measure(model: Path, requests: Sequence[Request], rounds: int, threads: int | None) -> dict[bool, list[Round]]:
    """Answer each prompt with drafts and without, one after the other; loading and a warm-up are not counted."""
    done: dict[bool, list[Round]] = {False: [], True: []}
    with ExitStack() as stack:
        engines = {}
        for speculate in done:
            engines[speculate] = LocalEngine(model, EngineOptions(slots=1, threads=threads, speculate=speculate))
            stack.callback(engines[speculate].close)
            ask(engines[speculate], [replace(requests[0], sampling=Sampling(temperature=0, max_tokens=8))])
        for number in range(rounds):
            for speculate in done:
                done[speculate].append(Round())
            for place, request in enumerate(requests):
                for speculate in (False, True) if (number + place) % 2 == 0 else (True, False):
                    answers = ask(engines[speculate], [request])
                    done[speculate][-1].completions += answers.completions
                    done[speculate][-1].seconds += answers.seconds
            rates = [f"{done[each][-1].decode_tokens_per_second:,.1f}" for each in done]
            print(f"round {number + 1}: decode {rates[0]} tok/s without, {rates[1]} with drafts", file=sys.stderr)
    return done


def main() -> int:
    """Measure and print; returns 1 if a text differs."""
    options = _options()
    model = catalog.resolve(options.model).path
    origin, found = texts()
    prompts = long_prompts(options.prompts, found)
    sampling = Sampling(temperature=0, max_tokens=options.tokens, ignore_eos=options.ignore_eos)
    requests = [
        Request(str(number), REFINE.render(Record(text), "specialised"), 0, sampling)
        for number, text in enumerate(prompts)
    ]
    rounds = measure(model, requests, options.rounds, options.threads)
    report = _report(rounds)
    report |= {
        "model": options.model,
        "machine": machine_facts(),
        "prompts": len(prompts),
        "words": [len(prompt.split()) for prompt in prompts],
        "texts": origin,
    }
    if options.json:
        print(json.dumps(report))
    else:
        _print(report)
    return 0 if report["identical"] == report["compared"] else 1


def _report(rounds: dict[bool, list[Round]]) -> dict[str, Any]:
    plain, drafted = rounds[False], rounds[True]
    pairs = [
        (one.text, other.text)
        for without, with_drafts in zip(plain, drafted, strict=True)
        for one, other in zip(without.completions, with_drafts.completions, strict=True)
    ]
    proposed = sum(done.drafted_tokens for each in drafted for done in each.completions)
    confirmed = sum(done.confirmed_tokens for each in drafted for done in each.completions)
    decode = [
        with_drafts.decode_tokens_per_second / without.decode_tokens_per_second
        for without, with_drafts in zip(plain, drafted, strict=True)
    ]
    overall = [
        with_drafts.tokens_per_second / without.tokens_per_second
        for without, with_drafts in zip(plain, drafted, strict=True)
    ]
    return {
        "decode_ratio": spread(decode, digits=3),
        "overall_ratio": spread(overall, digits=3),
        "decode_tokens_per_second": {
            "without": spread([each.decode_tokens_per_second for each in plain]),
            "with": spread([each.decode_tokens_per_second for each in drafted]),
        },
        "generated_tokens": sum(done.completion_tokens for done in drafted[0].completions),
        "prompt_tokens": statistics.mean(done.prompt_tokens for done in drafted[0].completions),
        "drafted_tokens": proposed,
        "confirmed_tokens": confirmed,
        "acceptance": round(confirmed / proposed, 4) if proposed else None,
        "finish_reasons": dict(Counter(done.finish_reason for done in drafted[0].completions)),
        "compared": len(pairs),
        "identical": sum(one == other for one, other in pairs),
    }


def _print(report: dict[str, Any]) -> None:
    words = report["words"]
    rates, decode, overall = report["decode_tokens_per_second"], report["decode_ratio"], report["overall_ratio"]
    acceptance = report["acceptance"]
    share = "nothing was drafted" if acceptance is None else f"{acceptance:.1%}"
    print(f"{report['model']} · {report['prompts']} prompts of {min(words)} to {max(words)} words ({report['texts']})")
    print(f"decode: {rates['without']['median']:,.1f} tok/s without, {rates['with']['median']:,.1f} with drafts")
    print(f"ratio: decode {_range(decode)}, overall {_range(overall)}")
    print(f"acceptance: {share} ({report['confirmed_tokens']} of {report['drafted_tokens']} drafted tokens)")
    ends = ", ".join(f"{reason} {count}" for reason, count in report["finish_reasons"].items())
    print(f"answers: {report['generated_tokens']} tokens in a round, ended by {ends}")
    print(f"identical texts: {report['identical']} of {report['compared']}")


def _range(ratio: dict[str, Any]) -> str:
    return f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speculation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="default")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=512, help="longest answer")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--ignore-eos", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
