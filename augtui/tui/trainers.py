"""What can be trained and quantized here: the annexes' programs and their options, which a test holds to their parsers.

The annexes are never imported: they run as processes of their own, and may be missing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from augtui.tui.catalogue import Command, Parameter

SFT = Command(
    ("training.sft",),
    "Supervised fine-tuning of a Qwen2 model on chats, from scratch or continued, on a CPU or one GPU.",
    (
        Parameter("data", ("--data",), "path", "Chat JSONL, or a folder of token arrays.", required=True),
        Parameter("model", ("--model",), "path", "Checkpoint folder to continue from."),
        Parameter("init", ("--init",), "path", "config.json of a model to train from scratch, instead of a model."),
        Parameter("tokenizer", ("--tokenizer",), "path", "Tokenizer folder, if not in the model's."),
        Parameter("out", ("--out",), "path", "Checkpoint folder to write.", required=True),
        Parameter("epochs", ("--epochs",), "number", "Passes over the data; or steps, or minutes."),
        Parameter("steps", ("--steps",), "integer", "Optimizer steps."),
        Parameter("minutes", ("--minutes",), "number", "Wall-clock budget."),
        Parameter("batch_tokens", ("--batch-tokens",), "integer", "Padded tokens a step.", default="4096"),
        Parameter("max_length", ("--max-length",), "integer", "Longer chats are left out.", default="1024"),
        Parameter("optimizer", ("--optimizer",), "choice", "", ("muon", "adamw"), default="adamw"),
        Parameter("lr", ("--lr",), "number", "Learning rate of the matrices.", default="1e-05"),
        Parameter("seed", ("--seed",), "integer", "", default="0"),
        Parameter("threads", ("--threads",), "integer", "CPU threads; 0 is torch's choice.", default="0"),
        Parameter("log_steps", ("--log-steps",), "integer", "Steps between two reports.", default="10"),
        Parameter("resume", ("--resume",), "flag", "Go on from the last checkpoint in the output folder."),
    ),
)

QUANTIZE = Command(
    ("quantize",),
    "Convert a checkpoint (safetensors), or a full-precision GGUF file, to a GGUF file for this machine.",
    (
        Parameter("checkpoint", (), "path", "Checkpoint folder, or an F32, F16 or BF16 GGUF file.", required=True),
        Parameter("output", ("--output",), "path", "The GGUF file to write.", required=True),
        Parameter("type", ("--type",), "text", "Q8_0, Q4_K_M, …", default="Q8_0"),
        Parameter("name", ("--name",), "text", "The model's name in the file."),
    ),
)

PROGRAMS = (SFT, QUANTIZE)


@dataclass(frozen=True, slots=True)
class Report:
    """One line of events.jsonl."""

    step: int
    loss: float | None
    lr: float | None
    speed: float | None
    """Tokens a second."""
    progress: float | None
    is_done: bool


class Events:
    """Follows an events.jsonl as it grows; a line that is not whole yet is read the next time."""

    def __init__(self, folder: Path) -> None:
        """Follow the file in a checkpoint's folder, which need not be there yet."""
        self.path = folder / "events.jsonl"
        self._at = 0
        self._rest = b""
        self.reports: list[Report] = []

    def read(self) -> bool:
        """Read what has come; returns whether there was anything."""
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < self._at:  # another run has begun the file anew
                    self._at, self._rest, self.reports = 0, b"", []
                file.seek(self._at)
                fresh = file.read()
        except OSError:
            return False
        self._at += len(fresh)
        *lines, self._rest = (self._rest + fresh).split(b"\n")
        before = len(self.reports)
        for line in lines:
            self.reports.extend(_report(line))
        return len(self.reports) > before


def _report(line: bytes) -> Iterator[Report]:
    try:
        found = json.loads(line)
        step = int(found["step"])
    except (ValueError, KeyError, TypeError):
        return

    def number(name: str) -> float | None:
        value = found.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    is_done = found.get("event") == "done"
    yield Report(step, number("loss"), number("lr"), number("tokens_per_second"), number("progress"), is_done)
