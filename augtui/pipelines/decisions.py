"""What a step that selects decides of each record: kept, or dropped with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from augtui.domain.records import Record
from augtui.errors import UsageError

On = Literal["instruction", "response", "both"]
"""Which text of a record is looked at."""
ONS: Final[tuple[On, ...]] = get_args(On)

Progress = Callable[[int, int], None]
"""(records done, records in all), called now and then."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one record."""

    reason: str | None = None
    """Why it is dropped: a stable kind, such as `near duplicate`; None if it is kept."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that say exactly why. Positions in it count the records of the step's input from 0."""

    @property
    def kept(self) -> bool:
        """Return whether the record stays."""
        return self.reason is None


KEPT: Final = Decision()


def text_of(record: Record, on: On) -> str | None:
    """Return the text of a record that is looked at; None where it has no response."""
    if on == "instruction":
        return record.instruction
    if on == "response":
        return record.response
    return record.instruction if record.response is None else f"{record.instruction}\n{record.response}"


def require_threshold(threshold: float) -> None:
    """Refuse a similarity that cannot be one; raises UsageError."""
    if not 0 < threshold <= 1:
        raise UsageError(f"a threshold is above 0 and at most 1, not {threshold:g}")


def no_progress(done: int, total: int) -> None:
    """Say nothing."""
