"""4 Models."""

from __future__ import annotations

from augtui.tui.screens.workbench import Workbench


class Models(Workbench):
    """To come."""

    MODE = "models"
