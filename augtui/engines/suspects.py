"""Which requests a death of the engine may be blamed on, and which of them may run together until that is known.

A fault (SIGSEGV, an assertion, a hang) makes every request that was being computed a suspect. Suspects are run apart
from all others, in halves: a half that ends well is acquitted, one that does not is halved again, down to one request
alone. Blame therefore costs log2(n) restarts, and a death that was no request's fault costs next to no speed. One that
ends the engine alone, again and again, is condemned; the more deaths proved to be nobody's fault, the more it takes.

A signal from outside (SIGKILL, SIGTERM) says nothing of the requests, except where it meets the same ones every time:
the system kills a process that takes too much memory, and a request may be why.
"""

from __future__ import annotations

from collections.abc import Sequence

LONELY_KILLS = 3
"""A request that ends the engine so often in a row, in the same way, while alone in it is condemned."""
MOST_WAYS = 2
"""One that does it in ever other ways is condemned after so many times as many deaths."""
CHANCES = 2
"""So many signals from outside are not held against a request."""
MOST_LENIENCE = 4
"""An engine that has died of no request's fault is allowed up to so many more lonely deaths before one is condemned."""


class Suspects:
    """The groups of requests under suspicion; the last one is on trial."""

    def __init__(self) -> None:
        """Begin without any suspicion."""
        self._groups: list[list[str]] = []
        self._exposures: dict[str, int] = {}
        self._lonely: dict[str, list[str]] = {}
        self._open = False
        self._unexplained = 0

    @property
    def trial(self) -> Sequence[str]:
        """Return the requests to be run now, together and without any other; none where all is free to run."""
        return self._groups[-1] if self._groups else ()

    @property
    def kills_allowed(self) -> int:
        """Return after how many lonely deaths a request is condemned."""
        return LONELY_KILLS + min(self._unexplained, MOST_LENIENCE)

    def blame(self, present: Sequence[str], way: str, *, fault: bool) -> tuple[bool, str | None]:
        """Note a death with `present` in the engine; returns whether it narrowed suspicion, and whom it condemns.

        `way` tells one kind of death from another (a signal's name); `fault`, those of the engine's own from others.
        """
        for name in present:
            self._exposures[name] = self._exposures.get(name, 0) + 1
        accused = [name for name in present if fault or self._exposures[name] > CHANCES]
        if not accused:
            return False, None
        self._remove(accused)
        self._open = True
        if len(accused) > 1:
            middle = len(accused) // 2
            self._groups += [accused[middle:], accused[:middle]]
            return True, None
        name = accused[0]
        if len(present) == 1:
            deaths = self._lonely.setdefault(name, [])
            deaths.append(way)
            most = self.kills_allowed
            if (len(deaths) >= most and len(set(deaths[-most:])) == 1) or len(deaths) >= MOST_WAYS * most:
                self._open = False
                self._forget(name)
                return True, name
        self._groups.append([name])
        return True, None

    def release(self, name: str) -> None:
        """Take a request that ended out of suspicion."""
        self._remove([name])
        self._forget(name)
        if self._open and not self._groups:
            self._open = False
            self._unexplained += 1

    def _remove(self, names: Sequence[str]) -> None:
        for group in self._groups:
            group[:] = [name for name in group if name not in names]
        self._groups = [group for group in self._groups if group]

    def _forget(self, name: str) -> None:
        self._exposures.pop(name, None)
        self._lonely.pop(name, None)
