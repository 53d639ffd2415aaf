"""A fake hub, with an environment in which the real client knows no other."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.fakehub import FakeHub

REPO = "owner/tiny-GGUF"
NAMES = (
    "HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "HF_TOKEN", "HF_HUB_OFFLINE",
    "HUGGING_FACE_HUB_TOKEN", "TRANSFORMERS_OFFLINE", "AUGTUI_OFFLINE", "HF_HUB_DOWNLOAD_TIMEOUT",
    "HF_HUB_ETAG_TIMEOUT", "HF_HUB_DISABLE_SYMLINKS", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
    "http_proxy", "https_proxy", "all_proxy",
)  # fmt: skip


def gguf_bytes(size: int, seed: int = 0) -> bytes:
    """A file that begins like a GGUF file without tensors; the rest is noise."""
    return struct.pack("<4sIQQ", b"GGUF", 3, 0, 0) + random.Random(seed).randbytes(size - 24)


@pytest.fixture
def hub_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HF_HOME, and none of the user's own settings."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "2")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    return tmp_path / "hf"


@pytest.fixture
def hub(hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub


@pytest.fixture
def cdn_hub(hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub whose large files lie at another host."""
    with FakeHub(cdn=True) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub
