"""6 Training."""

from __future__ import annotations

from augtui.tui.screens.workbench import Workbench


class Training(Workbench):
    """To come."""

    MODE = "training"
