"""Breaks downloads in every way there is and looks at what is in the cache afterwards.

    python -m tests.reliability.downloads --faults 1000 --flips 1000

A fault is one of: a reset, an early end, a standstill, a 5xx or 429 (of the listing, of a file's facts, of the file),
a wrong length, an answer that is not the file, a flipped bit, or a kill -9 of the command or of its child process, at a
random moment. After each command: whatever is in the registry must be there with the exact sha256; a command that fails
must say why in one line with an exit code of its own; and the same command again must go on where it stopped. Bytes
that the hub sent twice are counted. A flipped bit costs its whole file, which is counted apart.

`--flips` flips one bit of each of so many downloads, and one of each of so many files in the cache: all must be caught.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.models.fakehub import FakeHub, Fault, sha256
from tests.models.hubs import NAMES, gguf_bytes

SIZE = 8_000_000
RATE = 8e6
"""Bytes a second, as a good line has them: else a file is under way whole before anything can break."""
STALL_S = 6.0
KINDS = ("reset", "truncate", "stall", "status", "length", "page", "flip", "kill", "kill child")
WEIGHTS = (24, 24, 4, 20, 8, 4, 3, 7, 4)
MOST_COMMANDS = 12
"""So many times a command is given again at most; then the download counts as stuck."""


@dataclass
class Report:
    """What the faults did."""

    faults: Counter[str] = field(default_factory=Counter)
    downloads: int = 0
    commands: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    """Failed commands, by the beginning of what they said."""
    unclear: list[str] = field(default_factory=list)
    wrong: int = 0
    """Files that were registered, or lay in the cache as whole, with another content."""
    stuck: int = 0
    leftovers: int = 0
    size: int = 0
    sent: int = 0
    """Bytes of downloads without a flipped bit: the files' sizes, and what was sent."""
    flip_size: int = 0
    flip_sent: int = 0

    @property
    def twice(self) -> float:
        """Return the share of bytes that were sent more than once, downloads with a flipped bit apart."""
        return self.sent / self.size - 1 if self.size else 0.0

    @property
    def clean(self) -> bool:
        """Return whether all is as it must be."""
        return not (self.unclear or self.wrong or self.stuck or self.leftovers) and self.twice <= 0.10

    def lines(self) -> Iterator[str]:
        """Yield the report for the eye."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        yield f"{self.faults.total()} faults ({kinds}) in {self.downloads} downloads, {self.commands} commands"
        yield f"wrong files {self.wrong} · stuck {self.stuck} · left behind {self.leftovers}"
        yield f"sent twice: {self.twice:.2%} of {self.size / 1e6:.0f} MB"
        if self.flip_size:
            yield f"with a flipped bit: {self.flip_sent / self.flip_size:.2f} times the file's size"
        yield f"failed commands: {self.errors.total()}, without a clear error: {len(self.unclear)}"
        yield from (f"  {count} × {text}" for text, count in self.errors.most_common())
        yield from (f"  unclear: {text}" for text in self.unclear[:10])

    def add(self, other: Report) -> None:
        """Take in another's counts."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            if isinstance(mine, Counter):
                mine.update(value)
            elif isinstance(mine, list):
                mine.extend(value)
            else:
                setattr(self, name, mine + value)


