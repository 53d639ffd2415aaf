"""Errors that a user can do something about, each with the exit code of its kind."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every augtui command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 3
    PARTIAL = 4
    INTERRUPTED = 130


class AugtuiError(Exception):
    """An expected failure: one line that says what happened, and a hint that says what to do next."""

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Keep `message` (one line) and `hint` (one line, or None)."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AugtuiError):
    """The command's arguments do not make sense together."""

    exit_code = ExitCode.USAGE


class InputError(AugtuiError):
    """The input as a whole cannot be read: missing, unreadable, of an unknown format or without the field."""

    exit_code = ExitCode.USAGE


class OutputError(AugtuiError):
    """The output cannot be written: no room, no permission, no such folder."""


class StoreError(AugtuiError):
    """The project's database cannot be used: damaged, locked by a running run, or of a newer version."""


class ModelError(AugtuiError):
    """The model cannot be found, is not a GGUF file, or cannot be loaded."""

    exit_code = ExitCode.UNAVAILABLE


class EngineError(AugtuiError):
    """The engine cannot be started or kept running."""

    exit_code = ExitCode.UNAVAILABLE
