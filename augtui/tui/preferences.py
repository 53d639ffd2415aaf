"""What the app remembers from one time to the next: its theme."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from augtui import locations


def path() -> Path:
    """Return the file of what is remembered."""
    return locations.home() / "app.json"


def read() -> dict[str, Any]:
    """Return what is remembered; nothing where the file is missing or spoiled."""
    try:
        found = json.loads(path().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(values: dict[str, Any]) -> None:
    """Remember; a home that may not be written to is no reason to stop."""
    with suppress(OSError):
        path().parent.mkdir(parents=True, exist_ok=True)
        part = path().with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
        part.replace(path())
