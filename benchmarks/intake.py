"""Import against `sqlite-utils insert`: the same JSON lines into a fresh database, alternating, in one run.

    python -m benchmarks.intake --rows 1000000 --repeats 2 [--json OUT]

The rows are those of the file given (Alpaca's 52,002, by default), repeated with a number in each instruction until
there are enough, so that all differ. augtui also names, numbers and indexes each record by its content, tells its
language, and notes where it came from; `sqlite-utils insert` puts the columns into a table without any index.
"""

from __future__ import annotations

import argparse
import itertools
import json
import lzma
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ALPACA = Path(__file__).resolve().parents[2] / "shared" / "data" / "evaluate" / "alpaca_52k.json.xz"


@dataclass(frozen=True, slots=True)
class Measured:
    """One import."""

    tool: str
    seconds: float
    cpu_seconds: float
    """User and system time."""
    peak_mb: float
    """Most resident memory of the process and its children together, in 10^6 bytes."""
    rows: int
    database_mb: float


def rows_of(source: Path, count: int) -> Iterator[dict[str, Any]]:
    """Yield `count` different rows."""
    data = source.read_bytes()
    rows = json.loads(lzma.decompress(data) if source.suffix == ".xz" else data)
    for number, row in enumerate(itertools.islice(itertools.cycle(rows), count)):
        turn = number // len(rows)
        marked = f"{row['instruction']} ({turn})" if turn else row["instruction"]
        yield {"id": f"row-{number}", **row, "instruction": marked}


def write(path: Path, source: Path, count: int) -> None:
    """Write the rows as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows_of(source, count):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def import_with_augtui(path: Path, folder: Path, count: int) -> Measured:
    command = [sys.executable, "-m", "augtui", "import", str(path), "-p", "bench", "-q"]
    run = _run(command, {"AUGTUI_HOME": str(folder)})
    return _measured("augtui import", run, folder / "projects" / "bench.db", "records", count)


def import_with_sqlite_utils(path: Path, folder: Path, count: int) -> Measured:
    database = folder / "bench.db"
    tool = Path(sys.executable).with_name("sqlite-utils")
    run = _run([str(tool), "insert", str(database), "rows", str(path), "--nl"], {})
    return _measured("sqlite-utils insert", run, database, "rows", count)


def _run(command: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Run a command; return its seconds, its CPU seconds and its peak of memory in MB, its children's included."""
    started = time.monotonic()
    child = subprocess.Popen(command, env={**os.environ, **environment})
    watch = _Memory(child.pid)
    watch.start()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - started
    watch.ended.set()
    watch.join()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command[0]} ended with {child.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime, watch.peak / 1e6


class _Memory(threading.Thread):
    """Adds up the resident memory of a process and its children, every 50 ms (proc_pid_status(5))."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.peak = 0
        """Bytes."""
        self._pid = pid

    def run(self) -> None:
        while not self.ended.wait(0.05):
            self.peak = max(self.peak, sum(_resident(pid) for pid in _family(self._pid)))


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(other for child in children for other in _family(int(child)))]


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _measured(tool: str, run: tuple[float, float, float], database: Path, table: str, count: int) -> Measured:
    conn = sqlite3.connect(database)
    (found,) = conn.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
    conn.close()
    if found != count:
        raise SystemExit(f"{tool} put in {found} rows of {count}")
    return Measured(tool, *run, found, database.stat().st_size / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--source", type=Path, default=ALPACA)
    parser.add_argument("--folder", type=Path, help="where the databases are made; default: the temporary folder")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    found: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="augtui-intake-", dir=wanted.folder) as name:
        path = Path(name) / "rows.jsonl"
        write(path, wanted.source, wanted.rows)
        print(f"{wanted.rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB", flush=True)
        for _ in range(wanted.repeats):
            for measure in (import_with_augtui, import_with_sqlite_utils):
                folder = Path(name) / "database"
                folder.mkdir()
                os.sync()
                found.append(measure(path, folder, wanted.rows))
                shutil.rmtree(folder)
                last = found[-1]
                rate = f"{last.seconds:7.1f} s  {last.rows / last.seconds:9,.0f} rows/s  cpu {last.cpu_seconds:6.1f} s"
                print(
                    f"{last.tool:<20} {rate}  peak {last.peak_mb:5.0f} MB  database {last.database_mb:5.0f} MB",
                    flush=True,
                )
    medians = {
        tool: statistics.median(one.seconds for one in found if one.tool == tool)
        for tool in {one.tool for one in found}
    }
    ratio = medians["sqlite-utils insert"] / medians["augtui import"]
    print(f"augtui import is {ratio:.2f} times as fast")
    if wanted.json is not None:
        wanted.json.write_text(json.dumps({"measured": [asdict(one) for one in found], "ratio": ratio}, indent=1))


if __name__ == "__main__":
    main()
