"""With everything pulled once, no command reaches for the network: every socket refuses, and tells if it was asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from augtui.errors import ModelError
from augtui.models import catalog, pull, reference, registry
from tests.models.fakehub import FakeHub

REFUSING = """
import os, socket
def refuse(*values, **named):
    with open(os.environ["SOCKETS_ASKED"], "a") as file:
        file.write(f"{values!r}\\n")
    raise OSError("this socket refuses")
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
"""


@pytest.fixture
def refusing(tmp_path: Path) -> dict[str, str]:
    """An environment in which every Python process of a command has sockets that refuse."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(REFUSING)
    inherited = os.environ.get("PYTHONPATH", str(Path(__file__).parents[2]))
    return {
        **os.environ, "PYTHONPATH": os.pathsep.join([str(folder), inherited]),
        "SOCKETS_ASKED": str(tmp_path / "asked"),
    }  # fmt: skip


def augtui(*arguments: object, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "augtui", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_no_command_asks_for_a_socket_once_all_is_pulled(
    hub: FakeHub, refusing: dict[str, str], tmp_path: Path, default_model: Path
) -> None:
    hub.put("owner/nano-Refine-GGUF", {"nano-refine.Q8_0.gguf": default_model.read_bytes()})
    pulled = pull.pull(reference.parse("hf:owner/nano-Refine-GGUF"))
    before = len(hub.served)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Name a colour\nName a fruit\n")
    fast = ["--max-tokens", 16, "--retries", 0, "--slots", 2, "-q"]
    commands: list[list[object]] = [
        ["refine", "-m", "nano-refine", "--file", prompts, *fast],
        ["expand", "-m", "hf:owner/nano-Refine-GGUF:Q8_0", "--file", prompts, *fast],
        ["ls"], ["ls", "--available"], ["show", "nano-refine"], ["show", "default"], ["show", "qwen2-7b-refine"],
        ["verify"], ["ps"], ["paths"], ["runs", "ls"], ["pull", "hf:owner/nano-Refine-GGUF", "--offline"],
        ["rm", "nano-refine", "--yes"],
    ]  # fmt: skip
    for command in commands:
        done = augtui(*command, environment=refusing)
        assert done.returncode in (0, 4), (command, done.stderr)
        if command[0] == "refine":
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            assert [line["instruction"] for line in lines] == ["Name a colour", "Name a fruit"]
            assert {line["provenance"]["model_sha256"] for line in lines} == {pulled.files[0].sha256}
    assert not Path(refusing["SOCKETS_ASKED"]).exists()
    assert len(hub.served) == before
    assert registry.load() == []
    # The same environment does catch who asks.
    asked = augtui("pull", "hf:owner/nano-Refine-GGUF", environment=refusing)
    assert asked.returncode == 3
    assert Path(refusing["SOCKETS_ASKED"]).exists()


@pytest.mark.parametrize("variable", ["AUGTUI_OFFLINE", "HF_HUB_OFFLINE"])
def test_what_is_missing_is_said_with_what_to_do(
    hub: FakeHub, refusing: dict[str, str], tmp_path: Path, variable: str
) -> None:
    environment = {**refusing, variable: "1"}
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Name a colour\n")
    done = augtui("refine", "-m", "qwen2-1.5b-refine", "--file", prompts, environment=environment)
    assert (done.returncode, done.stdout) == (3, "")
    assert "qwen2-1.5b-refine is not on this machine" in done.stderr
    assert "augtui pull qwen2-1.5b-refine fetches it. Offline mode is on" in done.stderr
    done = augtui("pull", "qwen2-1.5b-refine", environment=environment)
    assert done.returncode == 3
    assert "Qwen2-1.5B-Instruct-Refine-GGUF is not in the cache, and offline mode is on" in done.stderr
    assert not Path(refusing["SOCKETS_ASKED"]).exists()
    assert hub.served == []


def test_a_server_elsewhere_is_out_of_reach_and_one_here_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGTUI_OFFLINE", "1")
    with pytest.raises(ModelError, match=r"api.example.com is not this machine"):
        catalog.resolve("https://api.example.com/v1#large")
    assert catalog.resolve("http://127.0.0.1:9/v1#small").name == "small"
    monkeypatch.delenv("AUGTUI_OFFLINE")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert catalog.resolve("https://api.example.com/v1#large").name == "large"
