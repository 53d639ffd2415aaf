"""Work beside the interface: an expected failure becomes a toast that says what to do next."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from textual.dom import DOMNode

from augtui.errors import AugtuiError

if TYPE_CHECKING:
    from augtui.tui.app import Workshop


def spawn(
    node: DOMNode, work: Callable[[], Awaitable[object]], *, group: str = "default", exclusive: bool = False
) -> None:
    """Do asynchronous work for a screen or widget; it ends with it. `exclusive` ends what the group does already."""

    async def watched() -> None:
        try:
            await work()
        except (AugtuiError, sqlite3.Error, OSError) as error:
            cast("Workshop", node.app).complain(error)

    node.run_worker(cast("Any", watched), group=group, exclusive=exclusive)
