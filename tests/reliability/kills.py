"""Kill -9 at random moments: nothing lost, nothing done twice.

    python -m tests.reliability.kills --kills 200 --records 300

Starts `augtui refine` on a file, kills the process at a random moment, looks at the project, and starts the same
command again, until the run is done; then a new run, until there were enough kills. After each kill: every result
that was there before is there unchanged, the database is whole, and no engine is left behind. At the end of each
run: one line a record, in order, and no record was settled or tried twice.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STARTING_S = 0.3
"""Killing earlier would hit nothing but the interpreter's own start, now and then is enough."""


@dataclass(slots=True)
class Report:
    """What was seen."""

    kills: int = 0
    runs: int = 0
    records: int = 0
    lost: int = 0
    duplicated: int = 0
    changed: int = 0
    damaged: int = 0
    orphans: int = 0
    wrong_lines: int = 0
    killed_while: Counter[str] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        """Return whether nothing went wrong."""
        return not (self.lost or self.duplicated or self.changed or self.damaged or self.orphans or self.wrong_lines)

    def lines(self) -> list[str]:
        """Return the report for people."""
        phases = ", ".join(f"{phase} {count}" for phase, count in sorted(self.killed_while.items()))
        return [
            f"kills: {self.kills} ({phases})",
            f"runs finished: {self.runs}, records each: {self.records}",
            f"lost: {self.lost} · duplicated: {self.duplicated} · changed after they were saved: {self.changed}",
            f"damaged databases: {self.damaged} · engines left behind: {self.orphans}",
            f"wrong lines: {self.wrong_lines}",
        ]


class Torment:
    """One home, one input file, many kills."""

    def __init__(self, folder: Path, records: int, seed: int, longest_s: float) -> None:
        self.folder = folder
        self.draw = random.Random(seed)
        self.longest_s = longest_s
        self.prompts = [f"Describe place number {number} for a guide book" for number in range(records)]
        self.input = folder / "prompts.txt"
        self.input.write_text("\n".join(self.prompts) + "\n")
        self.report = Report(records=records)

    def run(self, kills: int) -> Report:
        """Kill until there were `kills`, and see each run through to its end."""
        while self.report.kills < kills:
            self._one_run(kills)
        return self.report

    def _one_run(self, kills: int) -> None:
        number = self.report.runs
        output = self.folder / f"out-{number}.jsonl"
        command = [sys.executable, "-m", "augtui", "refine", "-q", "--file", str(self.input), "-o", str(output)]
        command += ["--seed", str(number), "--max-tokens", "16", "--retries", "1", "--slots", "4"]
        environment = {**os.environ, "AUGTUI_HOME": str(self.folder / "home")}
        before: dict[str, Any] = {}
        while True:
            process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
            if self.report.kills < kills:
                self._kill_some_time(process)
            code = process.wait()
            if code != -signal.SIGKILL:
                break
            self.report.kills += 1
            before = self._look(before, process.pid, output)
        assert code in (0, 4), f"augtui ended with {code}"
        self.report.runs += 1
        self._judge(output, number)

    def _kill_some_time(self, process: subprocess.Popen[bytes]) -> None:
        early = self.draw.random() < 0.1
        wait = self.draw.uniform(0, STARTING_S) if early else self.draw.uniform(STARTING_S, self.longest_s)
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()

    @property
    def database(self) -> Path:
        return self.folder / "home" / "projects" / "default.db"

    def _settled(self) -> dict[str, Any]:
        with sqlite3.connect(self.database) as connection:
            rows = connection.execute("SELECT key, status, text, reason FROM items WHERE status <> 'pending'")
            return {row[0]: row[1:] for row in rows}

    def _look(self, before: dict[str, Any], pid: int, output: Path) -> dict[str, Any]:
        """Compare the project with what it held before the kill."""
        if not self.database.exists() or self.database.stat().st_size == 0:
            self.report.killed_while["starting"] += 1
            self.report.lost += len(before)
            return {}
        with sqlite3.connect(self.database) as connection:
            if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                self.report.damaged += 1
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        if "items" not in tables:
            self.report.killed_while["starting"] += 1
            self.report.lost += len(before)
            return {}
        now = self._settled()
        self.report.lost += len(before.keys() - now.keys())
        self.report.changed += sum(now[key] != value for key, value in before.items() if key in now)
        self.report.killed_while["starting" if now.keys() == before.keys() else "generating"] += 1
        if output.exists() and not self._is_whole(output):
            self.report.wrong_lines += (
                1  # the file is there whole, killed between its last line and the exit, or not at all
            )
        if _engine_of(pid):
            self.report.orphans += 1
        return now

    def _is_whole(self, output: Path) -> bool:
        lines = [json.loads(line) for line in output.read_text().splitlines()]
        return [line["instruction"] for line in lines] == self.prompts

    def _judge(self, output: Path, number: int) -> None:
        lines = [json.loads(line) for line in output.read_text().splitlines()]
        if [line["instruction"] for line in lines] != self.prompts:
            self.report.wrong_lines += 1
        if any(line["status"] == "pending" or line["provenance"]["seed"] is None for line in lines):
            self.report.wrong_lines += 1
        with sqlite3.connect(self.database) as connection:
            (run,) = connection.execute("SELECT id FROM runs ORDER BY id DESC LIMIT 1").fetchone()
            statuses = connection.execute(
                "SELECT i.status FROM run_items r JOIN items i ON i.number = r.item WHERE r.run_id = ?", (run,)
            ).fetchall()
            self.report.lost += len(self.prompts) - len(statuses) + sum(status == ("pending",) for status in statuses)
            doubles = connection.execute(
                "SELECT COUNT(*) FROM (SELECT item, attempt FROM attempts GROUP BY item, attempt HAVING COUNT(*) > 1)"
            ).fetchone()
            answers = connection.execute(
                "SELECT COUNT(*) FROM (SELECT item FROM attempts WHERE verdict = 'accepted'"
                " GROUP BY item HAVING COUNT(*) > 1)"
            ).fetchone()
            self.report.duplicated += doubles[0] + answers[0]


def _engine_of(parent: int) -> bool:
    """Return whether an engine of a dead parent is still alive after five seconds."""
    mark = f"AUGTUI_ENGINE_PARENT={parent}\0".encode()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not any(mark in _environment(process) for process in Path("/proc").glob("[0-9]*")):
            return False
        time.sleep(0.05)
    return True


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


def torment(kills: int, records: int, seed: int = 1, longest_s: float = 2.5) -> Report:
    """Return what `kills` kills did to runs of `records` records."""
    with tempfile.TemporaryDirectory() as folder:
        return Torment(Path(folder), records, seed, longest_s).run(kills)


def main() -> int:
    """Run from the command line; exit code 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--records", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=float, default=2.5, help="latest moment of a kill, seconds after the start")
    arguments = parser.parse_args()
    started = time.monotonic()
    report = torment(arguments.kills, arguments.records, arguments.seed, arguments.longest)
    print("\n".join(report.lines()))
    print(f"took {time.monotonic() - started:.0f} s · {'all well' if report.clean else 'NOT WELL'}")
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
