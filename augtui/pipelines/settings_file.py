"""A step's settings in a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from augtui.errors import UsageError


def read(name: str) -> dict[str, Any]:
    """Return what a TOML file says; raises UsageError if it cannot be read or is none."""
    try:
        return tomllib.loads(Path(name).expanduser().read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{name}: no such file") from None
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from None
    except ValueError as error:  # tomllib's own errors, and text that is not UTF-8
        raise UsageError(f"{name} is not TOML: {error}") from None
