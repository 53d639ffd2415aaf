"""The app's times on a project of a million records: first paint, keys, memory, and keys while 32 slots generate.

    python -m benchmarks.tui                                    a million records, about four minutes
    python -m benchmarks.tui --only start --records 1000        first paints alone
    python -m benchmarks.tui --only keys,generating --json tui.json

The app runs on a pseudo-terminal as it does for a person. A key's time is from the writing of its byte to the bytes
that show its *effect*: the text of the record that the cursor is to stand on, the letter in the search line, a title
of the screen or dialog that it opens. Painting that has nothing to do with the key (a clock, a blinking cursor) counts
for nothing. Escape alone is a kind of its own: longer keys begin with the same byte, and the app waits 30 ms for what
may follow it. Every wait has a limit; each part's figures go to stderr as soon as they are known.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SIZE = (120, 40)
LIMIT_S = 10.0
"""How long a key's effect is waited for."""
REST_S = 0.08
"""Between two keys, which is about how fast a person types."""
PARTS = ("start", "keys", "generating")
DOWN, UP, PAGE_DOWN, PAGE_UP, END, HOME = b"\x1b[B", b"\x1b[A", b"\x1b[6~", b"\x1b[5~", b"\x1b[F", b"\x1b[H"
WALK = (DOWN, b"j", PAGE_DOWN, DOWN, PAGE_DOWN, PAGE_DOWN, UP, b"k", PAGE_UP, END, UP, PAGE_UP, HOME, PAGE_DOWN)
MINIMAL = """
from textual.app import App
from textual.widgets import Static
class Minimal(App):
    def compose(self):
        yield Static("Pipeline")
Minimal().run()
"""
"""What any Textual app costs."""


class Screen:
    """A program on a pseudo-terminal."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        """Start it."""
        self._end, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            words, stdin=inner, stdout=inner, stderr=inner, env=environment, start_new_session=True
        )
        os.close(inner)

    def _read(self, limit_s: float) -> bytes:
        if not select.select([self._end], [], [], max(0.0, limit_s))[0]:
            return b""
        try:
            return os.read(self._end, 1 << 16)
        except OSError:
            raise RuntimeError("the program has ended") from None

    def until(self, pattern: bytes, limit_s: float = 60.0) -> float:
        """Return how many seconds it took until the output from now on matched. Raises TimeoutError."""
        began, seen = time.perf_counter(), b""
        while (spent := time.perf_counter() - began) < limit_s:
            if fresh := self._read(min(0.05, limit_s - spent)):
                seen += fresh
                if re.search(pattern, seen):
                    return time.perf_counter() - began
        raise TimeoutError(f"{pattern!r} did not come in {limit_s:.0f} s; the end was {seen[-300:]!r}")

    def rest(self, seconds: float = REST_S) -> bytes:
        """Read for so long, whatever comes; an app that has a clock is never quiet."""
        until, seen = time.perf_counter() + seconds, b""
        while (left := until - time.perf_counter()) > 0:
            seen += self._read(left)
        return seen

    def key(self, keys: bytes, effect: bytes, limit_s: float = LIMIT_S) -> float:
        """Press a key; return the seconds until its effect is on the screen. Raises TimeoutError."""
        os.write(self._end, keys)
        return self.until(effect, limit_s)

    def write(self, keys: bytes) -> None:
        """Press keys without waiting."""
        os.write(self._end, keys)

    def cpu_s(self) -> float:
        """Return the seconds that the app was on a processor, which other work cannot stretch; in ticks of 10 ms."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> dict[str, float]:
        """Return resident memory of the app's process now and at its highest, and what of it is its own, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()

        def kib(name: str, text: str) -> float:
            found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
            return 0.0 if found is None else round(int(found[1]) * 1024 / 1e6, 1)

        return {"rss": kib("VmRSS", status), "peak": kib("VmHWM", status), "private": kib("Private_Dirty", rollup)}

    def close(self) -> None:
        """End it and what it started."""
        for group in [self.process.pid, *_sessions_of(self.process.pid)]:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()
        os.close(self._end)


def _sessions_of(parent: int) -> list[int]:
    """Return the app's jobs, which are leaders of sessions of their own."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


def text_of(index: int) -> str:
    """Return the instruction of the record at that place."""
    return (
        f"Describe station {index} for a guide book, with its history and its surroundings",
        f"Solve for x: {index}x = 42, and explain each step as for a beginner",
        f"请介绍第{index}个车站的历史，以及它周围的风景",
        f"Plan trip {index} by train for a family with two children",
    )[index % 4]


