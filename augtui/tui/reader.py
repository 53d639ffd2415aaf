"""Reading a project without ever holding up a key: three threads, each with a connection of its own.

`quick` is for what a key waits for: a page, a record, its lineage. `slow` is for what reads whole tables: counts,
filters, searches, the search index; a new search interrupts the one before. `hands` is for what is written.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from augtui.store import search
from augtui.store.projects import Project, open_project

P = ParamSpec("P")
T = TypeVar("T")


class Lane:
    """One thread with one connection, which is opened when it is first asked."""

    def __init__(self, path: Path, name: str, *, searches: bool = False) -> None:
        """Prepare for the project at `path`; `searches` attaches the search index, too."""
        self._path = path
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._project: Project | None = None
        self._searches = searches
        self._busy = False
        self._closed = False
        self.attached = False
        """Whether the search index is at hand."""

    async def ask(self, question: Callable[Concatenate[Project, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `question(project, …)` returns, computed in the lane's thread; raises what it raises.

        Whoever asks a lane that was closed, since another project was opened or the app is left, is cancelled.
        """
        if self._closed:
            raise asyncio.CancelledError

        def answer() -> T:
            self._busy = True
            try:
                return question(self._opened(), *args, **kwargs)
            finally:
                self._busy = False

        return await asyncio.get_running_loop().run_in_executor(self._pool, answer)

    def interrupt(self) -> None:
        """End the query that is running now: its asker gets sqlite3.OperationalError."""
        if self._busy and self._project is not None:
            with suppress(sqlite3.Error):
                self._project.conn.interrupt()

    @property
    def is_open(self) -> bool:
        """Say whether there is a connection."""
        return self._project is not None

    def close(self) -> None:
        """Close the connection, and end the thread without waiting for it."""
        self._closed = True
        self.interrupt()
        with suppress(RuntimeError):
            self._pool.submit(self._close)
        self._pool.shutdown(wait=False)

    def _opened(self) -> Project:
        if self._project is None:
            self._project = open_project(self._path)
            self.attached = self._searches and search.attach(self._project)
        return self._project

    def _close(self) -> None:
        if self._project is not None:
            self._project.close()
            self._project = None


class Reader:
    """The lanes of a project."""

    def __init__(self, path: Path) -> None:
        """Prepare; nothing is opened yet."""
        self.path = path
        self.quick = Lane(path, "quick", searches=True)
        self.slow = Lane(path, "slow", searches=True)
        self.hands = Lane(path, "hands")

    def is_gone(self) -> bool:
        """Say whether the file that was opened is no longer where it was."""
        return self.quick.is_open and not self.path.exists()

    def close(self) -> None:
        """Close all lanes."""
        self.hands.close()
        self.quick.close()
        self.slow.close()
