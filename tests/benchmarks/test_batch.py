"""The comparison's own sums: ratios round by round, the limit's best variant, what is left out."""

import argparse
import os
from pathlib import Path

import pytest

pytest.importorskip("llama_cpp")

from augtui.engines.base import ModelInfo
from benchmarks import batch, engine, limit
from benchmarks.batch import Comparison, spread
from benchmarks.engine import Facts
from benchmarks.workload import Measured, Workload

# A stand-in for llama-batched-bench: prints its line for the arguments that it gets, faster with one cache for all.
BENCH = """#!/bin/sh
case " $* " in *" -kvu "*) rate=200.0;; *) rate=100.0;; esac
echo 'warming up'
echo '{"pp": 29, "tg": 8, "pl": 4, "t": 0.5, "speed_pp": 900.0, "speed_tg": '$rate'}'
"""


@pytest.fixture
def work(tmp_path: Path) -> Workload:
    path = tmp_path / "model.gguf"
    path.write_bytes(bytes(1000))
    return Workload(path, prompts=4, tokens=8, threads=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "llama-batched-bench"
    path.write_text(BENCH)
    path.chmod(0o755)
    return tmp_path


@pytest.fixture
def comparison(work: Workload, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Comparison:
    info = ModelInfo("tiny", 1, 1, 2048, 2048, 1)
    monkeypatch.setattr(engine, "facts", lambda work: Facts(info, 57, 28, 100))
    options = argparse.Namespace(
        llama_cpp=folder, server_arguments="", slots=[4], limits=list(limit.VARIANTS), loop_prompts=None
    )
    return Comparison(work, options, ["a", "b", "c", "d"])


def test_ratios_are_taken_round_by_round(comparison: Comparison) -> None:
    rounds = {"a": [(32, 1.0, 50.0), (32, 2.0, 30.0)], "b": [(32, 4.0, 9.0), (32, 4.0, 9.0)],
              "c": [(32, 2.0, 20.0), (32, 2.0, 20.0)], "d": [(32, 0.5, 60.0), (32, 0.5, 60.0)]}  # fmt: skip
    for contestant in comparison.contestants:
        contestant.rounds = [Measured(*figures) for figures in rounds[contestant.part]]
    ratios = {ratio.against: ratio for ratio in comparison.ratios()}
    assert ratios["b"].rounds == (4.0, 2.0)
    assert ratios["c"].rounds == (2.0, 1.0)
    assert ratios["d"].rounds == (50 / 60, 0.5)  # decode against decode
    assert ratios["b"].as_json()["median"] == 3.0


def test_memory_is_told_apart_into_file_cache_and_excess(comparison: Comparison) -> None:
    comparison.contestants[0].rounds = [Measured(32, 1.0, peak_rss_bytes=10_000, cache_bytes=4_000)]
    row = comparison.as_json()["contestants"][0]
    assert (row["peak_rss_bytes"], row["cache_bytes"], row["excess_bytes"]) == (10_000, 4_000, 5_000)


def test_the_limit_is_the_variant_that_decodes_fastest(comparison: Comparison) -> None:
    measured = comparison._limit(4)
    assert measured.decode_tokens_per_second == 200.0
    assert measured.detail is not None and "unified" in measured.detail["variant"]


def test_a_tool_that_fails_is_told(work: Workload, folder: Path) -> None:
    (folder / "llama-batched-bench").write_text("#!/bin/sh\necho no such model >&2\nexit 1\n")
    with pytest.raises(SystemExit, match="no such model"):
        limit.measure(work, 4, folder, 29, 100, "unified")


def test_parts_without_their_program_are_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert batch._runnable(["a", "b", "c", "d"], folder) == ["a", "b", "d"]
    assert batch._runnable(["a", "c"], None) == ["a"]
    assert "part c (llama-server) is left out" in capsys.readouterr().err


def test_every_part_gets_the_same_prompts_and_no_end(work: Workload) -> None:
    first, second = work.requests(), work.requests()
    assert first == second
    assert len({request.messages for request in first}) == 4
    assert all(request.sampling.ignore_eos and request.sampling.max_tokens == 8 for request in first)


def test_a_spread_passes_over_what_is_not_known() -> None:
    assert spread([None, 2.0, 4.0]) == {"median": 3.0, "min": 2.0, "max": 4.0, "rounds": [2.0, 4.0]}
    assert spread([None]) is None


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel does not tell peaks")
def test_the_peak_of_a_process_is_at_least_what_it_holds() -> None:
    from benchmarks.memory import peak_rss_bytes

    peak = peak_rss_bytes(os.getpid())
    assert peak is not None and peak > 5_000_000