def shown(index: int) -> bytes:
    """Return a pattern for the beginning of that record's line."""
    return re.escape(text_of(index)[:24].rstrip().encode())


def fill(records: int) -> None:
    """Make the project `million`; its records are written by SQL alone, their ids are numbers."""
    from augtui.store.projects import open_project

    with open_project("million") as project, project.write() as conn:
        conn.create_function("text_of", 1, text_of)
        conn.execute(
            """WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
               INSERT INTO records(id, instruction, origin, created_at)
               SELECT printf('%024x', i), text_of(i), 'imported', '2026-01-01T00:00:00.000Z' FROM n""",
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


class Keys:
    """Key presses on Home, in kinds; the cursor's place is followed beside the app."""

    def __init__(self, screen: Screen, records: int) -> None:
        """Begin at the first record."""
        self._screen, self._last = screen, records - 1
        self._at = 0
        self._page = 1
        self.times: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}
        """Processor time of the app up to the effect, by kind."""

    def calibrate(self) -> None:
        """Find out how many records a page has: the panel below names the record under the cursor."""
        self._screen.write(PAGE_DOWN)
        told = re.findall(rb"Record (\d+)", self._screen.rest(1.0))
        self._page = int(told[-1]) - 1
        self._screen.key(HOME, shown(0))
        self._screen.rest(0.3)

    def walk(self, keys: int, *, grows: bool = False) -> None:
        """Walk, page and jump through the list; the end of one that grows is nowhere."""
        steps = [key for key in WALK if not (grows and key == END)]
        for number in range(keys):
            key = steps[number % len(steps)]
            by = {DOWN: 1, b"j": 1, UP: -1, b"k": -1, PAGE_DOWN: self._page, PAGE_UP: -self._page}
            target = {END: self._last, HOME: 0}.get(key, self._at + by.get(key, 0))
            target = min(max(0, target), self._last)
            if target != self._at:
                self._at = target
                self._press("walk", key, shown(target))

    def held(self, keys: int, every_s: float = 1 / 30) -> None:
        """Hold the down key: presses come thirty times a second whether the screen follows or not."""
        wanted = [self._at + number + 1 for number in range(keys)]
        pressed: list[float] = []
        times: list[float] = []
        seen = b""
        began = time.perf_counter()
        while len(times) < keys and time.perf_counter() - began < keys * every_s + LIMIT_S:
            now = time.perf_counter() - began
            if len(pressed) < keys and now >= len(pressed) * every_s:
                self._screen.write(DOWN)
                pressed.append(time.perf_counter())
            seen += self._screen.rest(0.002)
            # A press whose record was passed by before it was painted has its effect with the next one.
            reached = [place for place in range(len(times), len(pressed)) if re.search(shown(wanted[place]), seen)]
            if reached:
                now = time.perf_counter()
                times += [now - at for at in pressed[len(times) : reached[-1] + 1]]
                seen = b""
        if len(times) < keys:
            raise TimeoutError("the list did not follow the key that was held")
        self._at = wanted[-1]
        self.times.setdefault("held", []).extend(times)
        self._screen.rest(0.3)

    def tabs(self, rounds: int) -> None:
        """Go from screen to screen and back; the first visits, which load a screen, are a kind of their own."""
        titles = {b"2": rb"Nothing runs|Batch: ", b"3": rb"Nothing to judge|original", b"4": rb"Try out",
                  b"5": rb"Figures", b"6": rb"Programs"}  # fmt: skip
        for number in range(rounds):
            for key, title in titles.items():
                self._press("first visit" if not number else "tab", key, title)
                self._screen.rest(1.5 if not number else 0.3)
                self._press("tab", b"1", shown(self._at))

    def filters(self, times: int) -> None:
        """Open the filter and close it."""
        for _ in range(times):
            self._press("filter", b"f", rb"Show all")
            self._press("filter", b"\x13", shown(self._at), 0.3)
            self._press("filter", b"f", rb"Show all")
            self._press("escape", b"\x1b", shown(self._at), 0.3)

    def search(self, words: tuple[str, ...]) -> list[float]:
        """Write searches; return the seconds from the last letter to what was found."""
        found = []
        for word in words:
            self._screen.write(b"/")
            self._screen.rest(0.2)
            typed = ""
            for letter in word:
                typed += letter
                self._screen.write(letter.encode())
                taken = self._screen.until(re.escape(typed.encode()), LIMIT_S)
                self.times.setdefault("search", []).append(taken)
                if typed != word:
                    self._screen.rest(0.05)
            everything = f"{self._last + 1:,}".encode()
            found.append(self._screen.until(rb"Records (?!%s)\d{1,3}(,\d{3})?(?![\d,])" % everything, 120.0))
            self._screen.rest(0.5)
            self._screen.write(b"\x1b")
            self._screen.until(shown(0))
            self._at = 0
            self._screen.rest(0.5)
        return found

    def _press(self, kind: str, key: bytes, effect: bytes, rest_s: float = REST_S) -> None:
        before = self._screen.cpu_s()
        self.times.setdefault(kind, []).append(self._screen.key(key, effect))
        self.cpu.setdefault(kind, []).append(self._screen.cpu_s() - before)
        self._screen.rest(rest_s)

    def figures(self) -> dict[str, Any]:
        """Return the percentiles of each kind."""
        kinds = {kind: percentiles(times) for kind, times in self.times.items()}
        for kind, times in self.cpu.items():
            kinds[kind]["mean_cpu_ms"] = round(1000 * statistics.mean(times), 1)
        return kinds


