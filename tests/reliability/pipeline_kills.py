"""Kill -9 a whole pipeline at random moments: it ends as an undisturbed one does.

    python -m tests.reliability.pipeline_kills --kills 10 --seeds ../shared/data/seeds/self_instruct_seed_tasks.jsonl

Takes the seeds through a recipe with the default model once, undisturbed; then again in another home, killed at random
moments of the time that the first took, until there were enough kills. At the end both projects hold the same records,
the same lineage, the same outcome and reason of every item, the same fate of every record in every stage, and the
output files are the same byte for byte. Times, run numbers and the figures of tries are what may differ.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.reliability.kills import _engine_of

VIEWS = {
    "records": "SELECT id, instruction, response, origin FROM records",
    "lineage": "SELECT c.id, p.id, i.key FROM lineage l JOIN records c ON c.number = l.child"
    " JOIN records p ON p.number = l.parent JOIN items i ON i.number = l.item",
    "items": "SELECT i.key, i.task, c.id, i.sample, i.status, i.text, i.reason, g.id FROM items i"
    " JOIN records c ON c.number = i.record LEFT JOIN records g ON g.number = i.result",
    "contexts": "SELECT i.key, x.place, c.id FROM item_context x JOIN items i ON i.number = x.item"
    " JOIN records c ON c.number = x.record",
    "tries": "SELECT i.key, a.attempt, a.seed, a.text, a.verdict, a.reason FROM attempts a"
    " JOIN items i ON i.number = a.item",
    "stages": "SELECT key, step, config, input_digest, output_digest FROM stages",
    "fates": "SELECT s.step, r.place, c.id, r.fate, r.reason FROM stage_records r JOIN stages s ON s.id = r.stage"
    " JOIN records c ON c.number = r.record",
}
"""What must be the same, as rows without numbers and times."""


@dataclass(slots=True)
class Report:
    """What was seen."""

    kills: int = 0
    killed_in: dict[str, int] = field(default_factory=dict)
    """Kills by the last stage that was finished before."""
    undisturbed_s: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    """Rows by view, undisturbed."""
    differences: dict[str, int] = field(default_factory=dict)
    """Rows that only one of the two has, by view."""
    files: dict[str, bool] = field(default_factory=dict)
    """Output files, and whether they are the same."""
    damaged: int = 0
    orphans: int = 0
    done_twice: int = 0
    """Tries that were noted twice."""
    stages: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Return whether nothing went wrong."""
        same = not any(self.differences.values()) and all(self.files.values()) and bool(self.files)
        return same and not (self.damaged or self.orphans or self.done_twice)

    def lines(self) -> list[str]:
        """Return the report for people."""
        where = ", ".join(f"after {stage} {count}" for stage, count in self.killed_in.items())
        return [
            f"undisturbed: {self.undisturbed_s:.0f} s; {', '.join(f'{name} {n:,}' for name, n in self.counts.items())}",
            *self.stages,
            f"kills: {self.kills} ({where})",
            "differences: " + ", ".join(f"{name} {count}" for name, count in self.differences.items()),
            "files: " + ", ".join(f"{name} {'same' if same else 'DIFFERENT'}" for name, same in self.files.items()),
            f"damaged databases: {self.damaged} · engines left behind: {self.orphans} · tries twice: {self.done_twice}",
        ]


