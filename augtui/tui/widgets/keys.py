"""The line of keys at the foot of a screen: one widget that is painted.

Textual's own footer makes a widget of each key, and mounts and styles them anew whenever what is offered changes, which
is at every change of the focus: that was half of the time of a key that opens a screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.strip import Strip
from textual.widget import Widget

if TYPE_CHECKING:
    from textual.screen import Screen

Offer = tuple[str, str, str, bool]
"""A key, how it is shown, what it does, and whether it does so now."""


class KeyLine(Widget, can_focus=False):
    """Shows what keys do here; a click presses one. What does not fit is left out before the app's own keys are."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"keys--key", "keys--text"}
    DEFAULT_CSS = """
    KeyLine {
        dock: bottom; height: 1; color: $footer-foreground; background: $footer-background;
        .keys--key { color: $footer-key-foreground; text-style: bold; }
        .keys--text { color: $footer-description-foreground; }
    }
    """

    def __init__(self) -> None:
        """Offer nothing yet."""
        super().__init__()
        self._offers: tuple[list[Offer], list[Offer]] = ([], [])
        self._places: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        """Follow what the screen offers."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def on_unmount(self) -> None:
        """Follow it no longer."""
        self.screen.bindings_updated_signal.unsubscribe(self)

    def _changed(self, screen: Screen[object]) -> None:
        if self.is_attached and screen is self.screen and screen.app.app_focus:
            self.call_after_refresh(self.look)

    def look(self) -> None:
        """Look at what is offered now."""
        if not self.is_attached:  # the dialog was closed meanwhile
            return
        here: dict[str, Offer] = {}
        everywhere: dict[str, Offer] = {}
        for node, binding, enabled, _ in self.screen.active_bindings.values():
            if binding.show:
                offers = everywhere if node is self.app else here
                offers.setdefault(
                    binding.action, (binding.key, self.app.get_key_display(binding), binding.description, enabled)
                )
        offered = ([*here.values()], [*everywhere.values()])
        if offered != self._offers:
            self._offers = offered
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return the line."""
        width = self.size.width
        here, everywhere = self._offers
        room = width - sum(_width(offer) for offer in everywhere)
        fitting: list[Offer] = []
        for offer in here:
            if _width(offer) > room:
                break
            room -= _width(offer)
            fitting.append(offer)
        base = self.rich_style
        key_style = base + self.get_component_rich_style("keys--key", partial=True)
        text_style = base + self.get_component_rich_style("keys--text", partial=True)
        self._places = []
        segments: list[Segment] = []
        at = 0
        for key, shown, text, enabled in (*fitting, *everywhere):
            segments += [
                Segment(shown, key_style if enabled else text_style),
                Segment(f" {text}" if text else "", text_style),
                Segment(" ", base),
            ]
            end = at + _width((key, shown, text, enabled))
            self._places.append((at, end - 1, key if enabled else ""))
            at = end
        return Strip(segments).adjust_cell_length(width, base)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Press the key that was clicked."""
        for begin, end, key in self._places:
            if begin <= event.x < end:
                if key:
                    self.app.simulate_key(key)
                else:
                    self.app.bell()


def _width(offer: Offer) -> int:
    _, shown, text, _ = offer
    return cell_len(shown) + (cell_len(text) + 1 if text else 0) + 1
