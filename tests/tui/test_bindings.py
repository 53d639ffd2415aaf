"""Names of keys: those that there are, and what is said of those that there are not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from augtui.tui import bindings
from augtui.tui.app import Workshop
from tests.tui.conftest import HOSTILE, settle


def test_names_of_keys_are_those_of_bindings_anywhere_in_the_app() -> None:
    known = ["app.quit", "records.down", "map.prune", "versus.export", "form.start", "models.verify"]
    assert bindings.unknown([*known, "record.down", "xyzzy"]) == {"record.down": "records.down", "xyzzy": None}


def test_a_name_that_means_nothing_is_told_once_the_app_is_loaded(
    workshop: Callable[..., Workshop], project_file: Path, home: Path
) -> None:
    keys = {"record.down": "ctrl+n", "app.home": "f5", HOSTILE[:40]: "f6"}
    lines = "".join(f"{_quoted(name)} = {_quoted(key)}\n" for name, key in keys.items())
    (home / "config.toml").write_text(f"[keys]\n{lines}", encoding="utf-8")
    told: list[str] = []

    async def go() -> None:
        app = workshop()
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await settle(pilot)
            told.extend(notice.message for notice in app._notifications)

    asyncio.run(go())
    assert any("'record.down'" in text and "records.down" in text for text in told)
    assert not any("app.home" in text for text in told)
    assert len(told) == 2
    assert not any("\x1b" in text for text in told)


def _quoted(text: str) -> str:
    return '"' + "".join(char if char.isalnum() or char in ".+ " else f"\\u{ord(char):04x}" for char in text) + '"'
