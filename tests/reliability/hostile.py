"""Hostile text: payloads that terminals and markup would obey, shown by the app and by commands on a real pty.

    python -m tests.reliability.hostile --payloads 2000

Each payload stands in records, results, reasons, the names of sources, tasks and models, in events of jobs, facts of
models, errors and forms. What reaches the terminal is searched for bytes of control that come from a payload.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import pty
import random
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from augtui.domain.records import Record
from augtui.errors import StoreError
from augtui.models import catalog
from augtui.pipelines import versus
from augtui.store import items, projects, runs
from augtui.store.dataset import GeneratedRecord
from augtui.store.items import Attempt, PlannedItem, Settled
from augtui.store.runs import RunPlan
from tests.reliability import hostile_commands

MARK = "QZ7"
"""Stands inside every payload, just behind what a terminal would obey."""
SIZE = (120, 40)
COMMAND_LIMIT_S = 120.0
COMMAND_TEXTS = 2000
HIDDEN = "\u202e\u2066\u200b\u2028\ufeff"

BEGINNINGS = (
    "\x1b]52;c;{m}\x07", "\x1b]0;{m}\x07", "\x1b]8;;http://{m}\x1b\\", "\x1b[38;5;199m{m}", "\x1b[2J{m}",
    "\x1b[?1049l{m}",
    "\x1b[6n{m}", "\x9b31m{m}", "\x9d52;c;{m}\x9c", "\x90q#0{m}\x9c", "\x1bPq#0;2;0;0;0{m}\x1b\\", "\x1b_G{m}\x1b\\",
    "\x1b^{m}\x1b\\", "\x1bX{m}\x1b\\", "\x1bc{m}", "\x08\x08{m}", "\r{m}", "\x00{m}", "\x7f{m}", "\x0e{m}\x0f",
    "\u202e{m}\u202c", "\u2066{m}\u2069", "\u200b{m}\u200d", "\ufeff{m}", "\U000e0041{m}", "\u2028{m}\u2029",
    "[bold]{m}[/bold]", "[/{m}]", "[{m}", "[@click=app.quit]{m}[/]", "[link=http://x]{m}", "[$error]{m}[/]",
    "\\[{m}\\]", "[[{m}]]", "[red]{m}", ":smile:{m}", "{{{m}}}", "{m}" + "e\u0301" * 50, "{m}" + "\u0489" * 200,
    "{m}" + "W" * 20_000, "{m}" + "漢" * 5_000, "{m}\n" * 500, "{m}\t\t|", "\x1b[{m}", "\x1b]{m}", "\x1b{m}",
    "\u0600{m}", "\U0001f469\u200d\U0001f467{m}", "\u1160{m}\u3164",
)  # fmt: skip

OBEYED = (
    re.compile(rb"\x1b[\]PX^_c][^\x1b\x07]{0,24}QZ7"),
    # These alone are payloads': a colour of our own may stand right before a text.
    re.compile(rb"\x1b\[(?:38;5;199m|2J|\?1049l|6n)?QZ7"),
    re.compile(rb"\xc2[\x80-\x9f]"),
    re.compile(rb"\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]|\xe2\x80[\x8b\x8e\x8f\xa8\xa9]|\xef\xbb\xbf"),
    re.compile(rb"\x1b\](?:52|0|2|8);"),
    re.compile(rb"[\x00\x08\x0e\x0f\x7f][^\x1b]{0,4}QZ7"),
)
"""Bytes that neither Textual nor a command of augtui ever writes by itself."""


def payloads(count: int, seed: int = 7) -> Iterator[str]:
    """Yield payloads: each beginning as it is, then in the midst of other ones."""
    draw = random.Random(seed)
    for number in range(count):
        own = BEGINNINGS[number % len(BEGINNINGS)].replace("{m}", MARK)
        if number < len(BEGINNINGS):
            yield own
            continue
        parts = [draw.choice(BEGINNINGS[:37]).replace("{m}", MARK) for _ in range(draw.randint(0, 3))]
        parts.insert(draw.randint(0, len(parts)), own)
        yield f"{number} " + draw.choice(["", " ", "x", "中"]).join(parts)


def found(stream: bytes) -> list[bytes]:
    """Return what of a terminal's input a payload has put there as control."""
    return [match.group(0) for pattern in OBEYED for match in pattern.finditer(stream)]


