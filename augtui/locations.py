"""Where augtui keeps its files: one home for data, one folder for logs, one for locks."""

from __future__ import annotations

import os
from pathlib import Path

APP = "augtui"


def home() -> Path:
    """Return the folder of projects and models: `AUGTUI_HOME`, else the platform's user data folder."""
    chosen = os.environ.get("AUGTUI_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path(APP, appauthor=False)


def projects() -> Path:
    """Return the folder of project databases."""
    return home() / "projects"


def logs() -> Path:
    """Return the folder of engine logs."""
    return home() / "logs"


def locks() -> Path:
    """Return the folder of run locks, which the operating system releases when a process dies."""
    return home() / "locks"


def config_file() -> Path:
    """Return the settings file: `config.toml` in `AUGTUI_HOME`, else in the platform's user config folder."""
    if os.environ.get("AUGTUI_HOME"):
        return home() / "config.toml"
    from platformdirs import user_config_path

    return user_config_path(APP, appauthor=False) / "config.toml"
