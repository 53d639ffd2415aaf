"""Pulling with the real client from a hub on loopback: what arrives, what comes twice, and what each fault says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from augtui.errors import ModelError, OutputError
from augtui.models import cache, catalog, download, pull, reference, registry
from augtui.models.download import Event, Fetching, Note, Planned
from tests.models.fakehub import FakeHub, Fault, git_sha1, sha256
from tests.models.hubs import REPO, gguf_bytes

NAME = "tiny.Q4_K_M.gguf"
SIZE = 1_500_000
CHUNK_BYTES = 32 << 10
"""So much is lost at most where a connection breaks (`augtui.models.fetch.CHUNK_BYTES`)."""
DATA = gguf_bytes(SIZE)


def fetch(text: str = f"hf:{REPO}", *, kind: registry.Kind = "gguf", stall_s: float = 5.0) -> registry.Pulled:
    return pull.pull(reference.parse(text), kind=kind, stall_s=stall_s, backoff_s=0.05)


def parts(home: Path) -> list[Path]:
    return cache.unfinished(home / "hub", REPO)


def test_a_model_comes_whole_and_is_where_the_hub_s_own_client_looks_for_it(hub: FakeHub, hub_home: Path) -> None:
    commit = hub.put(REPO, {NAME: DATA, "README.md": b"# a model\n"})
    seen: list[Event] = []
    pulled = pull.pull(reference.parse(f"hf:{REPO}"), see=seen.append)
    assert (pulled.name, pulled.quantization, pulled.commit) == ("tiny", "Q4_K_M", commit)
    assert (pulled.repo, pulled.revision, pulled.licence) == (REPO, "main", "apache-2.0")
    (file,) = pulled.files
    assert (file.sha256, file.bytes, file.proof) == (sha256(DATA), SIZE, "sha256")
    assert pulled.path.read_bytes() == DATA
    assert pulled.path.is_symlink()
    assert pulled.path.resolve() == (cache.repo_folder(hub_home / "hub", REPO) / "blobs" / file.sha256).resolve()
    assert seen[0] == Planned(REPO, commit, "Q4_K_M", (NAME,), SIZE, 0)
    assert [event for event in seen if isinstance(event, Fetching)][-1] == Fetching(SIZE, SIZE)
    assert parts(hub_home) == []
    before = len(hub.served)
    program = f"import huggingface_hub as h; print(h.hf_hub_download({REPO!r}, {NAME!r}, local_files_only=True))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == pulled.path
    assert len(hub.served) == before
    assert catalog.resolve("tiny").path == pulled.path
    assert catalog.resolve(f"hf:{REPO}:Q4_K_M").name == "tiny:Q4_K_M"


def test_what_is_here_is_proven_and_not_fetched_again(hub: FakeHub) -> None:
    hub.put(REPO, {NAME: DATA})
    fetch()
    fetch()
    assert hub.bytes_of(NAME) == SIZE


def test_a_file_that_another_program_fetched_is_taken_over(hub: FakeHub) -> None:
    hub.put(REPO, {NAME: DATA})
    program = f"import huggingface_hub; huggingface_hub.hf_hub_download({REPO!r}, {NAME!r})"
    subprocess.run([sys.executable, "-c", program], check=True)
    fetch()
    assert hub.bytes_of(NAME) == SIZE


@pytest.mark.parametrize("kind", ["reset", "truncate", "shorter"])
def test_a_broken_connection_is_taken_up_where_it_broke(hub: FakeHub, kind: str) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.fail(Fault(kind, at=400_000), Fault(kind, at=300_000), Fault(kind, at=500_000))
    assert fetch().path.read_bytes() == DATA
    # An answer that announces another length than the file's is refused unread, with what was under way already.
    assert hub.bytes_of(NAME) <= 1.1 * SIZE + (kind == "shorter") * 500_000
    assert [one.fault for one in hub.requests() if one.path.endswith(NAME)][:3] == [kind] * 3


@pytest.mark.parametrize("status", [500, 504, 408, 429])
def test_a_hub_out_of_order_is_asked_again(hub: FakeHub, status: int) -> None:
    hub.put(REPO, {NAME: DATA})
    wait = {"Retry-After": "0"} if status in (408, 429) else {}
    hub.fail(
        Fault("status", status=status, headers=wait, on="API"), Fault("status", status=status, headers=wait, on="HEAD"),
        Fault("truncate", at=700_000), Fault("status", status=status, headers=wait),
    )  # fmt: skip
    assert fetch().path.read_bytes() == DATA
    assert hub.bytes_of(NAME) <= SIZE + CHUNK_BYTES


def test_a_connection_that_stands_still_is_given_up_by_the_watchdog(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "60")
    hub.put(REPO, {NAME: DATA})
    hub.fail(Fault("stall", at=500_000, seconds=300), Fault("trickle", at=100_000, seconds=300))
    seen: list[Event] = []
    begun = time.monotonic()
    pulled = pull.pull(reference.parse(f"hf:{REPO}"), see=seen.append, stall_s=1.0)
    assert time.monotonic() - begun < 120
    assert pulled.path.read_bytes() == DATA
    assert hub.bytes_of(NAME) <= 1.1 * SIZE
    notes = [event.text for event in seen if isinstance(event, Note)]
    assert sum("stood still for 1 s" in note for note in notes) == 2


def test_a_hub_that_never_sends_is_given_up_at_last(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "60")
    hub.put(REPO, {NAME: DATA})
    hub.fail(*[Fault("stall", at=0, seconds=10)] * 6)
    with pytest.raises(ModelError, match="stood still") as caught:
        fetch(stall_s=0.3)
    assert "goes on where it stopped" in (caught.value.hint or "")
    assert registry.load() == []


def test_a_flipped_bit_is_caught_and_nothing_of_it_is_kept(hub: FakeHub, hub_home: Path) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.fail(Fault("flip", at=8 * 1_000_000 + 3))
    with pytest.raises(ModelError, match="arrived damaged: its sha256 is not the hub's"):
        fetch()
    assert registry.load() == []
    assert parts(hub_home) == []
    assert not list((hub_home / "hub").rglob("snapshots/*/*"))
    assert fetch().path.read_bytes() == DATA


def test_a_file_that_was_damaged_in_the_cache_is_found_out_and_fetched_anew(hub: FakeHub) -> None:
    hub.put(REPO, {NAME: DATA})
    path = fetch().path
    spoilt = bytearray(DATA)
    spoilt[99] ^= 1
    path.resolve().write_bytes(spoilt)
    assert fetch().path.read_bytes() == DATA
    assert hub.bytes_of(NAME) == 2 * SIZE


@pytest.mark.parametrize("fault", [Fault("longer", at=77), Fault("page"), Fault("misplaced")])
def test_an_answer_that_cannot_be_the_file_leaves_no_byte_in_it(hub: FakeHub, fault: Fault) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.fail(Fault("truncate", at=600_000), fault, fault)
    assert fetch().path.read_bytes() == DATA


def test_a_hub_that_does_not_know_ranges_begins_anew_without_harm(hub: FakeHub) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.fail(Fault("truncate", at=600_000), Fault("whole"))
    assert fetch().path.read_bytes() == DATA


def test_a_hub_that_sends_without_end_does_not_fill_the_disk(hub: FakeHub, hub_home: Path) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.fail(Fault("endless"))
    with pytest.raises(ModelError, match="more than the 1500000 bytes"):
        fetch()
    assert all(part.stat().st_size <= SIZE for part in parts(hub_home))


def test_a_part_that_is_longer_than_the_file_is_thrown_away(hub: FakeHub, hub_home: Path) -> None:
    hub.put(REPO, {NAME: DATA})
    blobs = cache.repo_folder(hub_home / "hub", REPO) / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{sha256(DATA)}.incomplete").write_bytes(bytes(SIZE + 1))
    assert fetch().path.read_bytes() == DATA


def test_killed_with_its_parent_it_goes_on_where_it_stopped(hub: FakeHub, hub_home: Path) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.rate = 1_000_000
    command = [sys.executable, "-m", "augtui", "pull", f"hf:{REPO}", "-q"]
    part = cache.repo_folder(hub_home / "hub", REPO) / "blobs" / f"{sha256(DATA)}.incomplete"
    for share in (0.3, 0.6):
        process = subprocess.Popen(command)
        deadline = time.monotonic() + 90
        while not (part.exists() and part.stat().st_size > share * SIZE):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        process.wait()
    hub.rate = None
    subprocess.run(command, check=True)
    assert registry.load()[0].path.read_bytes() == DATA
    assert hub.bytes_of(NAME) <= 1.1 * SIZE + 2 * 300_000  # what the system had taken for the killed ones


def test_two_processes_share_one_download(hub: FakeHub) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.rate = 2_000_000
    command = [sys.executable, "-m", "augtui", "pull", f"hf:{REPO}", "--json"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(2)]
    told = [json.loads(process.communicate(timeout=60)[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert told[0]["path"] == told[1]["path"]
    assert hub.bytes_of(NAME) == SIZE


def test_large_files_of_another_host_are_fetched_without_the_token(
    cdn_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    cdn_hub.put(REPO, {NAME: DATA})
    cdn_hub.fail(Fault("reset", at=500_000), Fault("status", status=403), Fault("truncate", at=200_000))
    assert fetch().path.read_bytes() == DATA
    assert cdn_hub.bytes_of(NAME) <= 1.1 * SIZE
    for one in cdn_hub.served:
        assert ("authorization" in one.headers) == (one.host == "hub")
    assert sum(one.host == "cdn" for one in cdn_hub.served) >= 4


def test_all_shards_of_a_split_model_come(hub: FakeHub) -> None:
    shards = {f"tiny-Q8_0-0000{n}-of-00003.gguf": gguf_bytes(200_000 + n, n) for n in (1, 2, 3)}
    hub.put(REPO, {**shards, "other-Q4_0-00001-of-00002.gguf": gguf_bytes(100)})
    hub.fail(Fault("truncate", at=100_000), Fault("reset", at=50_000))
    pulled = fetch()
    assert pulled.quantization == "Q8_0"
    assert {file.path: pulled.path_of(file).read_bytes() for file in pulled.files} == shards
    assert pulled.path.name == "tiny-Q8_0-00001-of-00003.gguf"
    model = catalog.resolve("tiny")
    assert model.bytes == sum(map(len, shards.values()))
    assert len({model.sha256(), *(file.sha256 for file in pulled.files)}) == 4


def test_a_revision_is_a_branch_of_its_own_and_remembered(hub: FakeHub) -> None:
    hub.put(REPO, {NAME: DATA})
    other = gguf_bytes(40_000, 5)
    commit = hub.put(REPO, {NAME: other}, branch="v2")
    pulled = fetch(f"hf:{REPO}:Q4_K_M@v2")
    assert (pulled.commit, pulled.revision, pulled.path.read_bytes()) == (commit, "v2", other)
    assert fetch(f"hf:{REPO}@{commit}").commit == commit


def test_a_checkpoint_comes_without_pickles_and_code(hub: FakeHub) -> None:
    wanted = {
        "config.json": b'{"a": 1}',
        "tokenizer.json": b"{}",
        "model.safetensors": bytes(5000),
        "merges.txt": b"a b",
    }
    unwanted = {
        "pytorch_model.bin": b"\x80\x04",
        "modeling_x.py": b"import os",
        "x/model.safetensors": b"",
        "README.md": b"",
    }
    hub.put("owner/base", {**wanted, **unwanted})
    with pytest.raises(download.NoGgufError, match=r"has no GGUF file, but a checkpoint in safetensors") as caught:
        fetch("hf:owner/base")
    assert "pull --safetensors" in (caught.value.hint or "")
    pulled = fetch("hf:owner/base", kind="safetensors")
    assert {file.path for file in pulled.files} == set(wanted)
    assert {path.name for path in pulled.path.iterdir()} == set(wanted)
    config = next(file for file in pulled.files if file.path == "config.json")
    assert (config.etag, config.proof) == (git_sha1(wanted["config.json"]), "git-sha1")


def test_a_small_file_is_proven_by_git_s_sum(hub: FakeHub) -> None:
    hub.put("owner/base", {"config.json": b'{"a": 1}', "model.safetensors": bytes(5000)})
    hub.fail(Fault("flip", at=9))
    with pytest.raises(ModelError, match=r"config.json arrived damaged"):
        fetch("hf:owner/base", kind="safetensors")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hf:owner/absent", "there is no model owner/absent at 127.0.0.1"),
        (f"hf:{REPO}:Q9_K", "has no Q9_K"),
        (f"hf:{REPO}@nowhere", "has no such revision"),
        ("hf:owner/empty", "neither GGUF files nor safetensors"),
        ("hf:owner/closed", "owner/closed is gated: its owners ask you to accept their terms"),
        ("hf:owner/wrong", "wrong.gguf is no GGUF model"),
    ],
)
def test_each_reason_has_its_own_words(hub: FakeHub, text: str, message: str) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.put("owner/empty", {"README.md": b"nothing"})
    hub.put("owner/closed", {NAME: DATA})
    hub.put("owner/wrong", {"wrong.gguf": bytes(5000)})
    hub.gated.add("owner/closed")
    with pytest.raises(ModelError, match=message) as caught:
        fetch(text)
    assert caught.value.hint
    assert registry.load() == []


def test_a_gated_model_comes_with_a_token_that_is_let_in(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.gated.add(REPO)
    hub.tokens.add("hf_good")
    monkeypatch.setenv("HF_TOKEN", "hf_bad")
    with pytest.raises(ModelError, match="gated") as caught:
        fetch()
    assert "hf_bad" not in f"{caught.value} {caught.value.hint}"
    assert "wait until" in (caught.value.hint or "")
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    assert fetch().path.read_bytes() == DATA


def test_a_hub_that_asks_for_patience_says_for_how_long(hub: FakeHub) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.fail(Fault("status", status=429, headers={"Retry-After": "3600"}, on="API"))
    with pytest.raises(ModelError, match="too many requests and asks us to wait for 3600 s"):
        fetch()


def test_without_a_network_it_says_so_at_once(hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(download.UnreachableError, match=r"127.0.0.1:9 cannot be reached"):
        fetch()
    monkeypatch.setenv("HF_ENDPOINT", "http://no-such-host.invalid")
    with pytest.raises(download.UnreachableError, match=r"no network: no-such-host.invalid has no address here"):
        fetch()


def test_a_connection_that_is_not_secure_is_not_used(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.address.replace("http://", "https://"))
    with pytest.raises(ModelError, match=r"the connection to 127.0.0.1:\d+ is not secure"):
        fetch()


def test_a_caller_in_a_thread_can_stop_it(hub: FakeHub, hub_home: Path) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.rate = 500_000
    seen: list[Event] = []
    with pytest.raises(download.StoppedError):
        pull.pull(
            reference.parse(f"hf:{REPO}"), see=seen.append, stop=lambda: any(isinstance(one, Fetching) for one in seen)
        )
    assert len(parts(hub_home)) == 1


def test_a_wait_for_another_process_is_said(hub: FakeHub, hub_home: Path) -> None:
    import fcntl

    hub.put(REPO, {NAME: DATA})
    folder = hub_home / "hub" / ".locks" / "models--owner--tiny-GGUF"
    folder.mkdir(parents=True)
    seen: list[Event] = []
    with (folder / f"{sha256(DATA)}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        def see(event: Event) -> None:
            seen.append(event)
            if isinstance(event, Note):
                fcntl.flock(held, fcntl.LOCK_UN)

        pulled = pull.pull(reference.parse(f"hf:{REPO}"), see=see)
    assert pulled.path.read_bytes() == DATA
    assert Note("another process fetches it; waiting for that") in seen


@pytest.mark.parametrize(("etag", "commit_header"), [("../../../evil", True), (None, False)])
def test_a_hub_that_does_not_answer_like_one_is_not_obeyed(
    hub: FakeHub, hub_home: Path, etag: str | None, commit_header: bool
) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.etag, hub.commit_header = etag, commit_header
    with pytest.raises(ModelError, match="does not"):
        fetch()
    assert not [path for path in hub_home.rglob("*") if path.is_file() and path.stat().st_size > 100]


def test_names_that_leave_their_folder_are_not_even_looked_at(hub: FakeHub) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.listing = [
        {"rfilename": name, "size": 9} for name in ("../../x.gguf", "/etc/x.gguf", "a\x1b[31m.gguf", "a\\..\\x.gguf")
    ]
    with pytest.raises(ModelError, match="neither GGUF files nor"):
        fetch()


def test_the_disk_is_looked_at_before_the_first_byte(hub: FakeHub) -> None:
    hub.put(REPO, {NAME: DATA})
    hub.listing = [{"rfilename": NAME, "size": 10**15, "lfs": {"size": 10**15, "sha256": "0" * 64, "pointerSize": 1}}]
    with pytest.raises(OutputError, match=r"needs 1000000.00 GB more, and .* has .* GB free"):
        fetch()
    assert hub.bytes_of(NAME) == 0


def test_a_full_disk_keeps_what_came(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A limit on file sizes stands for the disk: the write fails in the middle in the same place.
    hub.put(REPO, {NAME: DATA})
    hub.rate = 5e6  # else all of it is under way before the write fails
    (tmp_path / "sitecustomize.py").write_text(
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (800_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with pytest.raises(OutputError, match="File too large"):
        fetch()
    monkeypatch.setenv("PYTHONPATH", os.environ["PYTHONPATH"].split(os.pathsep, 1)[1])
    assert fetch().path.read_bytes() == DATA
    assert hub.bytes_of(NAME) <= 1.1 * SIZE


def test_offline_takes_what_the_cache_has_and_asks_nobody(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.put(REPO, {NAME: DATA})
    path = fetch().path
    registry.remove("tiny:Q4_K_M")
    before = len(hub.served)
    monkeypatch.setenv("AUGTUI_OFFLINE", "1")
    assert fetch().path == path
    with pytest.raises(ModelError, match="not in the cache, and offline mode is on"):
        fetch("hf:owner/other")
    assert len(hub.served) == before


def test_a_disk_without_links_holds_one_copy_all_the_same(
    hub: FakeHub, hub_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_SYMLINKS", "1")
    hub.put(REPO, {NAME: DATA})
    path = fetch().path
    assert not path.is_symlink()
    assert [file for file in hub_home.rglob("*") if file.is_file() and file.stat().st_size == SIZE] == [path]
    fetch()
    assert hub.bytes_of(NAME) == SIZE
