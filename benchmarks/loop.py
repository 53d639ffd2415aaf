"""What one would write without augtui: llama-cpp-python's `create_chat_completion`, one prompt after the other.

It runs in a process of its own (`python -m benchmarks.loop`), so that no part warms or burdens another. It has its own
reuse of the prompts' common prefix.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.memory import PeakMemory
from benchmarks.workload import Measured, Workload, openai_messages

CONTEXT = 2048


def measure(work: Workload, cell_bytes: int) -> Measured:
    """Answer the prompts in a loop; loading is not counted."""
    command = [sys.executable, "-m", "benchmarks.loop", "--model", str(work.model)]
    for name in ("prompts", "tokens", "threads"):
        command += [f"--{name}", str(getattr(work, name))]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with child, PeakMemory(child.pid) as memory:
        output, errors = child.communicate()
    if child.returncode:
        raise SystemExit(f"the loop failed: {errors.strip().splitlines()[-1:]}")
    told = json.loads(output.splitlines()[-1])
    return Measured(
        generated_tokens=told["generated_tokens"],
        seconds=told["seconds"],
        decode_tokens_per_second=told["decode_tokens_per_second"],
        prefill_tokens_per_second=told["prefill_tokens_per_second"],
        peak_rss_bytes=memory.peak_bytes,
        cache_bytes=CONTEXT * cell_bytes,
    )


def _run(work: Workload) -> dict[str, Any]:
    import llama_cpp
    from llama_cpp import Llama, _internals

    llama = Llama(str(work.model), n_ctx=CONTEXT, n_threads=work.threads, n_threads_batch=work.threads, verbose=False)
    vocabulary = llama._model.vocab
    ends = [token for token in range(llama.n_vocab()) if llama_cpp.llama_vocab_is_eog(vocabulary, token)]

    add_penalties = _internals.LlamaSampler.add_penalties

    def add_bias_and_penalties(sampler: Any, n_vocab: int, *arguments: Any, **named: Any) -> None:
        sampler.add_logit_bias(n_vocab, dict.fromkeys(ends, float("-inf")))
        add_penalties(sampler, n_vocab, *arguments, **named)

    # The argument `logit_bias` would do so too, but in Python, over the whole vocabulary for each token.
    _internals.LlamaSampler.add_penalties = add_bias_and_penalties
    tokens = 0
    started = time.perf_counter()
    for request in work.requests():
        answer: Any = llama.create_chat_completion(
            openai_messages(request.messages),
            max_tokens=work.tokens,
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            top_k=request.sampling.top_k,
            min_p=0.0,
            repeat_penalty=1.0,
            seed=request.seed,
        )
        tokens += answer["usage"]["completion_tokens"]
    seconds = time.perf_counter() - started
    spent = llama_cpp.llama_perf_context(llama.ctx)
    return {
        "generated_tokens": tokens,
        "seconds": seconds,
        "decode_tokens_per_second": 1000 * spent.n_eval / spent.t_eval_ms if spent.t_eval_ms else None,
        "prefill_tokens_per_second": 1000 * spent.n_p_eval / spent.t_p_eval_ms if spent.t_p_eval_ms else None,
    }


def main() -> None:
    """Measure in this process and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop")
    parser.add_argument("--model", type=Path, required=True)
    for name in ("prompts", "tokens", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    print(json.dumps(_run(Workload(options.model, options.prompts, options.tokens, options.threads))))


if __name__ == "__main__":
    main()
