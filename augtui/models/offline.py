"""Offline mode: no command reaches for the network, and what is missing is said."""

from __future__ import annotations

import os

VARIABLE = "AUGTUI_OFFLINE"
TRUE = frozenset({"1", "on", "yes", "true"})
HINT = "Offline mode is on (--offline, AUGTUI_OFFLINE or HF_HUB_OFFLINE)."


def _is_true(name: str) -> bool:
    return os.environ.get(name, "").lower() in TRUE


def engage() -> None:
    """Turn offline mode on for this process and those that it starts."""
    os.environ[VARIABLE] = "1"


def everywhere() -> bool:
    """Return whether nothing beyond this machine may be reached: no hub, and no server either."""
    return _is_true(VARIABLE)


def hub() -> bool:
    """Return whether no hub may be reached; `HF_HUB_OFFLINE` says so of the hub alone."""
    return everywhere() or _is_true("HF_HUB_OFFLINE") or _is_true("TRANSFORMERS_OFFLINE")