def start(command: list[str], environment: dict[str, str], starts: int) -> dict[str, Any]:
    """Return how long it is from the start to the first paint and to the records, and what a minimal app takes."""
    minimal: list[float] = []
    paints: list[float] = []
    records: list[float] = []
    for number in range(starts + 1):
        for words, times in (([sys.executable, "-c", MINIMAL], minimal), (command, paints)):
            screen = Screen(words, environment)
            try:
                taken = screen.until(rb"Pipeline")
                later = screen.until(shown(3)) if words is command else 0.0
            finally:
                screen.close()
            if number:  # the first one warms the disk's cache
                times.append(taken)
                if words is command:
                    records.append(taken + later)
    kinds = (("minimal_textual", minimal), ("first_paint", paints), ("records_shown", records))
    return {
        name: {"median_s": round(statistics.median(times), 3), "longest_s": round(max(times), 3)}
        for name, times in kinds
    }


def _generate(screen: Screen, home: Path) -> None:
    """Begin a run of the default model on many prompts, as one does: from the palette."""
    file = home / "prompts.txt"
    file.write_text("".join(f"Describe station number {n} for a guide book\n" for n in range(20_000)))
    steps: tuple[tuple[bytes, bytes], ...] = (
        (b"\x10", rb"Search for commands"),
        (b"refine", rb"refine"),
        (b"\r", rb"augtui refine"),
        (str(file).encode(), rb"prompts\.txt"),
        (b"\x13", rb"Batch|refine.{0,80}\xe2\x97\x8f"),
    )
    for typed, answer in steps:
        screen.key(typed, answer)
        screen.rest(0.6)
    screen.write(b"2")
    screen.until(rb"slots.{0,40}32/32", 60.0)
    screen.key(b"1", shown(0))
    screen.rest(1.0)


def measure(records: int, keys: int, starts: int, parts: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield the figures of each part as they are known."""
    with tempfile.TemporaryDirectory(prefix="augtui-bench-") as home:
        os.environ["AUGTUI_HOME"] = home
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "AUGTUI_SLOTS": "32"}
        began = time.perf_counter()
        fill(records)
        yield "project", {"records": records, "fill_s": round(time.perf_counter() - began, 1)}
        command = [sys.executable, "-P", "-m", "augtui", "--project", "million"]
        if "start" in parts:
            yield "start", start(command, environment, starts)
        rounds = max(2, keys // 35)
        for part in [part for part in ("keys", "generating") if part in parts]:
            screen = Screen(command, environment)
            try:
                screen.until(shown(3))
                screen.rest(1.0)
                pressed = Keys(screen, records)
                pressed.calibrate()
                if part == "generating":
                    _generate(screen, Path(home))
                pressed.walk(keys, grows=part == "generating")
                pressed.held(90)
                pressed.filters(rounds)
                found = pressed.search(("station 99", "trip 4444", "火车站", "车站"))
                pressed.tabs(rounds)
                result: dict[str, Any] = {**pressed.figures(), "found_s": [round(value, 2) for value in found]}
                result["memory_mb"] = screen.memory_mb()
                yield part, result
            finally:
                screen.close()


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure what the arguments ask for; return the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=280, help="keys of the walk through the list")
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts to measure, of {', '.join(PARTS)}")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {}
    for part, figures in measure(options.records, options.keys, options.starts, tuple(options.only.split(","))):
        found[part] = figures
        print(json.dumps({part: figures}, ensure_ascii=False), file=sys.stderr, flush=True)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1) + "\n")
    return found


if __name__ == "__main__":
    print(json.dumps(main(), indent=1))
