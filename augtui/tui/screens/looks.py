"""The choice of a theme, shown live."""

from __future__ import annotations

from textual.widgets import OptionList

from augtui.tui import themes
from augtui.tui.screens.dialogs import Choice


class Looks(Choice):
    """Shows each theme as the cursor passes it; Escape brings the former one back."""

    def __init__(self, former: str) -> None:
        """Begin at the theme that is shown now."""
        ours = [theme.name for theme in themes.THEMES]
        super().__init__("Theme", [(name, name.removeprefix("augtui-")) for name in ours], chosen=former)
        self._former = former

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show it."""
        self.app.theme = self._options[event.option_index][0]

    def action_leave(self) -> None:
        """Bring the former theme back."""
        self.app.theme = self._former
        self.dismiss(None)
