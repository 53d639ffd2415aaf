"""Hashes a model's files again: a bad disk, or a program that writes into the cache, changes bytes silently."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from augtui.models import catalog, checksums, registry
from augtui.models.registry import Pulled

Verdict = Literal["ok", "damaged", "missing", "unreadable"]


@dataclass(frozen=True, slots=True)
class Checked:
    """A file, and whether its bytes are those that came."""

    model: str
    path: Path
    bytes: int
    expected: str
    found: str | None
    verdict: Verdict


def verify(pulled: Pulled, progress: Callable[[int], None] | None = None) -> Iterator[Checked]:
    """Yield a verdict on each file of a model, hashed now, and note it if all are well.

    `progress` hears how many bytes were read.
    """
    well = True
    for file in pulled.files:
        checked = _check(pulled.key, pulled.path_of(file), file.bytes, file.sha256, progress)
        well = well and checked.verdict == "ok"
        yield checked
    if well:
        registry.confirm(pulled.key)


def verify_default(progress: Callable[[int], None] | None = None) -> Checked:
    """Return a verdict on the default model, by the sum that the package has of it."""
    line = files("augtui.models.bundled").joinpath("SHA256SUMS").read_text(encoding="ascii")
    expected = next(entry.split()[0] for entry in line.splitlines() if entry.split()[1] == catalog.DEFAULT_FILE)
    path = Path(str(files("augtui.models.bundled").joinpath(catalog.DEFAULT_FILE)))
    return _check(catalog.DEFAULT, path, path.stat().st_size if path.exists() else 0, expected, progress)


def _check(name: str, path: Path, size: int, expected: str, progress: Callable[[int], None] | None) -> Checked:
    try:
        found = checksums.fresh(path, progress)
        there = path.stat().st_size
    except FileNotFoundError:
        return Checked(name, path, size, expected, None, "missing")
    except OSError:
        return Checked(name, path, size, expected, None, "unreadable")
    return Checked(name, path, there, expected, found, "ok" if found == expected else "damaged")
