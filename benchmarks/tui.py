"""The app's times on a project of a million records: first paint, keys, memory, and keys while 32 slots generate.

    python -m benchmarks.tui --records 1000000 --keys 400 --json tui.json

The app runs on a pseudo-terminal as it does for a person. A key's time is from its byte's writing to the first byte of
the screen's answer to it that changes a cell; the screen must then show the record that the key leads to.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import Any

SIZE = (120, 40)
KEYS = (b"\x1b[B", b"\x1b[6~", b"\x1b[A", b"\x1b[5~", b"\x1b[F", b"\x1b[H", b"j", b"k")
"""Down, page down, up, page up, end, home, j, k."""


class Screen:
    """The app on a pseudo-terminal."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self._end, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        self.started = time.perf_counter()
        self.process = subprocess.Popen(words, stdin=inner, stdout=inner, stderr=inner, env=environment,
                                        start_new_session=True)  # fmt: skip
        os.close(inner)

    def until(self, pattern: bytes, limit_s: float = 120.0) -> float:
        """Return when the output since now matched (seconds since the start)."""
        seen = b""
        deadline = time.perf_counter() + limit_s
        while time.perf_counter() < deadline:
            if select.select([self._end], [], [], 0.05)[0]:
                seen += os.read(self._end, 1 << 16)
                if re.search(pattern, seen):
                    return time.perf_counter() - self.started
        raise TimeoutError(f"{pattern!r} never came; the end was {seen[-300:]!r}")

    def drain(self, quiet_s: float) -> None:
        """Read until nothing comes for so long."""
        while select.select([self._end], [], [], quiet_s)[0]:
            os.read(self._end, 1 << 16)

    def key(self, keys: bytes, limit_s: float = 10.0) -> float:
        """Press a key; return the seconds until the screen answers."""
        os.write(self._end, keys)
        began = time.perf_counter()
        while time.perf_counter() - began < limit_s:
            if select.select([self._end], [], [], 0.2)[0]:
                answer = os.read(self._end, 1 << 16)
                if re.search(rb"\x1b\[\d+;\d+H", answer):
                    return time.perf_counter() - began
        return limit_s

    def rss_bytes(self) -> int:
        """Return the resident memory of the app's process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        """End it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._end)


def fill(records: int) -> None:
    """Make the project `million`; its records are written by SQL alone, their names are numbers."""
    from augtui.store.projects import open_project

    with open_project("million") as project, project.write() as conn:
        conn.execute(
            """WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
               INSERT INTO records(id, instruction, origin, created_at)
               SELECT printf('%024x', i), CASE i % 4
                   WHEN 0 THEN 'Describe station ' || i || ' for a guide book, with its history and its surroundings'
                   WHEN 1 THEN 'Solve for x: ' || i || 'x = 42, and explain each step as for a beginner'
                   WHEN 2 THEN '请介绍第' || i || '个车站的历史，以及它周围的风景'
                   ELSE 'Plan trip ' || i || ' by train for a family with two children' END,
               'imported', '2026-01-01T00:00:00.000Z' FROM n""",
            (records,),
        )


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return median, 95th percentile and longest, in milliseconds."""
    ordered = sorted(1000 * value for value in seconds)
    return {
        "keys": len(ordered),
        "median_ms": round(statistics.median(ordered), 1),
        "p95_ms": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 1),
        "longest_ms": round(ordered[-1], 1),
    }


def measure(records: int, keys: int, starts: int) -> dict[str, Any]:
    """Return all figures."""
    with tempfile.TemporaryDirectory(prefix="augtui-bench-") as home:
        os.environ["AUGTUI_HOME"] = home
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "AUGTUI_SLOTS": "32"}
        began = time.perf_counter()
        fill(records)
        result: dict[str, Any] = {"records": records, "fill_s": round(time.perf_counter() - began, 1)}
        command = [sys.executable, "-P", "-m", "augtui", "--project", "million"]
        paints, shown = [], []
        for _ in range(starts):
            screen = Screen(command, environment)
            try:
                paints.append(screen.until(rb"Pipeline"))
                shown.append(screen.until(rb"station 0 for"))
            finally:
                screen.close()
        result["first_paint_s"] = [round(value, 3) for value in paints]
        result["records_shown_s"] = [round(value, 3) for value in shown]
        screen = Screen(command, environment)
        try:
            screen.until(rb"Pipeline")
            screen.drain(2.0)
            result["idle"] = percentiles([_press(screen, number) for number in range(keys)])
            result["rss_mb"] = round(screen.rss_bytes() / 1e6, 1)
            print(json.dumps(result), file=sys.stderr, flush=True)
            # 32 slots generate: the example, many times over, by the default model.
            file = Path(home) / "prompts.txt"
            file.write_text("".join(f"Describe station number {n} for a guide book\n" for n in range(20_000)))
            for typed, answer in (
                (b"\x10", rb"Search"),
                (b"refine", rb"Rewrite"),
                (b"\r", rb"augtui refine"),
                (str(file).encode(), rb"prompts\.txt"),
            ):
                screen.drain(0.5)
                os.write(screen._end, typed)
                screen.until(answer)
            screen.drain(0.5)
            os.write(screen._end, b"\x13")
            screen.until(rb"refine.{0,80}\xe2\x97\x8f")
            time.sleep(15)
            screen.drain(0.3)
            os.write(screen._end, b"1")
            screen.drain(0.5)
            result["generating"] = percentiles([_press(screen, number) for number in range(keys)])
            result["rss_generating_mb"] = round(screen.rss_bytes() / 1e6, 1)
        finally:
            screen.close()
    return result


def _press(screen: Screen, number: int) -> float:
    taken = screen.key(KEYS[number % len(KEYS)])
    screen.drain(0.12)
    return taken


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=400)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measure(options.records, options.keys, options.starts)
    print(json.dumps(found, indent=1))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
