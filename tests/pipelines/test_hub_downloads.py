"""Data sets from a hub that stops sending: the real client in its child process, a hub on loopback, counted bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import constants

from augtui.errors import ExitCode
from augtui.models import cache
from augtui.models.download import Event, Fetching, Note, Planned
from augtui.pipelines import hub as hubs
from tests.models.fakehub import FakeHub, Fault, sha256

REPO = "owner/rows"
NAME = "train.jsonl"
ROW = b'{"instruction": "Name a colour, the %06d-th.", "output": "Red."}\n'
DATA = b"".join(ROW % number for number in range(10_000))
SIZE = len(DATA)
CARD = b"---\nlicense: cc-by-4.0\n---\n" + b"# Rows\n" * 9000
CHUNK_BYTES = 32 << 10
"""So much is lost at most where a connection breaks (`augtui.models.fetch.CHUNK_BYTES`)."""


@pytest.fixture(autouse=True)
def client(hub: FakeHub, hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client in this process may have been loaded for another hub; the child's would itself wait for a minute."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub_home / "hub"))
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "60")


def folder(home: Path) -> Path:
    return cache.repo_folder(home / "hub", REPO, "dataset")


def import_command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "augtui", "import", f"hf:{REPO}", *map(str, arguments)]


def augtui_import(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        import_command(*arguments), capture_output=True, text=True, timeout=240, env={**os.environ, **environment}
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_a_hub_that_stops_in_mid_file_is_asked_for_the_rest(hub: FakeHub, hub_home: Path) -> None:
    commit = hub.put(REPO, {NAME: DATA, "README.md": CARD})
    hub.fail(Fault("stall", at=40_000, seconds=300))

    def then(chosen: str) -> None:
        assert chosen == f"{REPO}: {NAME}"  # the card is here
        hub.fail(Fault("stall", at=300_000, seconds=300))

    seen: list[Event] = []
    (file,) = hubs.files(f"hf:{REPO}", then, see=seen.append, stall_s=1.0)
    assert (file.name, file.licence) == (f"hf:{REPO}/{NAME}@{commit[:12]}", "cc-by-4.0")
    assert file.path.read_bytes() == DATA
    assert file.path.resolve().name == sha256(DATA)
    for name, size in ((NAME, SIZE), ("README.md", len(CARD))):
        assert hub.bytes_of(name) <= size + CHUNK_BYTES
        assert [one.fault for one in hub.requests() if one.path.endswith(f"/{name}")] == ["stall", None]
    notes = [event.text for event in seen if isinstance(event, Note)]
    assert notes == ["the download stood still for 1 s; it goes on where it stopped"] * 2
    assert {event.files for event in seen if isinstance(event, Planned)} == {(NAME,)}
    assert [event for event in seen if isinstance(event, Fetching)][-1] == Fetching(SIZE, SIZE)
    before = len(hub.served)
    assert hubs.files(f"hf:{REPO}") == [file]
    assert [one.path for one in hub.served[before:]] == [f"/api/datasets/{REPO}/revision/main"]
    assert not list(folder(hub_home).rglob("*.incomplete"))


def test_a_hub_that_always_stops_is_given_up_and_what_came_is_kept(hub: FakeHub, hub_home: Path) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.fail(Fault("stall", at=300_000, seconds=300), *[Fault("stall", at=20_000, seconds=300)] * 20)
    done = augtui_import(AUGTUI_STALL="0.5")
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert f"the download of {REPO} stood still for 0.5 s" in done.stderr
    assert "Run the same command again: it goes on where it stopped." in done.stderr
    assert 3 <= len(hub.requests()) <= 16
    (part,) = folder(hub_home).rglob("*.incomplete")
    assert 200_000 < part.stat().st_size < SIZE
    assert not (folder(hub_home) / "refs").exists()
    hub.faults.clear()
    again = augtui_import("--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["records"] == 10_000


def test_what_an_earlier_import_left_is_taken_where_the_new_does_not_come(hub: FakeHub, hub_home: Path) -> None:
    old = hub.put(REPO, {NAME: DATA[: 100 * len(ROW % 0)]})
    (before,) = hubs.files(f"hf:{REPO}")
    hub.put(REPO, {NAME: DATA})
    hub.fail(*[Fault("stall", at=0, seconds=300)] * 20)
    said: list[str] = []
    assert hubs.files(f"hf:{REPO}", said.append, stall_s=0.3) == [before]
    assert said[-1] == f"the download of {REPO} stood still for 0.3 s; taking what the cache has"
    assert (folder(hub_home) / "refs" / "main").read_text() == old


def test_interrupted_it_ends_at_once_and_goes_on_where_it_stopped(hub: FakeHub, hub_home: Path) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.fail(Fault("stall", at=300_000, seconds=300))
    process = subprocess.Popen(import_command(), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not any(part.stat().st_size > 300_000 - CHUNK_BYTES for part in folder(hub_home).rglob("*.incomplete")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "what came is kept" in told and "Traceback" not in told
    again = augtui_import("--json")
    assert json.loads(again.stdout)["records"] == 10_000
    assert hub.bytes_of(NAME) <= SIZE + CHUNK_BYTES


def test_offline_nobody_is_asked_and_half_a_download_counts_for_nothing(hub: FakeHub, hub_home: Path) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.fail(*[Fault("stall", at=20_000, seconds=300)] * 20)
    assert augtui_import(AUGTUI_STALL="0.3").returncode == ExitCode.USAGE
    before = len(hub.served)
    for variable in ("HF_HUB_OFFLINE", "AUGTUI_OFFLINE"):
        offline = augtui_import(**{variable: "1"})
        assert offline.returncode == ExitCode.USAGE
        assert f"{REPO} is not in the cache, and offline mode is on" in offline.stderr
    assert len(hub.served) == before


def test_a_damaged_file_is_none(hub: FakeHub, hub_home: Path) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.fail(Fault("flip", at=8 * 1000))
    with pytest.raises(hubs.DownloadError, match=r"train.jsonl arrived damaged: its sha256 is not the hub's"):
        hubs.files(f"hf:{REPO}")
    (file,) = hubs.files(f"hf:{REPO}")
    assert file.path.read_bytes() == DATA
