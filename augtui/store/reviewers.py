"""Who judges: verdicts and prunings are signed, and what one takes back is one's own."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass

from augtui.store import db


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Who judges, and in which session: what one takes back is one's own."""

    name: str
    session: str
    """When and by which process it was begun."""

    @classmethod
    def here(cls, name: str | None = None) -> Reviewer:
        """Return the person at this machine, in a session that begins now; `name` is how verdicts are signed."""
        if not name:
            try:
                user = getpass.getuser()
            except (OSError, KeyError):  # an account without a name
                user = str(os.getuid())
            name = f"{user}@{socket.gethostname()}"
        return cls(db.storable(name), f"{db.now()} {os.getpid()} {os.urandom(3).hex()}")
