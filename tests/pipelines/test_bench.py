"""Measuring: what is asked, what is made of the figures, and the real engine on the default model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augtui.engines.base import Event, Sampling, Timing
from augtui.engines.client import LocalEngine
from augtui.engines.options import EngineOptions
from augtui.errors import InputError, ModelError, UsageError
from augtui.pipelines import bench
from augtui.pipelines.bench import Report, Row, Watcher, Workload

SHORT = Sampling(temperature=0.3, max_tokens=6)
ROW = Row(
    slots=8, prompts=16, failed=0, generated_tokens=1000, prompt_tokens=500, seconds=2.0, load_s=0.1,
    first_token_median_s=0.01, first_token_p95_s=0.02, timing=Timing(), peak_rss_bytes=100 << 20,
    cache_bytes=8_000_000, context_cells=8_000, threads=2, longest_tokens=200,
)  # fmt: skip


class Seen(Watcher):
    def __init__(self) -> None:
        self.began: list[tuple[int, int]] = []
        self.ended: list[int] = []
        self.events = 0

    def begin(self, slots: int, prompts: int) -> None:
        self.began.append((slots, prompts))

    def see(self, event: Event) -> None:
        self.events += 1

    def end(self, row: Row) -> None:
        self.ended.append(row.slots)


def opener(model: Path, tmp_path: Path) -> bench.OpenEngine:
    @contextmanager
    def opened(slots: int) -> Iterator[LocalEngine]:
        engine = LocalEngine(model, EngineOptions(slots=slots, threads=1), log_path=tmp_path / "log")
        try:
            yield engine
        finally:
            engine.close()

    return opened


def test_the_figures_of_the_default_model(default_model: Path, tmp_path: Path) -> None:
    work = Workload(["Name a colour", "Name a fruit", "Name a town"], SHORT, whole=True)
    seen = Seen()
    report = bench.measure(work, [3, 2], opener(default_model, tmp_path), seen, free=False)
    assert [row.slots for row in report.rows] == seen.ended == [2, 3]
    assert seen.began == [(2, 3), (3, 3)]
    assert seen.events > 6
    assert report.model is not None
    for row in report.rows:
        assert (row.prompts, row.failed) == (3, 0)
        assert 3 <= row.generated_tokens <= 18
        assert row.prompt_tokens >= 3
        assert 0 < row.first_token_median_s <= row.first_token_p95_s <= row.seconds
        assert row.tokens_per_second == row.generated_tokens / row.seconds
        assert row.peak_rss_bytes > default_model.stat().st_size
        assert row.load_s > 0


def test_prompts_that_fit_no_context_are_the_users_to_mend(default_model: Path, tmp_path: Path) -> None:
    work = Workload(["Name a colour"], Sampling(max_tokens=1_000_000), whole=True)
    with pytest.raises(UsageError, match="context"):
        bench.measure(work, [1], opener(default_model, tmp_path), Watcher(), free=False)


def test_a_model_that_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError):
        bench.measure(Workload(["a"], SHORT), [1, 4], opener(broken, tmp_path), Watcher(), free=True)


def test_slots_without_memory_are_left_out_with_a_reason(
    default_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "_too_large", lambda slots, known, free: "no room" if slots > 1 else None)
    work = Workload(["Name a colour"], SHORT, whole=True)
    report = bench.measure(work, [1, 4], opener(default_model, tmp_path), Watcher(), free=True)
    assert [row.slots for row in report.rows] == [1]
    assert report.notes == ["4 slots left out: no room"]
    assert report.reason is None


def test_the_cache_of_too_many_slots_is_told_from_a_measured_row() -> None:
    # 200 tokens a slot at 1,000 bytes each: 40 slots need 8 MB, which is 40% of 20 MB.
    assert bench._too_large(40, ROW, 20_000_000) is None
    assert bench._too_large(41, ROW, 20_000_000) is not None
    assert bench._too_large(200, replace(ROW, cache_bytes=0, context_cells=0), 1) is None


def test_the_fewest_slots_near_the_best_are_recommended() -> None:
    rows = [
        replace(ROW, slots=1, generated_tokens=400),
        replace(ROW, slots=8, generated_tokens=960),
        replace(ROW, slots=16, generated_tokens=1000, peak_rss_bytes=150 << 20),
        replace(ROW, slots=32, generated_tokens=990),
    ]
    report = Report(rows=rows)
    assert (report.best.slots, report.recommended.slots) == (16, 8)
    assert report.reason == "8 slots: 480 tok/s, the fewest within 5% of the most (500 at 16), with 50 MiB less memory"
    assert Report(rows=rows[:2]).reason == "8 slots: 480 tok/s, the most, and fewer slots are over 5% slower"
    assert Report(rows=rows[1:2]).reason is None


def test_rates_come_from_pure_steps_and_are_none_without_them() -> None:
    timed = replace(ROW, timing=Timing(prefill_s=0.5, prefill_tokens=200, decode_s=2.0, decode_tokens=300))
    assert (timed.prefill_tokens_per_second, timed.decode_tokens_per_second) == (400, 150)
    assert (ROW.prefill_tokens_per_second, ROW.decode_tokens_per_second) == (None, None)
    assert ROW.as_json()["decode_tokens_per_second"] is None


@given(st.integers(1, 255), st.floats(0.01, 100_000), st.integers(1, 4096))
def test_every_slot_gets_a_prompt_and_a_slow_model_few(slots: int, speed: float, tokens: int) -> None:
    count = bench.prompt_count(slots, speed, tokens)
    assert count >= max(slots, 2)
    assert count == max(slots, 2) or count * tokens <= speed * bench.MOST_S
    assert bench.prompt_count(slots, speed / 2, tokens) <= count


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_a_value_that_the_share_does_not_exceed(values: list[float], share: float) -> None:
    found = bench.percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


def test_a_file_is_asked_once_and_the_built_in_prompts_as_often_as_wanted() -> None:
    whole = Workload(["a", "b", "c"], SHORT, whole=True)
    assert [request.id for request in whole.requests(16, 1e6)] == ["0", "1", "2"]
    assert whole.usual_slots() == [1]
    assert Workload(["a"] * 16, SHORT, whole=True).usual_slots() == [1, 4, 8, 16]
    endless = Workload(["a", "b", "c"], SHORT)
    assert endless.usual_slots() == list(bench.USUAL_SLOTS)
    requests = endless.requests(4, 20.0)
    assert len(requests) == bench.prompt_count(4, 20.0, 6)
    assert len({(request.id, request.seed) for request in requests}) == len(requests)


def test_prompts_are_read_as_for_refine(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "Name a colour"}\nbroken\n{"prompt": "Name a fruit"}\n')
    assert bench.read_prompts(str(path), field=None, format=None, limit=None) == (["Name a colour", "Name a fruit"], 1)
    assert bench.read_prompts(str(path), field=None, format=None, limit=1)[0] == ["Name a colour"]
    path.write_text("\x00\n")
    with pytest.raises(InputError):
        bench.read_prompts(str(path), field=None, format=None, limit=None)