def build(path: Path, texts: list[str]) -> None:
    """Make a project in which every text of a person or a model is a payload."""
    with projects.open_project(path) as project:
        for place in range(0, len(texts), 500):
            part = texts[place : place + 500]
            first = part[0]
            run = runs.begin(
                project,
                RunPlan(f"k{place}", first[:60], first, {first[:40]: first[:200]}, 1, f"t{place}", first[:40], "", "9",
                        f"{place:064d}", first[:80], first[:80], 1),
            )  # fmt: skip
            planned = [PlannedItem(n, f"{place}:{n}", Record(text, text[:400], line=n)) for n, text in enumerate(part)]
            items.add_items(project, run, planned)
            settled = []
            for n, text in enumerate(part):
                if n % 3 == 2:
                    tried = Attempt(0, 1, text, "rejected", text[:80])
                    settled.append(Settled(f"{place}:{n}", "kept_original", None, text[:80], (tried,)))
                else:
                    tried = Attempt(0, 1, text, "accepted")
                    child = GeneratedRecord(f"{text} made", text[:200])
                    settled.append(Settled(f"{place}:{n}", "accepted", f"{text} made", None, (tried,), child))
            items.settle(project, run, settled)
            runs.finish(project, run, "interrupted" if place else "finished")


class Terminal:
    """A program on a pty of its own, all of whose output is kept."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        """Start it."""
        self._end, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        self.process = subprocess.Popen(
            words, stdin=inner, stdout=inner, stderr=inner, env=environment, start_new_session=True
        )
        os.close(inner)
        self.output = bytearray()

    def read(self, quiet_s: float = 0.3, limit_s: float = 60.0) -> None:
        """Take what comes until it is quiet for so long."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self._end], [], [], quiet_s)
            if not ready:
                return
            try:
                fresh = os.read(self._end, 1 << 16)
            except OSError:
                return
            if not fresh:
                return
            self.output += fresh

    def until(self, wanted: bytes, limit_s: float = 120.0) -> bool:
        """Take what comes until it has the bytes."""
        deadline = time.monotonic() + limit_s
        while wanted not in self.output and time.monotonic() < deadline:
            self.read(0.2, 1.0)
        return wanted in self.output

    def press(self, keys: bytes, quiet_s: float = 0.15) -> None:
        """Press keys and take what comes; a blinking cursor is never quiet."""
        os.write(self._end, keys)
        self.read(quiet_s, 2.0)

    def close(self) -> int:
        """End it; return its exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        os.close(self._end)
        return code


def on_a_pty(path: Path, pages: int, environment: dict[str, str]) -> tuple[bytes, bool]:
    """Walk the app through the project; return what it wrote, and whether it was alive at the end."""
    command = [sys.executable, "-P", "-m", "augtui"]
    terminal = Terminal([*command, "--project", str(path)], environment)
    try:
        terminal.until(b"Records")
        terminal.read(1.0, 5.0)
        for number in range(pages):
            terminal.press(b"\x1b[6~")
            if number % 4 == 0:
                terminal.press(b"\r")
                terminal.press(b"\x1b", 0.4)
        terminal.press(b"f", 0.5)
        terminal.press(b"\x1b", 0.5)
        for _ in range(pages):
            terminal.press(b"3" if _ == 0 else b"j")
            if _ % 3 == 0:
                terminal.press(b"w")
        terminal.press(b"e", 0.4)
        terminal.press(b"\x1b", 0.5)
        for key in (b"f", b"\x1b", b"5", b"\x1b[B", b"\x1b[B", b"\x1b[B", b"\x1b[B", b"4", b"6", b"2", b"1"):
            terminal.press(key, 0.6)
        terminal.press(b"\x1bOP", 0.5)
        alive = terminal.process.poll() is None and b"Traceback" not in terminal.output
        return bytes(terminal.output), alive
    finally:
        terminal.close()


def commands_on_a_pty(path: Path, texts: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Run every command with hostile data; return what all wrote together, and what of it would have been obeyed."""
    folder = path.parent.parent / "hostile"
    folder.mkdir()
    places = {**hostile_commands.prepare(folder, texts), "project": str(path)}
    hostile_commands.register(folder / "model.gguf")
    with projects.open_project(path) as project:
        places["last"] = str(max(run.id for run in runs.list_runs(project)))
        places["record"], places["made"] = (
            project.read("SELECT id FROM records WHERE origin = ? ORDER BY number LIMIT 1", (origin,))[0][0]
            for origin in ("imported", "generated")
        )
    places["model"] = str(catalog.resolve(catalog.DEFAULT).path)
    control: dict[str, list[str]] = {}
    codes: dict[str, list[int]] = {}
    total, marks, tracebacks = 0, 0, []
    for name, words in hostile_commands.visits(places):
        terminal = Terminal(words, environment)
        deadline = time.monotonic() + COMMAND_LIMIT_S
        while terminal.process.poll() is None and len(terminal.output) < 1 << 24 and time.monotonic() < deadline:
            terminal.read(0.5, 5.0)
        terminal.read(0.3, 5.0)
        output = bytes(terminal.output)
        total, marks = total + len(output), marks + output.count(MARK.encode())
        if caught := found(output):
            control[shlex.join(words[4:])] = [str(one) for one in caught[:5]]
        if b"Traceback" in output or b"MarkupError" in output or b"That is a fault of augtui" in output:
            tracebacks.append(f"{shlex.join(words[4:])}: {output[-300:]!r}")
        codes.setdefault(name, []).append(terminal.close())
    return {"commands": len(codes), "command_bytes": total, "command_marks": marks, "command_control": control,
            "command_faults": tracebacks, "command_codes": codes}  # fmt: skip


