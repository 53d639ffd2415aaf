"""Training files: split by families, written whole, as `training.sft` reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from augtui.pipelines.export import WholeFile
from augtui.pipelines.exports.splits import Kinship, choose, instruction_key
from augtui.pipelines.exports.writer import validation_path
from augtui.pipelines.trainset.examples import KINDS, SHUFFLED, Example, Kind, Made, build, statistics


@dataclass(slots=True)
class TrainsetReport:
    """What a training set came to."""

    examples: dict[str, int] = field(default_factory=dict)
    """Lines by kind."""
    validation: dict[str, int] = field(default_factory=dict)
    """Those of them that are in the validation files."""
    shuffled: int = 0
    table_2: dict[str, dict[str, int]] = field(default_factory=dict)
    """Sources and targets by kind, as in the paper's Table 2."""
    families: int = 0
    paths: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "examples": self.examples,
            "validation": self.validation,
            "shuffled": self.shuffled,
            "table_2": self.table_2,
            "families": self.families,
            "paths": self.paths,
        }


def write(
    made: Iterable[Made],
    targets: dict[Kind, Path],
    *,
    validation: float = 0.0,
    seed: int = 42,
    shuffle: float = SHUFFLED,
) -> TrainsetReport:
    """Write the examples of each kind to its target, and a share of the families to validation files beside them.

    The split is one for all kinds: relatives (one family, or one instruction) are on one side, whatever the kind, and
    the contexts of pairs are drawn on their own side. All files appear, whole, or none of their kind does. A file
    without examples is written too: an empty one says so. Raises OutputError.
    """
    known = [one for one in made if one.kind in targets]
    report = TrainsetReport(families=len({one.family for one in known}))
    sides = _sides(known, validation, seed)
    for kind in KINDS:
        if kind not in targets:
            continue
        report.table_2[kind] = statistics(known, kind)
        parts = [build([one for one, side in zip(known, sides, strict=True) if side is aside], kind,
                       seed=seed, shuffle=shuffle) for aside in (False, True)]  # fmt: skip
        _write(parts, targets[kind], validation > 0, kind, report)
    return report


def _sides(made: Sequence[Made], validation: float, seed: int) -> list[bool]:
    """Return for each thing made whether it is for validation."""
    if not validation or not made:
        return [False] * len(made)
    kinship = Kinship()
    for one in made:
        texts = [one.target, *([one.source] if one.source is not None else []), *one.context]
        kinship.add(f"f:{one.family}", *(instruction_key(record.instruction) for record in texts))
    return choose(kinship.groups(), validation, seed)


def _write(
    parts: Sequence[Sequence[Example]], target: Path, has_validation: bool, kind: Kind, report: TrainsetReport
) -> None:
    paths = [target, validation_path(target)] if has_validation else [target]
    with ExitStack() as stack:
        for path, part in zip(paths, parts, strict=False):
            file = stack.enter_context(WholeFile(path))
            for example in part:
                file.write(json.dumps(example.line(), ensure_ascii=False) + "\n")
    report.examples[kind] = sum(len(part) for part in parts)
    report.shuffled += sum(example.shuffled for part in parts for example in part)
    report.paths[kind] = str(target)
    if has_validation:
        report.validation[kind] = len(parts[1])
        report.paths[f"{kind} validation"] = str(paths[1])
