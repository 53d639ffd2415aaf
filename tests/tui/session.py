"""From the first run to an exported file on a real terminal: tmux drives the app, whose screens are the pictures.

    python tests/tui/session.py [--pictures docs/pictures]

Needs tmux. On the way the app is killed (kill -9) in the middle of a batch, started again, and goes on with the run.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLUMNS, LINES = 112, 34
LIMIT_S = 300.0


class Terminal:
    """A tmux session with a shell in a home of its own."""

    def __init__(self, home: Path, pictures: Path | None = None) -> None:
        """Start it; `pictures` is where `picture` saves."""
        self._socket = f"augtui-{os.getpid()}"
        self._home, self._pictures = home, pictures
        environment = {
            "AUGTUI_HOME": str(home / "augtui"), "PYTHONPATH": str(ROOT), "PS1": "$ ", "TERM": "tmux-256color",
            "COLORTERM": "truecolor", "LANG": "C.UTF-8", "HOME": str(home), "HISTFILE": "/dev/null",
        }  # fmt: skip
        words = [f"{name}={value}" for name, value in environment.items()]
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), "-c", str(home),
                   "env", *words, "bash", "--norc", "--noprofile")  # fmt: skip
        self.keys("alias augtui='" + sys.executable + " -P -m augtui'", "Enter")

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-L", self._socket, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def keys(self, *keys: str) -> None:
        """Press keys, by tmux's names for them."""
        self._tmux("send-keys", *keys)

    def screen(self) -> str:
        """Return the text on the screen."""
        return self._tmux("capture-pane", "-p")

    def until(self, pattern: str, limit_s: float = LIMIT_S) -> str:
        """Wait until the screen shows what the pattern says; return the screen. Raises TimeoutError."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            shown = self.screen()
            if re.search(pattern, shown):
                return shown
            time.sleep(0.1)
        raise TimeoutError(f"the screen never showed {pattern!r}:\n{self.screen()}")

    def picture(self, name: str) -> None:
        """Save the screen as an SVG file."""
        if self._pictures is None:
            return
        from rich.console import Console
        from rich.text import Text

        time.sleep(0.5)
        console = Console(record=True, width=COLUMNS, file=io.StringIO())
        shown = self._tmux("capture-pane", "-p", "-e", "-N").rstrip("\n")
        # Where this copy of augtui and its home lie is nobody's business; what stands behind them stays in its column.
        for place, short in ((self._home, "~"), (ROOT, "~/projects")):
            path = re.escape(str(place)) + r"([^\s\x1b]*)"
            shown = re.sub(path, lambda at, short=short: f"{short}{at[1]}".ljust(len(at[0])), shown)
        console.print(Text.from_ansi(shown))
        console.save_svg(str(self._pictures / f"{name}.svg"), title="augtui")

    def app(self) -> int:
        """Return the process id of the app in the terminal."""
        shell = int(self._tmux("display-message", "-p", "#{pane_pid}"))
        found = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(shell)], capture_output=True, text=True, check=True
        )
        return next(int(line.split()[0]) for line in found.stdout.splitlines() if "-m augtui" in line)

    def close(self) -> None:
        """End the session and all in it."""
        subprocess.run(["tmux", "-L", self._socket, "kill-server"], check=False, capture_output=True)


def session(home: Path, pictures: Path | None = None, say: Callable[[str], None] = lambda text: None) -> Path:
    """Go the whole way; return the exported file."""
    terminal = Terminal(home, pictures)
    try:
        terminal.keys("augtui", "Enter")
        terminal.until("Nothing here yet")
        terminal.picture("app-welcome")
        say("first run")
        terminal.keys("x")
        terminal.until(r"\$ augtui refine")
        terminal.keys("Enter")
        terminal.until(r"Batch: refine · run 1")
        terminal.until(r"32/32(?s:.*)finished|finished(?s:.*)32/32")
        if pictures is not None:
            terminal.until("refine finished")
            terminal.until(r"\A(?!(?s:.*)refine finished)")  # the toast has come and gone
        terminal.picture("app-batch")
        say("the example is refined")
        terminal.keys("3")
        terminal.until("uncertain first")
        terminal.picture("app-review")
        terminal.keys("a")
        terminal.until(r"1/31")
        terminal.keys("d")
        terminal.until("Why")
        terminal.keys("too", "Space", "long", "Enter")
        terminal.until(r"1/30")
        terminal.keys("u")
        terminal.until(r"1/31")
        say("reviewed")
        terminal.keys("4")
        terminal.until("with augtui")
        terminal.picture("app-models")
        terminal.keys("5")
        terminal.until("median")
        terminal.picture("app-plots")
        terminal.keys("6")
        terminal.until("Nothing was trained")
        terminal.keys("1")
        terminal.until(r"Records [1-9]\d*")
        terminal.until(r"✓ Refine +32")
        terminal.picture("app-home")

        many = home / "many.txt"
        many.write_text("".join(f"Describe station number {n} for a guide book\n" for n in range(3000)))
        terminal.keys("r")
        terminal.until(r"\$ augtui refine")
        terminal.keys("Escape")
        terminal.until(r"r Run step")
        terminal.keys("C-p")
        terminal.until("Search for commands")
        terminal.keys("expand", "Enter")
        terminal.until(r"\$ augtui expand")
        terminal.keys("-l", str(many))
        terminal.until("many.txt")
        terminal.keys("C-s")
        terminal.until(r"expand (?:\d+% )?●")
        terminal.keys("2")
        terminal.until(r"[1-9]\d*/9,000")
        os.kill(terminal.app(), signal.SIGKILL)
        terminal.keys("", "Enter", "stty sane; clear; augtui", "Enter")
        terminal.until("was interrupted")
        terminal.picture("app-interrupted")
        say("killed in the middle of a batch, opened again: the run is offered")
        terminal.keys("c")
        shown = terminal.until(r"[1-9]\d*/9,000")
        assert "expand" in shown
        terminal.keys("x")
        terminal.until("stopped; what is done is saved")
        say("resumed, and stopped in good order")

        terminal.keys("1")
        terminal.until("Records")
        terminal.keys("e")
        terminal.until(r"\$ augtui export")
        terminal.keys("-l", "jsonl")
        terminal.until("--as jsonl")
        terminal.keys("C-s")
        target = home / "default.jsonl"
        deadline = time.monotonic() + LIMIT_S
        while not target.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        if not target.exists():
            raise TimeoutError(f"nothing was exported:\n{terminal.screen()}")
        say(f"exported {target.stat().st_size:,} bytes")
        terminal.until("export ✓")  # else leaving asks whether to stop it
        terminal.keys("C-q")
        terminal.until(r"\$\s*\Z")
        return target
    finally:
        terminal.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="augtui-session-") as folder:
        session(Path(folder), options.pictures, print)
