"""What computes inside a worker process: the worker feeds it and passes on what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from augtui.engines.base import Failure, ModelInfo, Outcome, Partial, Progress, Work


class LoadError(Exception):
    """The library refused the model; the log says why."""


class AdapterError(LoadError):
    """The library refused an adapter; the message names it."""


class Backend(Protocol):
    """A loaded model that works on many pieces at a time, step by step; one thread owns it."""

    @property
    def steps(self) -> int:
        """Return the steps so far: the parent takes a worker for hung that has work but makes none."""

    model: ModelInfo
    """What was loaded."""

    @property
    def busy(self) -> bool:
        """Return whether any work is waiting or under way."""

    def submit(self, work: Work) -> Failure | None:
        """Queue a piece of work; returns a failure if it can never be done."""

    def cancel(self, ids: set[str]) -> list[Failure]:
        """Drop work that waits or is under way; returns a failure for each piece dropped."""

    def admit(self) -> None:
        """Take waiting work up, as far as there is room."""

    def active_ids(self) -> set[str]:
        """Return the ids of the work that the next step will compute."""

    def step(self) -> Sequence[Outcome]:
        """Compute one step and return what it finished."""

    def partials(self) -> Sequence[Partial]:
        """Return the texts so far of answers that are to be told while they are written and that have grown."""

    def progress(self, rss_bytes: int) -> Progress:
        """Return the totals and the present load."""
