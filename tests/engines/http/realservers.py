"""Real OpenAI-compatible servers on loopback, each in a process of its own, with the default model."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVERS = ("llama-cpp-python", "llama-server")
START_LIMIT_S = 60.0


@contextlib.contextmanager
def running(name: str, model: Path, log: Path) -> Iterator[str]:
    """Start a server, yield its address once it serves, and end it; skips the test where the server is missing."""
    port = _free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(_command(name, model, port), stdout=output, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}/v1"
        deadline = time.monotonic() + START_LIMIT_S
        while not _serves(address):
            assert process.poll() is None, log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < deadline, f"{name} does not serve"
            time.sleep(0.1)
        yield address
    finally:
        process.kill()
        process.wait()


def _command(name: str, model: Path, port: int) -> list[str]:
    place = ["--model", str(model), "--host", "127.0.0.1", "--port", str(port)]
    if name == "llama-cpp-python":
        for package in ("fastapi", "uvicorn", "sse_starlette", "starlette_context"):
            if importlib.util.find_spec(package) is None:
                pytest.skip(f"llama-cpp-python's server needs {package}")
        return [sys.executable, "-m", "llama_cpp.server", *place, "--n_ctx", "2048", "--n_threads", "1"]
    executable = os.environ.get("AUGTUI_LLAMA_SERVER") or shutil.which("llama-server")
    if executable is None:
        pytest.skip("no llama-server: AUGTUI_LLAMA_SERVER names none, and there is none on PATH")
    return [executable, *place, "--ctx-size", "8192", "--parallel", "4", "--threads", "1", "--jinja"]


def _serves(address: str) -> bool:
    # No proxy, whatever the environment says: a test sets one that leads nowhere.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.suppress(OSError), direct.open(f"{address}/models", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
