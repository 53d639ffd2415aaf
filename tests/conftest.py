"""What all tests share: the folder of real data, an empty home, the default model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from augtui.models import catalog
from tests.models.hubs import cdn_hub, hub, hub_home  # noqa: F401  fixtures for all

# Before llama.cpp is loaded into this process: see `augtui.engines.client`.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data sets, which live beside the repository, not in it."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the shared data sets are not at {folder}")
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own for each test, so that no test sees another's projects or a user's settings."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("AUGTUI_HOME", str(folder))
    for name in ("AUGTUI_MODEL", "AUGTUI_PROJECT", "AUGTUI_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    yield folder


@pytest.fixture(scope="session")
def default_model() -> Path:
    """The GGUF file of the default model."""
    return catalog.resolve("default").path
