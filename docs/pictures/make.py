"""Make the README's pictures from a real terminal: tmux runs the commands, Rich draws what stood on the screen.

    python docs/pictures/make.py

Needs tmux.
"""

from __future__ import annotations

import io
import subprocess
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
COLUMNS, LINES = 112, 32
SESSION = "augtui-picture"
PICTURES = {
    "refine": ["augtui refine --file examples/prompts.txt --limit 4"],
    "resume": [
        "seq -f 'Describe station number %g for a guide book' 400 > many.txt",
        "augtui refine --file many.txt -o refined.jsonl & sleep 2.5; kill -9 $!; wait",
        "augtui refine --file many.txt -o refined.jsonl",
        "augtui runs ls",
    ],
}


def tmux(*arguments: str) -> str:
    """Run a tmux command and return what it printed."""
    return subprocess.run(["tmux", *arguments], capture_output=True, text=True, check=True).stdout


def picture(name: str, commands: list[str]) -> None:
    """Run commands one after the other on a fresh screen and save it."""
    with tempfile.TemporaryDirectory() as home:
        environment = f"AUGTUI_HOME={home}/augtui PATH={ROOT}/.venv/bin:$PATH PS1='$ ' TERM=xterm-256color"
        shell = f"cd {home} && ln -s {ROOT}/examples examples && env {environment} bash --norc --noprofile"
        tmux("new-session", "-d", "-s", SESSION, "-x", str(COLUMNS), "-y", str(LINES), shell)
        try:
            time.sleep(1)
            for command in commands:
                tmux("send-keys", "-t", SESSION, command, "Enter")
                _wait_for_prompt()
            screen = tmux("capture-pane", "-t", SESSION, "-e", "-p", "-S", "0")
        finally:
            tmux("kill-session", "-t", SESSION)
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(screen.rstrip().removesuffix("$")))
    console.save_svg(str(FOLDER / f"{name}.svg"), title=f"augtui {name}" if name == "refine" else "augtui")
    print(f"{name}.svg")


def _wait_for_prompt(limit_s: float = 180) -> None:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        time.sleep(0.5)
        if tmux("capture-pane", "-t", SESSION, "-p").rstrip().endswith("$"):
            return
    raise SystemExit("the command did not end")


if __name__ == "__main__":
    for title, script in PICTURES.items():
        picture(title, script)
