"""Data sets of the Hub: the real client against a Hub on loopback, connected, offline, refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from augtui.errors import InputError, UsageError
from augtui.pipelines import hub
from augtui.pipelines.hub import Wanted
from tests.pipelines.fake_hub import COMMIT, FakeHub, running

ROW = json.dumps({"instruction": "Name a colour.", "output": "Red."}).encode() + b"\n"
CARD = b"""---
license: apache-2.0
configs:
- config_name: main
  data_files:
  - split: train
    path: main/train-*.jsonl
  - split: test
    path: main/test-*.jsonl
- config_name: socratic
  data_files: socratic/*.jsonl
---
# Title
"""
REPOS = {
    "me/plain": {
        ".gitattributes": b"", "data/train.jsonl": ROW * 2, "data/test.jsonl": ROW, "dataset_infos.json": b"{}",
    },
    "me/configs": {
        "README.md": CARD, "main/train-0.jsonl": ROW * 3, "main/train-1.jsonl": ROW * 4, "main/test-0.jsonl": ROW,
        "socratic/train.jsonl": ROW * 5,
    },
    "me/script": {"script.py": b"import os"},
    "me/script@refs/convert/parquet": {"default/train/0.jsonl": ROW * 6},
    "me/gated": {"a.jsonl": ROW},
}  # fmt: skip
CHILD = "import sys; from augtui.cli.main import entry; sys.argv[0] = 'augtui'; entry()"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("hf:a/b", Wanted("a/b")),
        ("hf:a/b:main", Wanted("a/b", "main")),
        ("hf:a/b:main/test", Wanted("a/b", "main", "test")),
        ("hf:a/b/train", Wanted("a/b", None, "train")),
        ("hf:a/b/data/x.jsonl.gz", Wanted("a/b", None, None, "data/x.jsonl.gz")),
        ("hf:a/b/train@v1.0", Wanted("a/b", None, "train", None, "v1.0")),
        ("hf:a/b@refs/pr/1", Wanted("a/b", revision="refs/pr/1")),
    ],
)
def test_names_are_read(name: str, wanted: Wanted) -> None:
    assert hub.parse(name) == wanted


@pytest.mark.parametrize("name", ["hf:", "hf:a", "hf:a/", "hf:/b", "hf:a/b:", "hf:../../etc/passwd:x/"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UsageError):
        hub.parse(name)


def test_files_are_chosen_by_card_then_by_name() -> None:
    card = hub._front_matter(CARD.decode())
    names = sorted(REPOS["me/configs"])

    def chosen(name: str, names: list[str] = names, card: dict[str, object] = card) -> list[str]:
        return hub._chosen(hub.parse(name), names, card)

    assert chosen("hf:me/configs:main") == ["main/train-0.jsonl", "main/train-1.jsonl"]
    assert chosen("hf:me/configs:main/test") == ["main/test-0.jsonl"]
    assert chosen("hf:me/configs:socratic") == ["socratic/train.jsonl"]
    assert chosen("hf:me/configs/main/test-0.jsonl") == ["main/test-0.jsonl"]
    with pytest.raises(InputError, match="several configurations") as caught:
        chosen("hf:me/configs")
    assert "main, socratic" in str(caught.value.hint)
    with pytest.raises(InputError, match="no split 'dev'"):
        chosen("hf:me/configs:main/dev")
    with pytest.raises(InputError, match="no file"):
        chosen("hf:me/configs/none.jsonl")
    plain = ["README.md", "a_train.parquet", "a_val.parquet", "x.jsonl", "requirements.txt"]
    assert chosen("hf:me/x", plain, {}) == ["a_train.parquet"]
    assert chosen("hf:me/x/dev", plain, {}) == ["a_val.parquet"]
    assert chosen("hf:me/x", ["all.json"], {}) == ["all.json"]
    assert chosen("hf:me/x:en", ["en/0.csv", "zh/0.csv"], {}) == ["en/0.csv"]
    assert chosen("hf:me/x", ["README.md", "a.py"], {}) == []
    by_split: dict[str, object] = {"configs": [{"data_files": {"train": ["d/*.csv"]}}]}
    assert chosen("hf:me/x", ["d/a.csv"], by_split) == ["d/a.csv"]


def test_cards_that_are_broken_say_nothing() -> None:
    for text in (
        "",
        "---\n: : :\n---\n",
        "---\n- a\n---\n",
        "---\nnever closed",
        "---\n!!python/object:os.system x\n---\n",
    ):
        assert hub._front_matter(text) == {}


def augtui(hub_url: str, cache: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    hub_settings = {"HF_ENDPOINT": hub_url, "HF_HOME": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run(
        [sys.executable, "-c", CHILD, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **hub_settings, **environment},
    )


def test_a_data_set_is_imported_and_then_offline_too(tmp_path: Path) -> None:
    with running(FakeHub(REPOS)) as fake:
        done = augtui(fake.url, tmp_path, "import", "hf:me/configs:main", "--json")
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(row["source"], row["records"]) for row in rows] == [
            (f"hf:me/configs/main/train-0.jsonl@{COMMIT[:12]}", 3),
            (f"hf:me/configs/main/train-1.jsonl@{COMMIT[:12]}", 4),
        ]
        assert sum("GET /datasets" in request for request in fake.requests) == 3
        before = len(fake.requests)
        again = ("import", "hf:me/configs:main", "--json", "-p")
        offline = augtui(fake.url, tmp_path, *again, "other", HF_HUB_OFFLINE="1")
        assert offline.returncode == 0, offline.stderr
        assert [json.loads(line)["records"] for line in offline.stdout.splitlines()] == [3, 4]
        assert len(fake.requests) == before
        missing = augtui(fake.url, tmp_path, "import", "hf:me/configs:main/test", HF_HUB_OFFLINE="1")
        assert missing.returncode == 2
        assert "HF_HUB_OFFLINE" in missing.stderr
    gone = augtui(fake.url, tmp_path, *again, "third")
    assert gone.returncode == 0, gone.stderr
    nothing = augtui(fake.url, tmp_path / "empty", "import", "hf:me/configs:main")
    assert nothing.returncode == 2
    assert "cannot be reached" in nothing.stderr
    assert "Traceback" not in nothing.stderr


def test_what_the_hub_refuses_is_told(tmp_path: Path) -> None:
    with running(FakeHub(REPOS, gated=frozenset({"me/gated"}))) as fake:
        for name, message in (
            ("hf:me/gated", "is gated"),
            ("hf:me/none", "there is no data set me/none"),
            ("hf:me/plain@v9", "no revision v9"),
            ("hf:me/plain/validation", "no split 'validation'"),
        ):
            done = augtui(fake.url, tmp_path, "import", name)
            assert (done.returncode, message in done.stderr) == (2, True), done.stderr
            assert "Traceback" not in done.stderr
        script = augtui(fake.url, tmp_path, "import", "hf:me/script", "--json")
        assert script.returncode == 0, script.stderr
        assert json.loads(script.stdout)["records"] == 6
        plain = augtui(fake.url, tmp_path, "import", "hf:me/plain", "--json")
        assert json.loads(plain.stdout)["records"] == 2
