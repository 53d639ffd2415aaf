"""How long dedupe by ROUGE-L takes, against the package `rouge_score` and against a plain loop, in one run.

    python -m benchmarks.dedupe ../shared/data/evaluate/alpaca_52k.json.xz

Three ways to the same keep-list (first come, first kept, at 0.7), on the first SAMPLE rows, in turns a b c, c b a:

    a  augtui: `augtui.pipelines.dedupe`
    b  a loop over the kept rows, each pair by rapidfuzz's bit-parallel LCS
    c  a loop over the kept rows, each pair by `rouge_score.scoring`'s LCS table (`pip install rouge-score`), given
       the same tokens, because its own tokenizer drops what is not ASCII; the texts are tokenized once, which
       `rouge_score` itself would do for every pair

c is measured on SLOW rows, and compared with a and b on as many. Then a on all rows. That the keep-lists are equal is
checked, not assumed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence

from rapidfuzz.distance import LCSseq

from augtui.domain.records import Record
from augtui.metrics.similarity import tokens
from augtui.pipelines import collect, dedupe
from augtui.pipelines.bench import machine_facts

THRESHOLD = 0.7
Likeness = Callable[[Sequence[str], Sequence[str]], float]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dedupe", description=__doc__.split("\n")[0])
    parser.add_argument("file")
    parser.add_argument("--sample", type=int, default=3000)
    parser.add_argument("--slow", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    records = [row for row in collect.read(options.file) if isinstance(row, Record)]
    ratios = {
        "loop": measured(records[: options.sample], bit_parallel, options.rounds),
        "rouge_score": measured(records[: options.slow], rouge_score(), options.rounds),
    }
    whole = []
    kept = 0
    for _ in range(options.rounds):
        seconds, keep = timed(lambda: ours(records))
        whole.append(seconds)
        kept = sum(keep)
    result = {
        "machine": machine_facts(),
        "file": {"rows": len(records), "kept": kept, "seconds": spread(whole)},
        "against": ratios,
    }
    print(json.dumps(result, indent=1))


def measured(records: Sequence[Record], likeness: Likeness, rounds: int) -> dict[str, object]:
    """Return the seconds of augtui and of a loop on the same rows, and their ratio by round."""
    mine: list[float] = []
    theirs: list[float] = []
    for number in range(rounds):
        parts = [(mine, lambda: ours(records)), (theirs, lambda: loop(records, likeness))]
        found = []
        for times, work in parts if number % 2 == 0 else parts[::-1]:
            seconds, keep = timed(work)
            times.append(seconds)
            found.append(keep)
        if found[0] != found[1]:
            raise SystemExit("the keep-lists differ")
    return {
        "rows": len(records),
        "augtui_s": spread(mine),
        "loop_s": spread(theirs),
        "ratio": spread([slow / fast for slow, fast in zip(theirs, mine, strict=True)]),
    }


def ours(records: Sequence[Record]) -> list[bool]:
    tokens.cache_clear()
    return [decision.kept for decision in dedupe.decide(records, "rouge-l", THRESHOLD)]


def loop(records: Sequence[Record], likeness: Likeness) -> list[bool]:
    texts = [tokens(record.instruction) or (record.instruction.strip(),) for record in records]
    kept: list[Sequence[str]] = []
    keep = []
    for text in texts:
        new = not any(likeness(text, other) >= THRESHOLD for other in kept)
        keep.append(new)
        if new:
            kept.append(text)
    return keep


def bit_parallel(first: Sequence[str], second: Sequence[str]) -> float:
    return 2 * LCSseq.similarity(first, second) / (len(first) + len(second))


def rouge_score() -> Likeness:
    from rouge_score import rouge_scorer

    def likeness(first: Sequence[str], second: Sequence[str]) -> float:
        # Precision and recall are rounded before they are put together: 0.7 itself may come out a little lower.
        return float(rouge_scorer._score_lcs(first, second).fmeasure) + 1e-9

    return likeness


def timed(work: Callable[[], list[bool]]) -> tuple[float, list[bool]]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 4),
        "least": round(min(values), 4),
        "most": round(max(values), 4),
    }


if __name__ == "__main__":
    main()
