"""The catalogue: the paper's models with what its Table 3 and their configurations say, and what fits a machine."""

from __future__ import annotations

import pytest

from augtui.domain.tasks import TASKS
from augtui.models import family, fits
from augtui.models.family import FAMILY


def test_table_3_is_there_with_its_tasks() -> None:
    paper = {entry.repo: entry.tasks for entry in FAMILY if entry.paper_table == 3}
    assert paper == {
        "alibaba-pai/Qwen2-1.5B-Instruct-Refine": ("refine",),
        "alibaba-pai/Qwen2-7B-Instruct-Refine": ("refine",),
        "alibaba-pai/Qwen2-1.5B-Instruct-Exp": ("expand",),
        "alibaba-pai/Qwen2-7B-Instruct-Exp": ("expand",),
        "alibaba-pai/Qwen2-7B-Instruct-Response-Exp": ("pairs",),
    }
    for entry in FAMILY:
        assert entry.style == ("specialised" if entry.paper_table else "general")
        for task in entry.tasks:
            assert TASKS[task].template(entry.style).paper_table in (9, 10, 11)


@pytest.mark.parametrize(
    ("name", "cell_bytes"),
    [("qwen2-1.5b-refine", 28_672), ("qwen2-7b-exp", 57_344), ("qwen2.5-0.5b", 12_288), ("qwen3-4b", 147_456)],
)
def test_keys_and_values_are_counted_from_the_shape(name: str, cell_bytes: int) -> None:
    entry = family.find(name)
    assert entry is not None
    assert entry.cell_bytes == cell_bytes


def test_the_estimate_of_a_file_is_near_the_published_one() -> None:
    # mradermacher/Qwen2-1.5B-Instruct-Refine-GGUF: Q4_K_M 986 MB.
    entry = family.find("QWEN2-1.5B-REFINE")
    assert entry is not None
    assert entry.file_bytes("Q4_K_M") == pytest.approx(986e6, rel=0.03)


def test_what_fits_grows_with_the_memory() -> None:
    for entry in FAMILY:
        best = [fits.best_quantization(entry, int(gigabytes * 1e9)) for gigabytes in (0.1, 1, 2, 4, 8, 16, 64, 128)]
        assert best[0] is None
        assert best[-1] == "Q8_0"
        sizes = [0 if name is None else entry.file_bytes(name) for name in best]
        assert sizes == sorted(sizes)


def test_what_is_said_to_fit_leaves_room_to_work() -> None:
    entry = family.find("qwen2-7b-refine")
    assert entry is not None
    for free in (5e9, 8e9, 24e9):
        chosen = fits.best_quantization(entry, int(free))
        if chosen is not None:
            assert fits.need_bytes(entry.file_bytes(chosen), entry.cell_bytes, entry.context) <= free
