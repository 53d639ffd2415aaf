"""Every command of the command line on a pty, on hostile files, names, projects, recipes and models.

`VISITS` is held to the command line by a test: a command that is new there must be given hostile data here.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

MARK = "QZ7"
NAME = f"h\x1b]0;{MARK}\x07\x9b31m\u202e[red]{MARK}"
"""A hostile file's name: it sets titles, colours and the direction of writing, in escape sequences and in markup."""
SHORT = ("--limit", "6", "--max-tokens", "16", "--retries", "0", "--slots", "4")

FILE, NAMED, TABLE, PROJECT, RECIPE, FOLDER = "{file}", "{named}", "{table}", "{project}", "{recipe}", "{folder}"
"""Stand in the words below for hostile things: JSON lines, a file of that name, CSV, a project, a recipe, a folder."""

VISITS: dict[str, tuple[tuple[str, ...], ...]] = {
    "import": ((FILE, "-p", PROJECT), (NAMED, "-p", PROJECT), (TABLE, "-p", PROJECT),
               (f"{FOLDER}/{NAME}", "-p", PROJECT)),
    "export": (("--as", "jsonl", "-p", PROJECT), ("--as", "alpaca", "-p", PROJECT, "--limit", "50"),
               ("--as", "sharegpt", "-f", NAMED), ("--as", "jsonl", "-p", PROJECT, "--task", NAME),
               ("--as", "csv", "-p", PROJECT, "-o", f"{FOLDER}/{NAME}.csv"), ("--as", NAME, "-p", PROJECT)),
    "refine": (("-f", FILE, "-p", PROJECT, *SHORT), ("-f", NAMED, "-p", PROJECT, *SHORT, "--json"),
               ("-f", FILE, "-p", PROJECT, "-m", NAME), ("-f", FILE, "-p", PROJECT, "--field", NAME)),
    "expand": (("-f", FILE, "-p", PROJECT, "--count", "1", *SHORT),),
    "respond": (("-f", FILE, "-p", PROJECT, "-m", "{model}", "--style", "general", "--system", NAME, *SHORT),),
    "pairs": (("-f", FILE, "-p", PROJECT, "--style", "general", "--count", "1", *SHORT),),
    "translate": (("-f", FILE, "-p", PROJECT, "-m", "default", "--style", "general", "--to", "zh", *SHORT),),
    "classify": (("-f", FILE, "-p", PROJECT, "-m", "default", "--style", "general", *SHORT),),
    "check": (("-f", FILE, "-p", PROJECT, "--limit", "60"),
              ("-f", NAMED, "--dropped", "{folder}/x.jsonl", "--limit", "60"), ("-f", FILE, "--rules", NAME)),
    "balance": (("-f", FILE, "-p", PROJECT, "--limit", "60", "--size", "20", "--label-field", "label"),),
    "dedupe": (("-f", FILE, "--limit", "60"), ("-f", NAMED, "--limit", "60", "--method", NAME)),
    "decontaminate": (("-f", FILE, "--against", NAMED, "--limit", "60"), ("-f", FILE, "--against", NAME)),
    "trainset": (("-o", "{folder}/set.jsonl", "-p", PROJECT), ("-o", "{folder}/set.jsonl", "-f", NAMED)),
    "compare": (("default", "default", "-f", FILE, "--limit", "4", "--max-tokens", "16", "--show", "9"),
                ("default", NAME)),
    "bench": (("-f", NAMED, "--limit", "4", "--slots", "2", "--max-tokens", "8"), ("-m", NAME)),
    "pull": ((NAME, "--offline"),),
    "ls": ((), ("--json",), ("--available",)),
    "show": (("default",), (NAME,), ("hostile",)),
    "rm": ((NAME, "--yes"),),
    "verify": (("hostile",), (NAME,)),
    "ps": ((),),
    "plot": (("tasks", "-o", "{folder}/p.svg", "-p", PROJECT), (NAME, "-o", "{folder}/p.svg")),
    "clusters map": (("-p", PROJECT, "--layout", "pca"), ("-p", PROJECT, "-m", NAME)),
    "clusters": (("-p", PROJECT), ("-p", PROJECT, "--all", "--json")),
    "clusters show": (("1", "-p", PROJECT), (NAME, "-p", PROJECT)),
    "clusters prune": (("1", "-p", PROJECT, "--reason", NAME, "--yes"), (NAME, "-p", PROJECT)),
    "clusters undo": (("-p", PROJECT),),
    "paths": ((),),
    "project new": ((NAME,),),
    "project ls": ((), ("--json",)),
    "project rm": ((NAME, "--yes"),),
    "records": (("-p", PROJECT, "--limit", "400"), ("-p", PROJECT, "--json", "--limit", "400"),
                ("-p", PROJECT, "--search", MARK, "--limit", "400"), ("-p", PROJECT, "--state", NAME)),
    "records show": (("{record}", "-p", PROJECT), ("{record}", "-p", PROJECT, "--json"), ("{made}", "-p", PROJECT),
                     (NAME, "-p", PROJECT)),
    "pipeline run": ((RECIPE, "-f", FILE, "-p", PROJECT, "--limit", "6", "--dry-run"),
                     (RECIPE, "-f", FILE, "-p", PROJECT, "--limit", "60", "-o", "{folder}/out.jsonl"),
                     (RECIPE, "-f", FILE, "-p", PROJECT, "--limit", "6", "--set", NAME), (NAME, "-f", FILE)),
    "pipeline ls": (("-p", PROJECT),),
    "pipeline show": ((RECIPE, "-p", PROJECT), (NAME, "-p", PROJECT), ("1", "-p", PROJECT),
                      ("1", "--stage", "first", "-p", PROJECT), ("1", "--stage", NAME, "-p", PROJECT)),
    "runs ls": (("-p", PROJECT), ("-p", PROJECT, "--json")),
    "runs show": (("1", "-p", PROJECT), ("1", "-p", PROJECT, "--json")),
    "runs resume": (("1", "-p", PROJECT), ("{last}", "-p", PROJECT)),
    "quantize convert": ((NAMED, "-o", "{folder}/x.gguf"), (FOLDER, "-o", f"{FOLDER}/{NAME}.gguf")),
    "quantize adapter": ((FOLDER, "-o", "{folder}/x.gguf", "--base", NAMED),),
    "quantize imatrix": ((NAMED, NAMED, "-o", "{folder}/x.gguf"),),
    "quantize compare": ((NAMED, FILE, "-f", NAMED), ("{model}", "{model}", "-f", NAMED)),
    "quantize verify": ((NAMED, FOLDER),),
    "quantize audit": (("-m", NAME), ("-m", NAMED, "-f", FILE)),
}  # fmt: skip
"""What each command is given: its words after its name."""


