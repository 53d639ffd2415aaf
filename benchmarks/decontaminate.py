"""How long it takes to compare 100,000 records with 10,000 test rows, and whether what was planted is found.

    python -m benchmarks.decontaminate ../shared/data

The records are Alpaca's, instruction and response, read over and over up to RECORDS; the tests are GSM8K's training
questions and MathQA's, up to TESTS. Every thousandth record is replaced by a test question within other words.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from augtui.domain.records import Record
from augtui.pipelines import collect
from augtui.pipelines.bench import machine_facts
from augtui.pipelines.decontaminate import Examination

EVERY = 1000


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decontaminate", description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--tests", type=int, default=10_000)
    options = parser.parse_args(arguments)
    questions = chain(
        rows(options.data / "train/gsm8k_train.jsonl"), rows(options.data / "evaluate/mathqa_dev.json", "Problem")
    )
    tests = list(islice(questions, options.tests))
    records = list(islice(planted(options.data / "evaluate/alpaca_52k.json.xz", tests), options.records))
    started = time.perf_counter()
    exam = Examination(tests)
    indexed = time.perf_counter()
    decisions = exam.decide(records)
    ended = time.perf_counter()
    found = {number for number, decision in enumerate(decisions) if not decision.kept}
    there = set(range(0, len(records), EVERY))
    result = {
        "machine": machine_facts(),
        "records": len(records),
        "tests": len(tests),
        "index_s": round(indexed - started, 2),
        "compare_s": round(ended - indexed, 2),
        "planted": len(there),
        "planted_found": len(there & found),
        "others_found": len(found - there),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(result, indent=1))


def rows(file: Path, field: str | None = None) -> Iterator[Record]:
    return (row for row in collect.read(file, field=field) if isinstance(row, Record))


def planted(file: Path, tests: Sequence[Record]) -> Iterator[Record]:
    number = 0
    while True:
        for record in rows(file):
            if number % EVERY == 0:
                text = tests[number // EVERY * 7 % len(tests)].instruction
                record = Record(f"Here is a question for you. {text} Explain your answer.", "It is seven.")
            yield record
            number += 1


if __name__ == "__main__":
    main()
