"""Jump mode: a letter over each part of the screen; the letter's key goes there."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

LETTERS = "asdfgqwertzxcvb"


class Jump(ModalScreen[Widget | None]):
    """Answers with the widget that was chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.pop_screen", "Close", id="jump.close")]

    def __init__(self, targets: list[Widget]) -> None:
        """Offer the widgets, in the order of the letters."""
        super().__init__()
        self._targets = dict(zip(LETTERS, targets, strict=False))

    def compose(self) -> ComposeResult:
        """Put a letter on the corner of each."""
        for letter, target in self._targets.items():
            label = Static(f" {letter} ", classes="jump", markup=False)
            label.styles.offset = Offset(target.region.x, target.region.y)
            yield label

    def on_key(self, event: events.Key) -> None:
        """Go there."""
        target = self._targets.get(event.key)
        if target is not None:
            event.stop()
            self.dismiss(target)