RECIPE_TEXT = """
name = NAME
description = NAME

[[steps]]
use = "dedupe"
name = "first"

[[steps]]
use = "check"
name = "second"
rules = ["usual"]
"""
"""Its strings are JSON's, which TOML reads as well."""


def prepare(folder: Path, texts: list[str]) -> dict[str, str]:
    """Write the hostile files into a folder; return what stands for the words of `VISITS`."""
    rows = [
        {"id": text[:40], "instruction": text[:4000], "output": text[:400], "label": text[:12], "note": text[:80]}
        for text in texts
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    file, named, table = folder / "hostile.jsonl", folder / f"{NAME}.jsonl", folder / "hostile.csv"
    broken = "".join(f"{text[:60]}\n" for text in texts[:20] if "\n" not in text)
    file.write_text(lines + broken, "utf-8")
    named.write_text(lines + broken, "utf-8")
    with table.open("w", newline="", encoding="utf-8", errors="replace") as target:
        writer = csv.DictWriter(target, list(rows[0]))
        writer.writeheader()
        writer.writerows({name: value.replace("\x00", "") for name, value in row.items()} for row in rows)
    # TOML has no raw control characters: they come in by its escapes.
    recipe = folder / "recipe.toml"
    name = json.dumps(NAME)
    recipe.write_text(RECIPE_TEXT.replace("NAME", name))
    return {"file": str(file), "named": str(named), "table": str(table), "recipe": str(recipe), "folder": str(folder)}


def register(path: Path) -> None:
    """Put a model with hostile words into the registry."""
    from augtui.models import registry

    path.write_bytes(b"GGUF" + NAME.encode())
    registry.made_here("hostile", NAME, path, "0" * 64)


def visits(places: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Yield every call: its command's name, and all its words."""
    for name, calls in VISITS.items():
        for call in calls:
            words = []
            for word in call:
                for place, value in places.items():
                    word = word.replace(f"{{{place}}}", value)
                words.append(word)
            yield name, [sys.executable, "-P", "-m", "augtui", *name.split(), *words]


def environment(home: Path) -> dict[str, str]:
    """Return the variables of the commands: a home of their own, and a line that is too narrow for nothing."""
    return {**os.environ, "AUGTUI_HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
