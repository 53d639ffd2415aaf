"""The command that this process carries out. Each run keeps it, so that it can be continued by its number alone."""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augtui import locations


@dataclass(frozen=True, slots=True)
class Command:
    """Words of the command line, and what they meant where they were said."""

    words: tuple[str, ...]
    folder: str
    """Where relative paths began."""
    settings: Mapping[str, Any]
    """What variables and config.toml said at the time, other than the defaults."""

    is_ours: bool = True
    """Whether it was said in this home. A project that came by mail may hold any command: none of it is carried out."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values, sealed with this home's secret."""
        values = {"words": list(self.words), "folder": self.folder, "settings": dict(self.settings)}
        return {**values, "seal": _seal(values)}


_words: tuple[str, ...] | None = None
_expected: tuple[int, str] | None = None


@contextmanager
def saying(words: Sequence[str]) -> Iterator[None]:
    """Note the words of the command that is carried out meanwhile; a command inside another one is what counts."""
    global _words
    before = _words
    _words = tuple(words)
    try:
        yield
    finally:
        _words = before


def current() -> Command | None:
    """Return the command that is carried out, None where there is none."""
    if _words is None:
        return None
    from augtui.settings import given

    return Command(_words, str(Path.cwd()), given())


@contextmanager
def continuing(run: int, key: str) -> Iterator[None]:
    """Carry out a command to continue a run: no other run may be begun before that one is taken up."""
    global _expected
    _expected = (run, key)
    try:
        yield
    finally:
        _expected = None


def expected() -> tuple[int, str] | None:
    """Return number and key of the run that is to be taken up next, None where any may be begun."""
    return _expected


def taken_up(key: str) -> None:
    """Note that a run was taken up."""
    global _expected
    if _expected is not None and _expected[1] == key:
        _expected = None


def parsed(found: Mapping[str, Any]) -> Command | None:
    """Return a command that a run kept, None where it is none."""
    words, folder, settings = found.get("words"), found.get("folder"), found.get("settings")
    if not isinstance(words, list) or not isinstance(folder, str) or not isinstance(settings, dict):
        return None
    seal = _seal({"words": words, "folder": folder, "settings": settings})
    is_ours = seal is not None and hmac.compare_digest(seal.encode(), str(found.get("seal")).encode())
    return Command(tuple(map(str, words)), folder, settings, is_ours)


def _seal(values: Mapping[str, Any]) -> str | None:
    """Return the code that only this home can make of these values; None where it cannot keep a secret."""
    path = locations.home() / "secret"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"secret.{os.getpid()}.part")
            part.touch(0o600)
            part.write_text(secrets.token_hex(32))
            try:
                os.link(part, path)  # the first of two processes has made it
            except FileExistsError:
                pass
            finally:
                part.unlink()
        secret = path.read_text()
    except (OSError, ValueError):
        return None
    said = json.dumps(values, sort_keys=True)
    return hmac.new(secret.encode(), said.encode("utf-8", "replace"), "sha256").hexdigest()
