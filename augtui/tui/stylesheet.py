"""Textual's style sheet, parsed once: else every rule is parsed anew whenever a screen is first seen."""

from __future__ import annotations

from textual.css.stylesheet import Stylesheet


class ParsedOnce(Stylesheet):
    """Keeps what was parsed for as long as the colours are the same."""

    def set_variables(self, variables: dict[str, str]) -> None:
        """Set the theme's colours; what was parsed with the same ones is kept."""
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Parse what is new, or everything where the colours are new."""
        self.parse()