def in_every_widget(texts: list[str]) -> tuple[int, list[str]]:
    """Show payloads in the widgets that no project brings them to; return how many screens, and what was wrong."""
    return asyncio.run(_in_every_widget(texts))


async def _in_every_widget(texts: list[str]) -> tuple[int, list[str]]:
    from augtui.cli.catalogue import describe
    from augtui.cli.main import app as commands
    from augtui.settings import load
    from augtui.store.listings import Filter
    from augtui.tui.app import Workshop
    from augtui.tui.jobs import Job
    from augtui.tui.screens.dialogs import Choice, Prompt, Question, Reading
    from augtui.tui.screens.filters import Filters
    from augtui.tui.screens.form import Form
    from augtui.tui.screens.models import Listed, _about
    from augtui.tui.screens.versus import Versus
    from augtui.tui.text import assemble, line, plain
    from augtui.tui.tryout import Sample, Tryout
    from augtui.tui.widgets.records import RecordsTable

    screens, wrong = 0, []
    app = Workshop(describe(commands), project="widgets", settings=load())

    def look(what: str) -> None:
        nonlocal screens
        screens += 1
        for strip in app.screen._compositor.render_strips():
            text = "".join(segment.text for segment in strip)
            hidden = [
                char for char in text if ord(char) < 32 or 0x7F <= ord(char) <= 0x9F or char in "\u202e\u2066\u200b"
            ]
            if hidden:
                wrong.append(f"{what}: {hidden!r} in {text[:80]!r}")

    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(0.3)
        refine = app.catalogue.get("refine")
        assert refine is not None
        for place in range(0, len(texts), 12):
            part = (texts + texts)[place : place + 12]
            app.action_show("batch")
            job = Job(
                1, ["refine", "--file", part[0]], "refine", status="running", run=1, hears=True, started=0, ended=1
            )
            job.total = 12
            for number, text in enumerate(part):
                tick = {"event": "tick", "counts": {"accepted": 1}, "reasons": {text[:60]: number}, "speed": 1.0,
                        "progress": None, "latest": [{"position": 1, "status": ["accepted", "failed"][number % 2],
                        "reason": text, "instruction": text, "text": text, "tries": 1}]}  # fmt: skip
                job.hear(json.dumps(tick).encode())
                job.hear(json.dumps({"event": "say", "what": text, "detail": text}).encode())
                job.hear(text.encode("utf-8", "replace").replace(b"\n", b" "))
            app.jobs.all[:] = [job]
            await pilot.pause(0.25)
            look("batch")
            app.action_show("models")
            await pilot.pause(0.1)
            models: Any = app.screen
            models.query_one("#about").update(
                _about({text[:30]: text for text in part}, Listed(part[0], (), 1, True, part[0]))
            )
            models._tryout = Tryout(app.settings)
            models._tryout.samples = tuple(Sample(text, True, text[:60], 1, 1.0) for text in part[:6])
            models._tryout.version += 1
            await pilot.pause(0.25)
            look("models")
            app.action_show("training")
            await pilot.pause(0.1)
            checkpoint = Path(os.environ["AUGTUI_HOME"]) / f"checkpoint {place} \x1b]0;{MARK}\x07[red]"
            checkpoint.mkdir(exist_ok=True)
            events = [{"event": part[0], "step": step, "loss": 1 / step, "lr": part[1]} for step in range(1, 5)]
            (checkpoint / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
            app.preferences["checkpoints"] = [str(checkpoint)]
            training: Any = app.screen
            training._events = None
            training.refresh_body()
            await pilot.pause(0.1)
            look("training")
            app.action_show("home")
            await pilot.pause(0.1)
            app.complain(StoreError(part[0], hint=part[-1]), part[1][:40])
            await pilot.pause(0.1)
            look("toast")
            app.clear_notifications()
            many = [(text, line(text, 60)) for text in part]
            dialogs: list[Any] = [
                Choice("choice", many),
                Prompt("prompt", plain(part[0][:300]), value=part[1]),
                Question("question", assemble([plain(part[2][:300])])),
                Reading("reading", plain("\n".join(text[:500] for text in part))),
                Form(refine, {"file": part[3 % len(part)], "model": part[0]}, defaults={"seed": part[1][:50]}),
                Filters(Filter(part[0]), [text[:60] for text in part], [(text[:20], 1) for text in part], []),
                Versus(_comparison(part)),
            ]
            for dialog in dialogs:
                app.push_screen(dialog)
                await pilot.pause(0.12)
                look(type(dialog).__name__)
                app.pop_screen()
                await pilot.pause(0.02)
        assert app.screen.query_one(RecordsTable) is not None
    return screens, wrong


def _comparison(texts: list[str]) -> Path:
    """Write a comparison of models in which every word is a payload."""
    rate = {"share": 0.5, "interval_95": [0.1, 0.9], "hits": 1, "cases": 2}
    side = {"name": texts[0], "answers": 1, "failed": 0, "accepted": rate, "parsed": rate, "mean_words": 1.0,
            "mean_words_kept": 1.0, "mean_tokens": 1.0, "tokens_per_second": 1.0}  # fmt: skip
    pairs = [
        {"prompt": text, "sample": 0, "before": {"text": text, "outcome": text, "reason": text, "tokens": 1, "words": 1,
         "words_kept": None}, "after": {"text": texts[0], "outcome": "accepted", "reason": text, "tokens": 1,
         "words": 1, "words_kept": 0.5}}
        for text in texts
    ]  # fmt: skip
    path = Path(os.environ["AUGTUI_HOME"]) / "comparisons" / "1.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"format": 1, "task": texts[1], "seed": 1, "guard": texts[2], "created_at": texts[3],
                                "before": side, "after": side, "lost": 0, "won": 0, "p_value": 1.0, "same": 0,
                                "rouge_l": 0.0, "pairs": pairs}))  # fmt: skip
    versus.markdown(versus.read(path))
    return path


