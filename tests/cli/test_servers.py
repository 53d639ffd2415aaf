"""`--model` as a server's address: the commands as a user runs them, against fake and real servers on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.http import fakeserver, realservers
from tests.engines.http.fakeserver import MODEL, Ask, Deed, FakeServer

KEY = "sk-test-0123456789abcdefghij"
PROMPTS = [f"Write a poem about animal number {number}" for number in range(30)]
PRICES = ["--price-in", "1000", "--price-out", "1000"]  # a tenth of a cent a token


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUGTUI_API_KEY", "OPENAI_API_KEY", "AUGTUI_MAX_COST", "AUGTUI_PRICE_IN", "AUGTUI_PRICE_OUT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(PROMPTS) + "\n")
    return path


def refine(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "augtui", "refine", *map(str, arguments)]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False
    )


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def refined(ask: Ask) -> Deed:
    """Answer as a good model would: the prompt that is in the template, and something more."""
    prompt = next(text for text in reversed(PROMPTS) if text in ask.prompt)
    return fakeserver.answer(f"{prompt}, with a title and four lines that rhyme.", delay_s=0.005)


def everything_kept(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file())


def test_a_server_refines_and_the_run_is_known_again(prompts: Path) -> None:
    with FakeServer(refined) as server:
        done = refine("--file", prompts, "-m", server.address, "--slots", 4, "--json")
        assert done.returncode == 0, done.stderr
        lines = rows(done.stdout)
        assert [line["instruction"] for line in lines] == PROMPTS
        assert {line["status"] for line in lines} == {"accepted"}
        assert lines[0]["provenance"]["model"] == MODEL
        assert lines[0]["provenance"]["template"].startswith("refine-general@")
        assert server.most_at_once <= 4
        asked, address = len(server.asks), server.address
    # A finished run needs no server, if the model is named.
    again = refine("--file", prompts, "-m", f"{address}#{MODEL}", "--slots", 4, "--json")
    assert (again.returncode, again.stdout) == (0, done.stdout), again.stderr
    assert asked == len(PROMPTS) + 2


@pytest.mark.parametrize("name", realservers.SERVERS)
def test_a_real_server_refines(name: str, prompts: Path, default_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with realservers.running(name, default_model, tmp_path / "log") as address:
        done = refine(
            "--file", prompts, "-m", address, "-o", out, "--limit", 6, "--slots", 2, "--max-tokens", 48, "--retries", 1
        )
    assert done.returncode in (0, 4), done.stderr
    lines = rows(out.read_text())
    assert [line["instruction"] for line in lines] == PROMPTS[:6]
    assert any(line["status"] == "accepted" for line in lines)
    assert all(line["status"] in ("accepted", "kept_original") for line in lines)
    assert lines[0]["provenance"]["template"].startswith("refine@")  # the name says that it is an augmenter


def test_the_budget_stops_a_run_and_a_larger_one_goes_on(prompts: Path, home: Path) -> None:
    with FakeServer(refined) as server:
        command = ["--file", prompts, "-m", server.address, "--slots", 4, "--max-tokens", 40, *PRICES]
        first = refine(*command, "--max-cost", 6, "--json")
        assert first.returncode == 3
        assert "budget" in first.stderr and "larger --max-cost" in first.stderr
        assert (server.billed_prompt + server.billed_completion) / 1000 <= 6
        done = len(rows(first.stdout))
        assert 0 < done < len(PROMPTS)
        shown = subprocess.run(
            [sys.executable, "-m", "augtui", "runs", "show", "1", "--json"], capture_output=True, check=True
        )
        counts = json.loads(shown.stdout)["counts"]
        assert (counts["accepted"], counts["failed"], counts["pending"]) == (done, 0, len(PROMPTS) - done)
        # What was spent counts: the same budget again does not reach for one more.
        same = refine(*command, "--max-cost", 6, "--json")
        assert (same.returncode, len(rows(same.stdout))) == (3, done)
        second = refine(*command, "--max-cost", 50, "--json")
        assert second.returncode == 0, second.stderr
        summary = json.loads(second.stderr.splitlines()[-1])
        assert summary["done_before"] == done
        # Prices are 1000 dollars for a million tokens, prompt or answer.
        assert summary["cost"] == pytest.approx((server.billed_prompt + server.billed_completion) / 1000, abs=0.01)
        assert [line["instruction"] for line in rows(second.stdout)] == PROMPTS


def test_a_budget_needs_prices(prompts: Path) -> None:
    with FakeServer(refined) as server:
        done = refine("--file", prompts, "-m", server.address, "--max-cost", 1)
        assert (done.returncode, server.billed_prompt) == (2, 0)
        assert "--price-in" in done.stderr
        half = refine("--file", prompts, "-m", server.address, "--price-in", 1)
    assert half.returncode == 2
    assert "go together" in half.stderr


def test_the_key_is_nowhere_but_in_the_header(prompts: Path, home: Path) -> None:
    def behave(ask: Ask) -> Deed:
        said = ask.headers.get("Authorization", "")
        number = int(next(text for text in PROMPTS[::-1] if text in ask.prompt).split()[-1])
        if number % 5 == 1:
            return fakeserver.status(400, f"no: {said}")
        if number % 5 == 2:
            return fakeserver.answer(f"Write a poem about animal number {number}. {said}")
        if number % 5 == 3 and not ask.nth:
            return fakeserver.status(500, {"error": said, "headers": dict(ask.headers)})
        return refined(ask)

    with FakeServer(behave) as server:
        done = refine("--file", prompts, "-m", server.address, "--json", "--slots", 2, AUGTUI_API_KEY=KEY)
    assert done.returncode == 4, done.stderr
    assert all(ask.headers["Authorization"] == f"Bearer {KEY}" for ask in server.asks)
    kept = everything_kept(home)
    assert b"animal number" in kept
    assert b"no: Bearer ***" in kept
    for at in range(len(KEY) - 8):
        assert KEY[at : at + 8].encode() not in kept
        assert KEY[at : at + 8] not in done.stdout + done.stderr


def test_a_refused_key_is_told_with_its_variable_and_nothing_is_lost(prompts: Path, home: Path) -> None:
    with FakeServer(lambda ask: fakeserver.status(401, f"wrong: {ask.headers['Authorization']}")) as server:
        command = ["--file", prompts, "-m", server.address]
        done = refine(*command, AUGTUI_API_KEY=KEY)
        assert done.returncode == 3
        assert "AUGTUI_API_KEY" in done.stderr and "Traceback" not in done.stderr
        assert "wrong: Bearer ***" in done.stderr
        crash = refine(*command, AUGTUI_API_KEY=KEY, AUGTUI_DEBUG="1")
        assert "Traceback" in crash.stderr
        server.behave = refined
        again = refine(*command, "--json", AUGTUI_API_KEY=KEY)
    assert again.returncode == 0, again.stderr
    assert len(rows(again.stdout)) == len(PROMPTS)
    told = done.stderr + crash.stderr + again.stderr + again.stdout
    assert KEY not in told
    assert KEY.encode() not in everything_kept(home)


def test_openai_s_key_goes_to_no_other_host(prompts: Path) -> None:
    with FakeServer(refined) as server:
        done = refine("--file", prompts, "-m", server.address, "--limit", 2, "-q", OPENAI_API_KEY=KEY)
    assert done.returncode == 0
    assert server.asks
    assert not any("Authorization" in ask.headers for ask in server.asks)


@pytest.mark.parametrize(
    "address",
    [f"http://user:{KEY}@127.0.0.1:9/v1", f"http://127.0.0.1:9/v1?key={KEY}", f"https:///{KEY}", f"http://a b/{KEY}"],
)
def test_a_secret_in_the_address_is_refused_and_not_repeated(prompts: Path, home: Path, address: str) -> None:
    done = refine("--file", prompts, "-m", address)
    assert done.returncode == 2
    assert KEY not in done.stdout + done.stderr
    assert KEY.encode() not in everything_kept(home)


@pytest.mark.parametrize("named", ["", "#m"])
def test_a_server_that_is_not_there_is_one_clear_line(prompts: Path, named: str) -> None:
    with FakeServer() as server:
        address = server.address
    done = refine("--file", prompts, "-m", address + named)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
    assert f"{address} cannot be reached" in done.stderr


def test_ctrl_c_stops_while_the_server_hangs(prompts: Path) -> None:
    def behave(ask: Ask) -> Deed:
        return fakeserver.hang() if PROMPTS[5] in ask.prompt else refined(ask)

    with FakeServer(behave) as server:
        command = [sys.executable, "-m", "augtui", "refine", "--file", str(prompts), "-m", server.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            said = process.stderr.read()
        assert process.returncode == 130
        assert "run the same command again" in said
        server.behave = refined
        done = refine("--file", prompts, "-m", server.address, "--json")
    assert done.returncode == 0, done.stderr
    assert len(rows(done.stdout)) == len(PROMPTS)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A proxy is not asked for this machine's own servers, whatever the environment says."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    yield