class Torment:
    """Downloads from a hub of its own into a cache of its own, until so many faults have struck."""

    def __init__(self, folder: Path, seed: int, size: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.size = size
        self.report = Report()

    def run(self, faults: int, until: float) -> Report:
        """Return what `faults` faults did, or as many as struck until some time (monotonic)."""
        number = 0
        while self.report.faults.total() < faults and time.monotonic() < until:
            # The other half have their large files at another host, as the real hub has.
            with FakeHub(cdn=number % 2 == 1) as hub:
                hub.rate = RATE
                self._download(hub, number)
            number += 1
        return self.report

    def _download(self, hub: FakeHub, number: int) -> None:
        data = gguf_bytes(self.size, self.random.getrandbits(32))
        repo, name = f"owner/model{number}-GGUF", f"model{number}.Q4_K_M.gguf"
        hub.put(repo, {name: data})
        kinds = self.random.choices(KINDS, WEIGHTS, k=self.random.randint(4, 16))
        kills = [kind for kind in kinds if kind.startswith("kill")]
        for kind in kinds:
            if not kind.startswith("kill"):
                hub.fail(self._fault(kind))
        self.report.downloads += 1
        flips = 0
        for _ in range(MOST_COMMANDS):
            code, words = self._command(hub, repo, kills)
            if not self._whole(repo, name, data, registered=code == 0):
                self.report.wrong += 1
            if code == 0 and not kills:
                break
            if code not in (0, -signal.SIGKILL):
                text = next((line for line in words.splitlines() if line.startswith("augtui: ")), "")
                flips += "arrived damaged" in text
                if code in (1, 3) and text and "unexpected" not in text:
                    text = text.removeprefix("augtui: ").replace(name, "FILE").replace(repo, "REPO")
                    self.report.errors[re.sub(r"127\.0\.0\.1:\d+", "HUB", text)[:90]] += 1
                else:
                    self.report.unclear.append(f"exit code {code}: {words[-300:]}")
        else:
            self.report.stuck += 1
        self.report.faults.update(one.fault for one in hub.served if one.fault is not None)
        sent = hub.bytes_of(name)
        # A flip in a part that is not sent, or after the last byte, strikes nothing.
        if flips:
            self.report.flip_size += self.size
            self.report.flip_sent += sent
        else:
            self.report.size += self.size
            self.report.sent += sent
        self.report.leftovers += len(list((self.folder / "hf").rglob("*.incomplete")))

    def _fault(self, kind: str) -> Fault:
        at = self.random.randrange(1, self.size)
        if kind == "status":
            status = self.random.choice((500, 502, 503, 504, 429, 408))
            headers = {"Retry-After": "0"} if status in (408, 429) else {}
            return Fault("status", status=status, headers=headers, on=self.random.choice(("GET", "HEAD", "API")))
        if kind == "length":
            return Fault(self.random.choice(("longer", "shorter", "misplaced")), at=at)
        if kind == "stall":
            return Fault("stall", at=at, seconds=15.0)
        if kind == "flip":
            return Fault("flip", at=self.random.randrange(8 * self.size))
        if kind == "page":
            return Fault("page")
        # A connection breaks after a piece of what is left, not always of the whole.
        return Fault(kind, at=self.random.randrange(1, self.size // 6))

    def _command(self, hub: FakeHub, repo: str, kills: list[str]) -> tuple[int, str]:
        environment = {key: value for key, value in os.environ.items() if key not in NAMES} | {
            "HF_ENDPOINT": hub.address, "HF_HOME": str(self.folder / "hf"), "AUGTUI_HOME": str(self.folder / "home"),
            "HF_HUB_DOWNLOAD_TIMEOUT": self.random.choice(("4", "30")), "AUGTUI_STALL": str(STALL_S),
        }  # fmt: skip
        command = [sys.executable, "-m", "augtui", "pull", f"hf:{repo}", "--json"]
        self.report.commands += 1
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if kills:
            kind = kills.pop()
            self._kill(process, kind, self.random.uniform(0.2, 2.5))
            self.report.faults[kind] += 1
        _, words = process.communicate(timeout=180)
        return process.returncode, words

    def _kill(self, process: subprocess.Popen[str], kind: str, after_s: float) -> None:
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            if kind == "kill":
                process.kill()
                return
            deadline = time.monotonic() + 5
            while process.poll() is None and time.monotonic() < deadline:
                children = _children(process.pid)
                if children:
                    for child in children:
                        with suppress(ProcessLookupError):
                            os.kill(child, signal.SIGKILL)
                    return
                time.sleep(0.01)

    def _whole(self, repo: str, name: str, data: bytes, *, registered: bool) -> bool:
        """Return whether whatever calls itself whole is: the blob, the snapshot's file, the registry's entry."""
        root = self.folder / "hf" / "hub" / ("models--" + repo.replace("/", "--"))
        blobs = [path for path in (root / "blobs").glob("*") if not path.name.endswith(".incomplete")]
        files = [path for path in (root / "snapshots").glob("*/*") if path.is_file()]
        well = all(sha256(path.read_bytes()) == sha256(data) for path in (*blobs, *files))
        return well and (not registered or [path.name for path in files] == [name])


def _children(pid: int) -> list[int]:
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in path.read_text().split()]
        except OSError:
            continue
    return found


def torment(
    faults: int, *, seed: int = 1, size: int = SIZE, workers: int = 1, longest_s: float = float("inf")
) -> Report:
    """Return what `faults` faults did, spread over workers, each with a hub, a cache and a home of its own."""
    report = Report()
    until = time.monotonic() + longest_s
    with tempfile.TemporaryDirectory() as folder:
        torments = [Torment(Path(folder) / str(number), seed * 1000 + number, size) for number in range(workers)]
        failures: list[BaseException] = []

        def work(one: Torment) -> None:
            try:
                one.run(-(-faults // workers), until)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(one,)) for one in torments]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        for one in torments:
            report.add(one.report)
    return report


def flips(count: int, *, seed: int = 1, size: int = 100_000) -> tuple[int, int]:
    """Return how many of `count` bits flipped on the way, and of `count` flipped in the cache, were caught.

    In this process, through the same code as the command's child: set up the environment before anything imports
    `huggingface_hub`.
    """
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, FakeHub() as hub:
        for name in NAMES:
            os.environ.pop(name, None)
        os.environ |= {
            "HF_ENDPOINT": hub.address, "HF_HOME": f"{folder}/hf", "AUGTUI_HOME": f"{folder}/home",
            "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
        }  # fmt: skip
        assert "huggingface_hub" not in sys.modules
        from augtui.models import checksums
        from augtui.models.faults import PullError
        from augtui.models.fetch import Fetcher, Order

        on_the_way = 0
        hub.put("owner/x-GGUF", {"x.Q8_0.gguf": gguf_bytes(size, seed)})
        fetcher = Fetcher(Order("owner/x-GGUF", "gguf", backoff_s=0.0), lambda message: None)
        for _ in range(count):
            hub.fail(Fault("flip", at=draw.randrange(8 * size)))
            try:
                fetcher.run()
            except PullError as error:
                left = [path for path in Path(folder, "hf").rglob("*") if path.is_file() and path.stat().st_size > 1000]
                on_the_way += error.fault.kind == "damaged" and not left
        (file,) = fetcher.run()["files"]
        (blob,) = Path(folder, "hf").rglob(f"blobs/{file['sha256']}")
        at_rest = 0
        for _ in range(count):
            bit = draw.randrange(8 * size)
            _flip(blob, bit)
            at_rest += checksums.fresh(blob) != file["sha256"]
            _flip(blob, bit)
        assert checksums.fresh(blob) == file["sha256"]
        return on_the_way, at_rest


def _flip(path: Path, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def main() -> int:
    """Run from the command line; exit code 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--flips", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=SIZE, help="bytes of each file")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no download after so long")
    arguments = parser.parse_args()
    well = True
    if arguments.flips:
        begun = time.monotonic()
        on_the_way, at_rest = flips(arguments.flips, seed=arguments.seed)
        count = arguments.flips
        print(f"flipped bits caught: {on_the_way} of {count} on the way, {at_rest} of {count} at rest")
        print(f"took {time.monotonic() - begun:.0f} s")
        well = on_the_way == at_rest == arguments.flips
    if arguments.faults:
        begun = time.monotonic()
        report = torment(
            arguments.faults, seed=arguments.seed, size=arguments.size, workers=arguments.workers,
            longest_s=60 * arguments.minutes,
        )  # fmt: skip
        print("\n".join(report.lines()))
        print(f"took {time.monotonic() - begun:.0f} s")
        well = well and report.clean
    print("all well" if well else "NOT WELL")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
