"""3 Review."""

from __future__ import annotations

from augtui.tui.screens.workbench import Workbench


class Review(Workbench):
    """To come."""

    MODE = "review"
