"""Opening the app: what its first paint needs, and no more; the rest is loaded while a person looks at it.

Of the settings that is the project's name and the keys. They are read here without pydantic, which takes longer to load
than the first screen takes to paint; what is not as plain as usual is left to `augtui.settings`, before the app opens.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import threading
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from augtui import locations
from augtui.errors import UsageError
from augtui.tui.catalogue import Catalogue, Command

if TYPE_CHECKING:
    from augtui.settings import Settings


ESCAPE_S = 0.03
"""How long an Escape may be the beginning of a sequence."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What a glance at the settings tells."""

    project: str = "default"
    keys: Mapping[str, str] = field(default_factory=dict)


def glance(project: str | None = None) -> Glance | None:
    """Return the settings that the first paint needs, None where only `augtui.settings` can tell."""
    variables = {name.upper(): value for name, value in os.environ.items()}
    named = project or variables.get("AUGTUI_PROJECT")
    if variables.get("AUGTUI_KEYS"):
        return None
    try:
        with locations.config_file().open("rb") as file:
            found = tomllib.load(file)
    except FileNotFoundError:
        return Glance(named or "default")
    except (OSError, ValueError):
        return None
    keys = found.get("keys", {})
    project_there = found.get("project", "default")
    if not isinstance(project_there, str) or not isinstance(keys, dict):
        return None
    if not all(isinstance(value, str) for value in keys.values()):
        return None
    return Glance(named or project_there, keys)


def run(
    commands: Callable[[], Sequence[Command]],
    program: tuple[str, ...],
    *,
    project: str | None = None,
    screen: str | None = None,
) -> int:
    """Run the app until it is left; returns the exit code. Raises UsageError for an unknown screen or project name."""
    # Loading makes a hundred thousand objects that all stay: collecting garbage among them only takes time.
    gc.disable()
    from augtui.tui.app import Workshop
    from augtui.tui.screens.workbench import NAMES

    if screen is not None and screen not in dict(NAMES):
        raise UsageError(f"there is no screen {screen!r}", hint=f"One of: {', '.join(dict(NAMES))}")
    seen = glance(project)
    settings: Settings | Callable[[], Settings] = partial(_load, project)
    if seen is None:
        settings = _load(project)
        seen = Glance(settings.project, settings.keys)
    _watch_terminal()
    quicken_escape(os.environ)
    app = Workshop(Catalogue(commands, program), project=seen.project, screen=screen, settings=settings, keys=seen.keys)
    code = app.run()
    if app.fault is not None:
        raise app.fault
    return app.return_code or int(code or 0)


def _watch_terminal() -> None:
    """End this process when its terminal is gone, wherever no signal says so.

    A terminal that is closed sends SIGHUP to what it began; it does not reach an app in a session of its own, whose
    writes then wait for ever. What was decided is in the project, and jobs stop in good order when their stdin ends.
    """
    if not hasattr(select, "poll"):  # Windows
        return
    poll = select.poll()
    poll.register(sys.stdin.fileno(), 0)

    def wait() -> None:
        poll.poll()  # of no event but a hang-up, an error or a closed descriptor
        os._exit(128 + signal.SIGHUP)

    threading.Thread(target=wait, name="terminal", daemon=True).start()


def quicken_escape(environment: Mapping[str, str]) -> None:
    """Wait less for what may follow an Escape: Textual's 100 ms are what a sequence may take over a network.

    As with curses, ESCDELAY (in milliseconds) sets another time.
    """
    if not {"ESCDELAY", "SSH_CONNECTION", "MOSH_CONNECTION"} & environment.keys():
        from textual import constants

        constants.ESCAPE_DELAY = ESCAPE_S  # type: ignore[misc]  # final for those who only read it


def _load(project: str | None) -> Settings:
    from augtui.settings import load

    return load(project=project)
