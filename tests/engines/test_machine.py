"""What an engine finds out about its machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from augtui.engines import machine


@pytest.mark.parametrize(
    ("content", "expected"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 64), ("", 64)]
)
def test_a_containers_share_of_the_cores_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, expected: int
) -> None:
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(machine, "_cores_of_machine", lambda: 64)
    (tmp_path / "cpu.max").write_text(content)
    assert machine.physical_cores() == expected


def test_a_containers_memory_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    assert machine.free_bytes() == pytest.approx(machine._free_on_machine(), rel=0.5)
    (tmp_path / "memory.max").write_text("1000000")
    (tmp_path / "memory.current").write_text("400000")
    assert machine.free_bytes() == 600_000
    (tmp_path / "memory.stat").write_text("anon 200000\ninactive_file 150000\nactive_file 50000\n")
    assert machine.free_bytes() == 750_000
    (tmp_path / "memory.max").write_text("max")
    assert machine.free_bytes() > 1_000_000


def test_this_machine_has_cores_and_this_process_has_memory() -> None:
    assert machine.physical_cores() >= 1
    assert machine.rss_bytes() > 1_000_000
