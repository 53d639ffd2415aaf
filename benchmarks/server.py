"""llama-server, with one client for each of its slots, as a part of a comparison."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from augtui.engines.base import Request
from benchmarks.memory import peak_rss_bytes
from benchmarks.workload import Measured, Workload, openai_messages

HOST = "127.0.0.1"
START_S = 300.0


def measure(work: Workload, slots: int, folder: Path, cell_bytes: int, arguments: list[str]) -> Measured:
    """Answer the prompts with `-np slots` and as many clients; loading and one warming request are not counted."""
    with _running(work, slots, folder, arguments) as (child, port):
        requests = work.requests()
        _post(http.client.HTTPConnection(HOST, port), requests[0], 1)
        answers, seconds = _converse(port, requests, slots, work.tokens)
        peak = peak_rss_bytes(child.pid)
    timings = [answer["timings"] for answer in answers if "timings" in answer]
    # The server tells no rate of its batches: what a request sees, times the requests that see it at a time. Steps that
    # compute prompts too are part of it.
    seen = statistics.median(each["predicted_per_second"] for each in timings) * slots if timings else None
    return Measured(
        generated_tokens=sum(answer["usage"]["completion_tokens"] for answer in answers),
        seconds=seconds,
        decode_tokens_per_second=seen,
        peak_rss_bytes=peak,
        cache_bytes=work.cells(slots) * cell_bytes,
        detail={"prompt_tokens": sum(each["prompt_n"] for each in timings)},
    )


@contextmanager
def _running(
    work: Workload, slots: int, folder: Path, arguments: list[str]
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    sizes = {"-c": work.cells(slots), "-np": slots, "-t": work.threads, "-tb": work.threads}
    command = [str(folder / "llama-server"), "-m", str(work.model), "--host", HOST, "--port", str(port), "--no-ui"]
    command += [str(part) for pair in sizes.items() for part in pair]
    with tempfile.TemporaryFile() as log, subprocess.Popen([*command, *arguments], stdout=log, stderr=log) as child:
        try:
            _await(child, port, log)
            yield child, port
        finally:
            child.kill()


def _await(child: subprocess.Popen[bytes], port: int, log: Any) -> None:
    given_up = time.monotonic() + START_S
    while time.monotonic() < given_up and child.poll() is None:
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    log.seek(0)
    raise SystemExit(f"llama-server did not start: {log.read().decode('utf-8', 'replace')[-2000:]}")


def _converse(port: int, requests: list[Request], clients: int, tokens: int) -> tuple[list[dict[str, Any]], float]:
    waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()
    for request in requests:
        waiting.put(request)
    answers: list[dict[str, Any]] = []
    faults: list[BaseException] = []

    def work_off() -> None:
        connection = http.client.HTTPConnection(HOST, port)
        try:
            while True:
                answers.append(_post(connection, waiting.get_nowait(), tokens))
        except queue.Empty:
            pass
        except Exception as fault:  # a thread's error must not be lost
            faults.append(fault)
        finally:
            connection.close()

    threads = [threading.Thread(target=work_off, daemon=True) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if faults:
        raise SystemExit(f"llama-server failed: {faults[0]}")
    return answers, seconds


def _post(connection: http.client.HTTPConnection, request: Request, tokens: int) -> dict[str, Any]:
    sampling = request.sampling
    body = {
        "messages": openai_messages(request.messages),
        "max_tokens": tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
        "samplers": ["top_k", "top_p", "temperature"],
        "seed": request.seed,
        "ignore_eos": True,
    }
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    if response.status != 200:
        raise OSError(f"status {response.status}: {text[:500]!r}")
    answer: dict[str, Any] = json.loads(text)
    return answer
