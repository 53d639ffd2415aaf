"""Perplexity and divergence: by hand on small numbers, against llama-perplexity, and by their laws."""

import math
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

gguf = pytest.importorskip("gguf")
pytest.importorskip("torch")
pytest.importorskip("llama_cpp")

import numpy as np  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from quantize.compare import compare, divergence, log_softmax  # noqa: E402
from quantize.convert import convert  # noqa: E402
from quantize.errors import ConversionError  # noqa: E402
from quantize.quantize import quantize_gguf  # noqa: E402
from tests.quantize.conftest import TRAINING_TEXT  # noqa: E402

ROWS = st.lists(st.floats(-30, 30), min_size=2, max_size=9)


@given(first=ROWS, second=ROWS)
def test_divergence_is_zero_for_the_same_and_positive_otherwise(first: list[float], second: list[float]) -> None:
    size = min(len(first), len(second))
    p, q = (log_softmax(np.array([row[:size]])) for row in (first, second))
    assert np.exp(p).sum() == pytest.approx(1)
    assert divergence(p, p)[0] == pytest.approx(0, abs=1e-12)
    assert divergence(p, q)[0] >= -1e-12


def test_divergence_by_hand() -> None:
    p, q = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    expected = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    assert divergence(p, q)[0] == pytest.approx(expected)


@pytest.fixture(scope="module")
def models(make_checkpoint: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    paths = tuple(folder / f"{kind}.gguf" for kind in ("F16", "Q8_0", "Q2_K"))
    convert(make_checkpoint(hidden=256), paths[0], "F16")
    for path in paths[1:]:
        quantize_gguf(paths[0], path, path.stem)
    return paths  # type: ignore[return-value]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(TRAINING_TEXT) * 12, encoding="utf-8")
    return path


def test_fewer_bits_are_further_away(models: tuple[Path, Path, Path], text: Path) -> None:
    exact, eight, two = compare(models, text, chunk_tokens=128)
    assert exact.mean_kl is None
    assert exact.tokens == eight.tokens == two.tokens == exact.tokens // 63 * 63
    assert 0 < eight.mean_kl < two.mean_kl
    assert eight.median_kl <= eight.p99_kl <= eight.max_kl
    assert eight.same_top > two.same_top
    assert eight.perplexity_ratio == pytest.approx(eight.perplexity / exact.perplexity)
    assert exact.bits_per_weight > eight.bits_per_weight > two.bits_per_weight > 2


def test_a_model_is_no_distance_from_itself(models: tuple[Path, Path, Path], text: Path) -> None:
    _, same = compare([models[0], models[0]], text, chunks=2, chunk_tokens=64)
    assert same.tokens == 2 * 31
    assert same.mean_kl == pytest.approx(0, abs=1e-9)
    assert same.same_top == 1


def test_llama_perplexity_finds_the_same(models: tuple[Path, Path, Path], text: Path, tmp_path: Path) -> None:
    tool = Path(os.environ.get("AUGTUI_LLAMA_CPP_BIN", "absent")) / "llama-perplexity"
    if not tool.is_file():
        pytest.skip("AUGTUI_LLAMA_CPP_BIN does not name a folder with llama-perplexity")
    base = tmp_path / "base.kld"
    common = [tool, "-f", text, "-c", "128", "-b", "128", "--no-repack"]
    for more in (["-m", models[0], "--kl-divergence-base", base], ["-m", models[2], "--kl-divergence-base", base,
                 "--kl-divergence"]):  # fmt: skip
        done = subprocess.run([*map(str, [*common, *more])], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-1000:]
    said = done.stdout + done.stderr
    exact, two = compare([models[0], models[2]], text, chunk_tokens=128)
    theirs = {
        key: float(re.search(rf"{pattern}\s*:\s*([\d.]+)", said)[1])  # type: ignore[index]
        for key, pattern in {
            "base": r"Mean PPL\(base\)",
            "own": r"Mean PPL\(Q\)",
            "kl": r"Mean +KLD",
            "top": r"Same top p",
        }.items()
    }
    assert exact.perplexity == pytest.approx(theirs["base"], rel=1e-3)
    assert two.perplexity == pytest.approx(theirs["own"], rel=1e-3)
    # Its file of the first model's logits holds them in 16 bits.
    assert two.mean_kl == pytest.approx(theirs["kl"], rel=0.01)
    assert two.same_top * 100 == pytest.approx(theirs["top"], abs=0.5)


def test_refuses_other_vocabularies_and_short_texts(
    models: tuple[Path, Path, Path], text: Path, make_checkpoint: Any, tmp_path: Path
) -> None:
    convert(make_checkpoint(size=600), tmp_path / "other.gguf", "F16")
    with pytest.raises(ConversionError, match="different vocabularies"):
        compare([models[0], tmp_path / "other.gguf"], text, chunk_tokens=64)
    (tmp_path / "short.txt").write_text("Hello")
    with pytest.raises(ConversionError, match="at least 64"):
        compare(models, tmp_path / "short.txt", chunk_tokens=64)
    with pytest.raises(ConversionError, match="cannot load"):
        compare([text], text)
