"""5 Plots."""

from __future__ import annotations

from augtui.tui.screens.workbench import Workbench


class Plots(Workbench):
    """To come."""

    MODE = "plots"
