"""The deterministic mode: its arena, and the probe that decides whether it may batch."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import llama_cpp as lib
import numpy as np
import pytest

from augtui.domain.records import Record
from augtui.domain.tasks import REFINE
from augtui.engines.base import Completion, Request, Sampling
from augtui.engines.llama import invariance, loading
from augtui.engines.llama.arena import SEQUENCES, Arena
from augtui.engines.llama.context import Context
from augtui.engines.options import EngineOptions


class Clears:
    """Counts how often the cache was cleared."""

    def __init__(self) -> None:
        self.times = 0

    def clear(self) -> None:
        self.times += 1


def test_an_arena_gives_each_sequence_once_and_no_more_cells_than_it_has() -> None:
    cells = Clears()
    arena = Arena(cells, 101)
    assert [arena.take(40), arena.take(40)] == [0, 1]
    assert arena.take(21) is None
    assert arena.take(20) == 2
    assert arena.take(1) is None
    arena.clear()
    assert cells.times == 1
    assert [arena.take(0) for _ in range(SEQUENCES + 1)] == [*range(SEQUENCES), None]
    assert arena.ballast == SEQUENCES


@pytest.fixture(scope="module")
def k_quants(default_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The default model in K-quants, which llama.cpp multiplies with other kernels in small batches than in large."""
    path = tmp_path_factory.mktemp("k") / "k.gguf"
    params = lib.llama_model_quantize_default_params()
    params.ftype = lib.LLAMA_FTYPE_MOSTLY_Q4_K_M
    params.allow_requantize = True
    assert lib.llama_model_quantize(str(default_model).encode(), str(path).encode(), ctypes.byref(params)) == 0
    yield path


def test_a_model_that_cannot_be_batched_bit_for_bit_is_computed_one_by_one(k_quants: Path) -> None:
    requests = [
        Request(topic, REFINE.render(Record(f"Write about {topic}."), "specialised"), 3, Sampling(max_tokens=24))
        for topic in ("tides", "bread", "chess", "the history of maps", "owls")
    ]
    found: list[dict[str, str]] = []
    for slots, order in ((1, 1), (8, -1)):
        backend = loading.load(k_quants, EngineOptions(slots=slots, sequence_tokens=512, deterministic=True))
        for request in requests[::order]:
            assert backend.submit(request) is None
        texts: dict[str, str] = {}
        while backend.busy:
            texts |= {done.id: done.text for done in backend.step() if isinstance(done, Completion)}
        found.append(texts)
    assert found[0] == found[1]
    assert len(found[0]) == len(requests)


@pytest.mark.parametrize("name", ["F16", "Q4_0"])
def test_other_weight_types_give_the_same_texts_with_any_number_of_slots(
    default_model: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "other.gguf"
    params = lib.llama_model_quantize_default_params()
    params.ftype = getattr(lib, f"LLAMA_FTYPE_MOSTLY_{name}")
    params.allow_requantize = True
    assert lib.llama_model_quantize(str(default_model).encode(), str(path).encode(), ctypes.byref(params)) == 0
    sampling = Sampling(temperature=1.5, top_k=0, top_p=1.0, max_tokens=24)
    requests = [
        Request(str(number), REFINE.render(Record(f"Write about number {number}."), "specialised"), number, sampling)
        for number in range(24)
    ]
    found: list[dict[str, str]] = []
    for slots, order in ((1, 1), (16, -1)):
        backend = loading.load(path, EngineOptions(slots=slots, sequence_tokens=512, deterministic=True))
        for request in requests[::order]:
            assert backend.submit(request) is None
        texts: dict[str, str] = {}
        while backend.busy:
            texts |= {done.id: done.text for done in backend.step() if isinstance(done, Completion)}
        found.append(texts)
    assert found[0] == found[1]


def test_the_probe_notices_neighbours_that_matter(default_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from augtui.engines.llama.batcher import Batcher

    engine = loading.load(default_model, EngineOptions(slots=4, sequence_tokens=512, deterministic=True))
    assert isinstance(engine, Batcher)
    invariant = invariance.is_batch_invariant(engine.context, engine.weights.n_vocab, SEQUENCES)
    assert invariant == (engine.model.slots == 4)
    honest = Context.logits

    def disturbed(context: Context, place: int) -> np.ndarray:  # type: ignore[type-arg]
        row = honest(context, place)
        if context.length > 6:
            row = row.copy()
            row[0] = np.nextafter(row[0], np.float32(np.inf))
        return row

    monkeypatch.setattr(Context, "logits", disturbed)
    assert not invariance.is_batch_invariant(engine.context, engine.weights.n_vocab, SEQUENCES)
