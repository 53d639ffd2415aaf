"""The list of models: found by every name, changed by several processes, and never half written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from augtui import locations
from augtui.errors import StoreError
from augtui.models import registry
from augtui.models.registry import Pulled, StoredFile


def pulled(name: str, quantization: str = "Q4_K_M", **more: object) -> Pulled:
    file = StoredFile(f"{name}.gguf", 10, "0" * 64)
    facts = {"repo": f"owner/{name}-GGUF", "commit": "1" * 40, "revision": "main", **more}
    return Pulled(name, "gguf", quantization, (file,), registry.now(), registry.now(), **facts)  # type: ignore[arg-type]


def test_a_model_is_found_by_its_names_and_the_last_one_wins() -> None:
    registry.put(pulled("a", "Q8_0"))
    registry.put(pulled("a", "Q4_K_M"))
    registry.put(pulled("b"))

    def key(name: str, quantization: str | None = None) -> str | None:
        found = registry.find(name, quantization)
        return found.key if found else None

    assert key("a") == "a:Q4_K_M"
    assert key("A:q8_0") == key("a", "Q8_0") == key("owner/a-GGUF", "q8_0") == "a:Q8_0"
    assert key("c") is key("a", "F16") is key("a:F16") is None
    registry.put(pulled("a", "Q8_0"))
    assert key("a") == "a:Q8_0"
    assert [one.key for one in registry.load()] == ["a:Q4_K_M", "b:Q4_K_M", "a:Q8_0"]
    registry.remove("a:Q8_0")
    assert key("a") == "a:Q4_K_M"


def test_what_is_stored_comes_back_as_it_was() -> None:
    one = pulled("a", licence="mit", entry="qwen2-1.5b-refine", cache="/somewhere")
    registry.put(one)
    assert registry.load() == [one]
    registry.confirm(one.key)
    assert registry.load()[0].files == one.files


def test_a_file_that_was_made_here_is_a_model_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"GGUF" + bytes(40))
    made = registry.made_here("mine", "F16", path, "ab" * 32)
    assert made.is_here
    assert (made.path, registry.find("mine")) == (path, made)
    path.write_bytes(b"GGUF")
    assert not made.is_here


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 2, "models": []}',
        '{"version": 1, "models": [{"name": "x"}]}',
        "[" * 90000,
    ],
)
def test_a_damaged_list_is_said_and_not_overwritten(text: str) -> None:
    path = locations.home() / "models.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    with pytest.raises(StoreError, match=r"models.json cannot be read"):
        registry.load()
    with pytest.raises(StoreError):
        registry.put(pulled("a"))
    assert path.read_text() == text


def test_several_processes_lose_no_entry() -> None:
    program = (
        "import sys; from augtui.models import registry as r\n"
        "for n in range(10):\n"
        "    f = r.StoredFile('x', 1, '0' * 64)\n"
        "    r.put(r.Pulled(f'{sys.argv[1]}-{n}', 'gguf', 'Q8_0', (f,), r.now(), r.now()))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(number)]) for number in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    assert len(registry.load()) == 40
    assert json.loads((locations.home() / "models.json").read_text())["version"] == 1
    assert not list(locations.home().glob(".models-*"))