class Campaign:
    """One recipe on one input, undisturbed and disturbed."""

    def __init__(self, folder: Path, seeds: Path, recipe: str, options: list[str], seed: int) -> None:
        self.folder, self.seeds, self.recipe, self.options = folder, seeds, recipe, options
        self.draw = random.Random(seed)
        self.report = Report()

    def run(self, kills: int) -> Report:
        """Run both and compare."""
        started = time.monotonic()
        self._start("undisturbed").wait()
        report = self.report
        report.undisturbed_s = time.monotonic() - started
        self._disturb(kills)
        self._compare()
        return report

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        home = self.folder / name
        home.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "augtui", "pipeline", "run", self.recipe, "--file", str(self.seeds), "-q"]
        command += ["-o", "out.jsonl", *self.options]
        environment = {**os.environ, "AUGTUI_HOME": str(home / "home")}
        with (home / "log").open("ab") as log:
            return subprocess.Popen(command, env=environment, cwd=home, stderr=log, stdout=log)

    def _disturb(self, kills: int) -> None:
        # So long that the work between the kills adds up to the whole.
        longest = 2 * self.report.undisturbed_s / (kills + 1)
        while True:
            process = self._start("disturbed")
            if self.report.kills < kills:
                try:
                    process.wait(self.draw.uniform(0.5, max(1.0, longest)))
                except subprocess.TimeoutExpired:
                    process.kill()
            code = process.wait()
            if code != -signal.SIGKILL:
                assert code in (0, 4), f"augtui ended with {code}: {(self.folder / 'disturbed' / 'log').read_text()}"
                if self.report.kills >= kills:
                    return
                # Done before there were enough kills: killed once more while it looks at finished stages.
                longest = 1.0
                continue
            self.report.kills += 1
            self._look(process.pid)

    def _look(self, pid: int) -> None:
        stage = "nothing"
        database = self._database("disturbed")
        if database.exists() and database.stat().st_size:
            with sqlite3.connect(database) as connection:
                if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                    self.report.damaged += 1
                if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'stages'").fetchone():
                    done = connection.execute(
                        "SELECT step FROM stages WHERE finished_at IS NOT NULL ORDER BY id DESC"
                    ).fetchone()
                    stage = done[0] if done else stage
        self.report.killed_in[stage] = self.report.killed_in.get(stage, 0) + 1
        if _engine_of(pid):
            self.report.orphans += 1

    def _compare(self) -> None:
        report = self.report
        left, right = self._contents("undisturbed"), self._contents("disturbed")
        for name in VIEWS:
            report.counts[name] = len(left[name])
            report.differences[name] = len(set(left[name]) ^ set(right[name]))
            report.differences[name] += abs(len(left[name]) - len(right[name]))
        homes = [self.folder / name for name in ("undisturbed", "disturbed")]
        for file in sorted({path.name for home in homes for path in home.glob("out*")}):
            digests = {self._digest(home / file) for home in homes}
            report.files[file] = len(digests) == 1 and None not in digests
        with sqlite3.connect(self._database("disturbed")) as connection:
            (report.done_twice,) = connection.execute(
                "SELECT COUNT(*) FROM (SELECT item FROM attempts GROUP BY item, attempt HAVING COUNT(*) > 1)"
            ).fetchone()
        with sqlite3.connect(self._database("undisturbed")) as connection:
            report.stages = [
                f"  {step}: kept {kept}, made {made}, dropped {dropped}"
                for step, kept, made, dropped in connection.execute(
                    "SELECT s.step, SUM(r.fate = 'kept'), SUM(r.fate = 'made'), SUM(r.fate = 'dropped')"
                    " FROM stages s LEFT JOIN stage_records r ON r.stage = s.id GROUP BY s.id ORDER BY s.id"
                )
            ]

    def _contents(self, name: str) -> dict[str, list[tuple[Any, ...]]]:
        with sqlite3.connect(self._database(name)) as connection:
            return {view: connection.execute(query).fetchall() for view, query in VIEWS.items()}

    def _database(self, name: str) -> Path:
        return self.folder / name / "home" / "projects" / "default.db"

    @staticmethod
    def _digest(path: Path) -> str | None:
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def campaign(seeds: Path, kills: int, options: list[str], recipe: str = "paper", seed: int = 1) -> Report:
    """Return what `kills` kills did to a recipe on a file of seeds."""
    with tempfile.TemporaryDirectory() as folder:
        return Campaign(Path(folder), seeds.resolve(), recipe, options, seed).run(kills)


def main() -> int:
    """Run from the command line; exit code 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seeds", type=Path, required=True)
    parser.add_argument("--recipe", default="paper")
    parser.add_argument("--seed", type=int, default=1)
    arguments, options = parser.parse_known_args()
    started = time.monotonic()
    report = campaign(arguments.seeds, arguments.kills, options, arguments.recipe, arguments.seed)
    print("\n".join(report.lines()))
    print(f"took {time.monotonic() - started:.0f} s · {'identical' if report.clean else 'NOT IDENTICAL'}")
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
