"""Examples for a small augmenter of one's own, made from templates.

    python -m training.nano.own my_tasks.toml -o own.jsonl --count 3000

The file has `[[type]]` tables as in tasks.toml (`language = "zh"` on top for Chinese ones) and, if it likes, a
`[pools]` table as in pools.toml. Each example is a line {"task": "refine" or "expand", "instruction", "output"};
build.py's `--own` takes them, as it takes accepted output lines of `augtui refine` and `augtui expand`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

from augtui.domain.language import Language
from training.nano.kinds import TaskType, fill, task_types
from training.nano.refine import refine, tidy

EXPAND = 0.3
"""Share of expansions."""


def read_types(path: Path) -> tuple[list[TaskType], dict[str, list[str]], Language]:
    """Return the task types, pools and language of a templates file; raises ValueError when it is none."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        entries = [{"role": "expert assistant", **entry} for entry in content["type"]]
        kinds = [TaskType(**{name: value for name, value in e.items() if name != "pattern"}) for e in entries]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a templates file ({error}): see training/nano/tasks.toml") from error
    for kind in kinds:
        if len(kind.aspects) < 2 or len(kind.rules) < 2 or not kind.forms or not kind.subjects:
            raise ValueError(f"{path}: type {kind.name!r} needs 2 aspects, 2 rules, a form and a subject at least")
    pools = {name: [part.strip() for part in text.split(";")] for name, text in content.get("pools", {}).items()}
    return kinds, pools, Language(content.get("language", "en"))


def _prompt(kind: TaskType, pools: Mapping[str, list[str]], spoken: Language, random: Random) -> str:
    text = random.choice(kind.forms).replace("{s}", random.choice(kind.subjects))
    return fill(text.replace("{t}", random.choice(kind.actions or ("{activity}",))), spoken, random, pools)


def examples(
    kinds: list[TaskType], pools: Mapping[str, list[str]], spoken: Language, seed: int, count: int
) -> Iterator[dict[str, str]]:
    """Yield `count` examples; the same arguments give the same ones."""
    random = Random(seed)
    forms = (form for kind in (*kinds, *task_types()) for form in kind.forms)
    known = frozenset(form.split()[0].lower() for form in forms)
    for _ in range(count):
        kind = random.choice(kinds)
        prompt = _prompt(kind, pools, spoken, random)
        if random.random() < EXPAND:
            other = next((o for o in (_prompt(kind, pools, spoken, random) for _ in range(9)) if o != prompt), prompt)
            answer = other if spoken is Language.ZH else tidy(other, known)
            yield {"task": "expand", "instruction": prompt, "output": answer}
        else:
            typed, refined = refine(prompt, kind, known, random, spoken)
            yield {"task": "refine", "instruction": typed, "output": refined}


def main(argv: list[str] | None = None) -> int:
    """Write the examples; a file that does not fit is one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m training.nano.own", description="Make examples from templates.")
    parser.add_argument("templates", type=Path, help="TOML file with [[type]] tables")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    try:
        kinds, pools, spoken = read_types(options.templates)
    except (OSError, ValueError) as error:
        print(f"training.nano.own: {error}", file=sys.stderr)
        return 2
    part = options.output.with_name(options.output.name + ".part")
    with part.open("w", encoding="utf-8") as lines:
        for example in examples(kinds, pools, spoken, options.seed, options.count):
            lines.write(json.dumps(example, ensure_ascii=False) + "\n")
    part.replace(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
