"""Names of GGUF files on the hub, as their publishers write them, and which of them suits a machine."""

from __future__ import annotations

import pytest

from augtui.models import quantizations
from augtui.models.quantizations import RemoteFile


@pytest.mark.parametrize(
    ("path", "quantization"),
    [
        ("Qwen2-1.5B-Instruct-Refine.Q4_K_M.gguf", "Q4_K_M"),
        ("Qwen2-1.5B-Instruct-Exp.f16.gguf", "F16"),
        ("qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf", "Q4_K_M"),
        ("qwen2-0_5b-instruct-fp16.gguf", "F16"),
        ("Model.i1-IQ3_XXS.gguf", "IQ3_XXS"),
        ("Qwen3-8B-Q8_0.gguf", "Q8_0"),
        ("Qwen3-8B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("BF16/model-BF16-00001-of-00003.gguf", "BF16"),
        ("Q6_K/model-00001-of-00002.gguf", "Q6_K"),
        ("gpt-oss-20b-MXFP4.gguf", "MXFP4"),
        ("model-TQ1_0.gguf", "TQ1_0"),
        ("augtui-nano-q8_0.gguf", "Q8_0"),
        ("something.gguf", "something"),
        ("Qwen2-7B.gguf", "Qwen2-7B"),
    ],
)
def test_the_type_is_read_from_the_name(path: str, quantization: str) -> None:
    assert quantizations.quantization_of(path) == quantization


def listing(**gigabytes: float) -> list[quantizations.Variant]:
    return quantizations.variants(RemoteFile(f"m.{name}.gguf", int(size * 1e9)) for name, size in gigabytes.items())


SEVEN_B = {
    "Q2_K": 3.0,
    "Q3_K_M": 3.8,
    "Q4_K_S": 4.5,
    "Q4_K_M": 4.7,
    "Q5_K_M": 5.4,
    "Q6_K": 6.3,
    "Q8_0": 8.1,
    "F16": 15.2,
}


@pytest.mark.parametrize(
    ("free", "chosen"), [(64, "Q8_0"), (24, "Q5_K_M"), (20, "Q4_K_M"), (10, "Q4_K_M"), (4, "Q3_K_M"), (1, "Q2_K")]
)
def test_the_best_that_fits_is_taken(free: float, chosen: str) -> None:
    best = quantizations.best(listing(**SEVEN_B), int(free * 1e9))
    assert best is not None
    assert best.quantization == chosen


def test_a_repository_with_one_odd_type_gives_that() -> None:
    best = quantizations.best(listing(IQ3_XS=1.0), int(8e9))
    assert best is not None
    assert best.quantization == "IQ3_XS"
    assert quantizations.best([], 1) is None


def test_of_a_split_model_all_shards_or_none_are_listed() -> None:
    whole = [RemoteFile(f"a-Q8_0-0000{n}-of-00002.gguf", 5) for n in (2, 1)]
    lacking = [RemoteFile("b-Q4_0-00001-of-00002.gguf", 5)]
    others = [RemoteFile("mmproj-a-F16.gguf", 5), RemoteFile("a.imatrix.gguf", 5), RemoteFile("README.md", 5)]
    (variant,) = quantizations.variants([*whole, *lacking, *others])
    assert [file.path for file in variant.files] == ["a-Q8_0-00001-of-00002.gguf", "a-Q8_0-00002-of-00002.gguf"]
    assert variant.bytes == 10


def test_a_type_or_a_file_can_be_named() -> None:
    found = quantizations.variants([RemoteFile("x.i1-Q4_K_M.gguf", 5), RemoteFile("x.Q4_K_M.gguf", 6)])
    assert quantizations.named("q4_k_m", found) is found[1]
    assert quantizations.named("x.i1-Q4_K_M.gguf", found) is found[0]
    assert quantizations.named("Q4_K_S", found) is None
