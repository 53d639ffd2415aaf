"""The names of the app's keys, as config.toml and F1 say them."""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Iterable, Iterator
from importlib import import_module

from textual.binding import Binding
from textual.dom import DOMNode

from augtui import tui


def unknown(names: Iterable[str]) -> dict[str, str | None]:
    """Return those of the names that no binding has, each with one that is nearly written so, None where none is.

    Loads every module of the app, for bindings belong to widgets and screens.
    """
    for module in pkgutil.walk_packages(tui.__path__, f"{tui.__name__}."):
        import_module(module.name)
    known = sorted(set(_ids(DOMNode)))
    alike = {name: difflib.get_close_matches(name, known, n=1) for name in names if name not in known}
    return {name: found[0] if found else None for name, found in alike.items()}


def _ids(kind: type[DOMNode]) -> Iterator[str]:
    if kind.__module__.startswith(tui.__name__):
        yield from (one.id for one in kind.__dict__.get("BINDINGS", ()) if isinstance(one, Binding) and one.id)
    for below in kind.__subclasses__():
        yield from _ids(below)
