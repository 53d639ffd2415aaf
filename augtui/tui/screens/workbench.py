"""What all screens have in common: the line of screens above, the keys below, a body between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from augtui.domain.visible import excerpt
from augtui.tui.text import assemble
from augtui.tui.widgets.keys import KeyLine

if TYPE_CHECKING:
    from augtui.tui.app import Workshop

NAMES: tuple[tuple[str, str], ...] = (
    ("home", "Home"),
    ("batch", "Batch"),
    ("review", "Review"),
    ("models", "Models"),
    ("plots", "Plots"),
    ("training", "Training"),
)
"""The screens by the names of their modes, in the order of their keys."""


class Tabs(Static):
    """The line of screens; a click goes to one."""

    _line: Content | None = None
    _places: list[tuple[int, str]]
    """Where each screen's name ends."""

    def show(self, current: str, project: str, state: Content) -> None:
        """Show the screens, and to the right the project and what goes on in it."""
        pieces: list[tuple[str, str]] = [(" ", "")]
        self._places = []
        at = 1
        for number, (name, title) in enumerate(NAMES, start=1):
            is_current = name == current
            short = title if is_current or self.size.width >= 76 else title[:3]
            pieces += [
                (f" {number}", "bold $accent" if is_current else "$accent"),
                (f" {short} ", "bold $foreground" if is_current else "$foreground-muted"),
            ]
            at += len(short) + 4
            self._places.append((at, name))
        tabs = assemble(pieces)
        room = max(8, self.size.width - tabs.cell_length - state.cell_length - 4)
        right = assemble([(excerpt(project, room), "bold"), "  " if state else "", state, " "])
        gap = max(1, self.size.width - tabs.cell_length - right.cell_length)
        line = assemble([tabs, " " * gap, right])
        if line != self._line:
            self._line = line
            self.update(line)

    def on_click(self, event: events.Click) -> None:
        """Go to the screen that was clicked."""
        name = next((name for end, name in self._places if event.x < end), None)
        if name is not None:
            cast("Workshop", self.app).action_show(name)


class Workbench(Screen[None]):
    """One of the six screens."""

    MODE: ClassVar[str] = ""
    """The name of its mode."""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-middle"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-tall"), (50, "-high")]  # noqa: RUF012

    @property
    def workshop(self) -> Workshop:
        """Return the app."""
        return cast("Workshop", self.app)

    def compose(self) -> ComposeResult:
        """Put the body between the line of screens and the keys."""
        yield Tabs(id="tabs", markup=False)
        yield from self.body()
        yield KeyLine()

    def body(self) -> ComposeResult:
        """Yield the widgets of the screen."""
        yield from ()

    def on_mount(self) -> None:
        """Keep the line of screens true."""
        self.set_interval(0.5, self.show_state)
        self.call_after_refresh(self.show_state)

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Tell what is going on as soon as the screen is seen."""
        # A new theme is noticed by switching; matching every rule anew takes longer than painting.
        event.refresh_styles = False
        self.show_state()
        self.refresh_body()

    def on_resize(self) -> None:
        """Fit the line of screens to the new width."""
        self.call_after_refresh(self.show_state)

    def show_state(self) -> None:
        """Show the project and the job at work."""
        if self.is_current:
            self.query_one("#tabs", Tabs).show(self.MODE, self.workshop.project_name, self.workshop.state())

    def refresh_body(self) -> None:
        """Show what may have changed while another screen was seen."""

    def project_changed(self) -> None:
        """Show another project, or what another process has written into this one."""
