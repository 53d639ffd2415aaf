"""`ls`, `show`, `rm`, `verify`, `ps` and `pull` as a user runs them, with models from a hub on loopback."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from augtui.models import cache, pull, reference, registry
from tests.models.fakehub import FakeHub, sha256
from tests.models.hubs import gguf_bytes

REPO = "owner/nano-Refine-GGUF"
NAME = "nano-refine.Q8_0.gguf"


def augtui(*arguments: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "augtui", *map(str, arguments)]
    nobody = subprocess.DEVNULL
    return subprocess.run(command, stdin=nobody, capture_output=True, text=True, timeout=timeout, check=False)


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def nano(hub: FakeHub, default_model: Path) -> registry.Pulled:
    hub.put(REPO, {NAME: default_model.read_bytes()})
    return pull.pull(reference.parse(f"hf:{REPO}"))


def test_pull_prints_where_the_model_is_and_how_it_went(hub: FakeHub) -> None:
    data = gguf_bytes(300_000)
    commit = hub.put(REPO, {NAME: data})
    done = augtui("pull", f"hf:{REPO}")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == data
    assert f"{REPO} at {commit[:8]}: {NAME}, 300 kB" in done.stderr
    assert "nano-refine:Q8_0 is here, 300 kB, proven" in done.stderr
    told = json.loads(augtui("pull", f"hf:{REPO}:Q8_0", "--json", "-q").stdout)
    assert (told["key"], told["commit"], told["files"][0]["sha256"]) == ("nano-refine:Q8_0", commit, sha256(data))
    quiet = augtui("pull", f"hf:{REPO}", "-q")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_a_terminal_sees_speed_and_time_left(hub: FakeHub) -> None:
    hub.put(REPO, {NAME: gguf_bytes(1_500_000)})
    hub.rate = 1_000_000
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    command = [sys.executable, "-m", "augtui", "pull", f"hf:{REPO}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 1 << 16)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    assert process.wait() == 0
    os.close(ours)
    assert b"MB/s" in seen
    assert b"eta" in seen
    assert b"/1.5 MB" in seen


def test_ctrl_c_keeps_what_came(hub: FakeHub, hub_home: Path) -> None:
    data = gguf_bytes(1_000_000)
    hub.put(REPO, {NAME: data})
    hub.rate = 500_000
    command = [sys.executable, "-m", "augtui", "pull", f"hf:{REPO}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not any(part.stat().st_size > 200_000 for part in cache.unfinished(hub_home / "hub", REPO)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "what came is kept" in words
    assert "Traceback" not in words
    listed = augtui("ls")
    assert f"unfinished: {REPO}" in listed.stderr
    assert {"unfinished", "bytes"} <= rows(augtui("ls", "--json").stdout)[-1].keys()
    assert augtui("rm", f"hf:{REPO}").returncode == 2
    hub.rate = None
    assert augtui("pull", f"hf:{REPO}", "-q").returncode == 0
    assert hub.bytes_of(NAME) <= 1.1 * len(data) + 100_000


def test_what_was_only_begun_can_be_removed(hub: FakeHub, hub_home: Path) -> None:
    blobs = cache.repo_folder(hub_home / "hub", REPO) / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{'0' * 64}.incomplete").write_bytes(bytes(3000))
    done = augtui("rm", f"hf:{REPO}", "-y", "--json")
    assert json.loads(done.stdout) == {"removed": f"hf:{REPO}", "freed_bytes": 3000}
    assert "of an unfinished download" in done.stderr
    assert list(blobs.iterdir()) == []
    assert augtui("rm", f"hf:{REPO}", "-y").returncode == 3


def test_ls_lists_what_is_here_and_what_can_be_had(nano: registry.Pulled) -> None:
    listed = augtui("ls").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["default", "nano-refine:Q8_0"]
    facts = rows(augtui("ls", "--json").stdout)
    assert [fact["name"] for fact in facts] == ["default", "nano-refine:Q8_0"]
    assert facts[1]["bytes"] == nano.bytes
    had = rows(augtui("ls", "--available", "--json").stdout)
    by_name = {fact["name"]: fact for fact in had}
    assert {name for name in by_name if by_name[name]["tasks"]} == {
        "qwen2-1.5b-refine", "qwen2-7b-refine", "qwen2-1.5b-exp", "qwen2-7b-exp", "qwen2-7b-response-exp",
    }  # fmt: skip
    assert by_name["qwen2-1.5b-refine"]["memory_bytes"] > by_name["qwen2-1.5b-refine"]["file_bytes"]
    table = augtui("ls", "--available")
    assert "of memory are free" in table.stderr
    assert len(table.stdout.splitlines()) == len(had)


def test_a_file_that_is_gone_is_said(nano: registry.Pulled, hub_home: Path) -> None:
    shutil.rmtree(hub_home)
    assert "its files are gone" in augtui("ls").stdout
    done = augtui("refine", "-m", "nano-refine", "--file", "-")
    assert done.returncode == 3
    assert "augtui pull nano-refine" in done.stderr or "are gone" in done.stderr
    assert augtui("verify", "nano-refine").returncode == 1
    assert augtui("rm", "nano-refine", "--yes").returncode == 0


def test_show_tells_of_a_pulled_model_a_file_the_default_and_one_that_is_not_here(
    nano: registry.Pulled, default_model: Path
) -> None:
    facts = json.loads(augtui("show", "nano-refine", "--json").stdout)
    assert facts["sha256"] == [f"{sha256(default_model.read_bytes())} {NAME}"]
    assert (facts["quantization"], facts["architecture"], facts["context"]) == ("Q8_0", "qwen2", 2048)
    assert (facts["style"], facts["repository"], facts["proven_by"]) == ("specialised", REPO, ["sha256"])
    assert "<|im_start|>" in augtui("show", "nano-refine", "--template").stdout
    assert json.loads(augtui("show", default_model, "--json").stdout)["parameters"] == facts["parameters"]
    shown = augtui("show", "default").stdout
    assert "# The default model: augtui-nano" in shown
    assert "architecture     qwen2" in shown
    known = augtui("show", "qwen2-7b-refine").stdout
    assert "not here: augtui pull qwen2-7b-refine" in known
    assert "You are a helpful assistant to refine this instruction" in known
    assert "<|im_end|>, <|endoftext|>" in known
    assert augtui("show", "nothing-like-it").returncode == 3


def test_verify_finds_the_bit_that_flipped(nano: registry.Pulled) -> None:
    done = augtui("verify")
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["ok", "default"], ["ok", "nano-refine:Q8_0"]]
    blob = nano.path.resolve()
    times = blob.stat()
    spoilt = bytearray(blob.read_bytes())
    spoilt[2_000_000] ^= 16
    blob.write_bytes(spoilt)
    os.utime(blob, ns=(times.st_atime_ns, times.st_mtime_ns))  # a bad disk changes no times
    done = augtui("verify", "nano-refine", "--json")
    (verdict,) = rows(done.stdout)
    assert (done.returncode, verdict["verdict"]) == (1, "damaged")
    assert verdict["expected"] == nano.files[0].sha256 != verdict["sha256"]
    assert "to mend it: augtui pull nano-refine:Q8_0" in augtui("verify", "-q").stderr


def test_rm_says_what_is_shared_and_asks(nano: registry.Pulled, hub: FakeHub, hub_home: Path) -> None:
    program = f"import huggingface_hub as h; h.hf_hub_download({REPO!r}, {NAME!r}, revision='v2')"
    other = hub.put(REPO, {NAME: nano.path.read_bytes()}, branch="v2")
    environment = {**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    asked = augtui("rm", "nano-refine")
    assert asked.returncode == 2
    assert "nobody is there to ask" in asked.stderr
    assert f"its bytes stay: {REPO}@{other[:8]} has them, too" in asked.stderr
    assert "That frees 0 B." in asked.stderr
    assert nano.is_here
    done = augtui("rm", "nano-refine", "--yes", "--json")
    assert json.loads(done.stdout) == {"removed": "nano-refine:Q8_0", "freed_bytes": 0}
    assert not nano.path.exists()
    (left,) = (path for path in hub_home.rglob(NAME) if path.exists())
    assert left.stat().st_size == nano.bytes
    assert registry.load() == []


def test_rm_leaves_nothing_of_a_model_that_nobody_else_has(nano: registry.Pulled, hub_home: Path) -> None:
    (nano.path.resolve().parent / f"{'0' * 64}.incomplete").write_bytes(bytes(50_000))
    done = augtui("rm", "nano-refine", "-y")
    assert done.returncode == 0, done.stderr
    assert "(an unfinished download)" in done.stderr
    assert not cache.repo_folder(hub_home / "hub", REPO).exists()


def test_rm_keeps_files_that_another_name_is_made_of(nano: registry.Pulled) -> None:
    registry.put(replace(nano, name="twin"))
    done = augtui("rm", "nano-refine", "-y")
    assert "its files stay: twin:Q8_0 is made of them, too" in done.stderr
    assert nano.is_here
    assert [one.key for one in registry.load()] == ["twin:Q8_0"]


def test_ps_lists_engines_while_they_run_and_rm_leaves_them_their_model(nano: registry.Pulled, tmp_path: Path) -> None:
    assert augtui("ps").stdout == ""
    prompts = tmp_path / "many.txt"
    prompts.write_text("".join(f"Describe animal number {number}\n" for number in range(400)))
    command = [sys.executable, "-m", "augtui", "refine", "-m", "nano-refine", "--file", str(prompts), "-q"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 90
        while not (found := rows(augtui("ps", "--json").stdout)) or found[0]["process"] is None:
            assert time.monotonic() < deadline
        (engine,) = found
        assert (engine["name"], engine["owner"], engine["library"]) == ("nano-refine:Q8_0", process.pid, "llama")
        assert engine["memory_bytes"] > 1_000_000
        refused = augtui("rm", "nano-refine", "-y")
        assert refused.returncode == 2
        assert f"is at work in process {process.pid}" in refused.stderr
    finally:
        process.kill()
        process.wait()
    assert augtui("ps").stdout == ""


def test_hostile_names_reach_no_terminal(hub: FakeHub) -> None:
    hub.put(REPO, {NAME: gguf_bytes(5000)})
    hub.licence = "\x1b]52;c;ZXZpbA==\x07 mit \u202e"
    done = augtui("pull", f"hf:{REPO}")
    assert done.returncode == 0
    for shown in (done.stdout, done.stderr, augtui("show", "nano-refine").stdout, augtui("ls").stdout):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