def campaign(count: int, pages: int, *, commands: bool = True) -> dict[str, Any]:
    """Run everything; return the figures."""
    texts = list(payloads(count))
    result: dict[str, Any] = {"payloads": count}
    with tempfile.TemporaryDirectory(prefix="augtui-hostile-") as home:
        os.environ["AUGTUI_HOME"] = home
        path = Path(home) / "projects" / "hostile.db"
        path.parent.mkdir()
        build(path, texts)
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        output, alive = on_a_pty(path, pages, environment)
        result |= {"app_bytes": len(output), "app_marks": output.count(MARK.encode()), "app_alive": alive,
                   "app_control": [str(one) for one in found(output)[:5]]}  # fmt: skip
        if commands:
            print(json.dumps(result), file=sys.stderr, flush=True)
            result |= commands_on_a_pty(path, texts[:COMMAND_TEXTS], environment)
        screens, wrong = in_every_widget(texts)
        result |= {"widget_screens": screens, "widget_control": wrong[:5]}
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payloads", type=int, default=2000)
    parser.add_argument("--pages", type=int, default=None, help="pages that the app is walked through; default: all")
    options = parser.parse_args()
    pages = options.pages or -(-2 * options.payloads // (SIZE[1] - 20))
    print(json.dumps(campaign(options.payloads, pages), indent=1))
