"""LoRA adapters: converted or merged, the model must say what PEFT's says; what cannot be converted is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

gguf = pytest.importorskip("gguf")
torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file  # noqa: E402

from benchmarks.conversion import differences  # noqa: E402
from quantize.adapter import convert_adapter  # noqa: E402
from quantize.convert import convert  # noqa: E402
from quantize.errors import ConversionError  # noqa: E402
from quantize.lora import open_adapter  # noqa: E402
from tests.quantize import reference  # noqa: E402
from tests.quantize.test_convert import PROMPT, relative_error  # noqa: E402

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
ALL = [*ATTENTION, "gate_proj", "up_proj", "down_proj"]


def make_adapter(base: Path, folder: Path, **options: Any) -> tuple[Path, Any]:
    """An adapter with random matrices in `folder`, and the logits of base and adapter together."""
    torch.manual_seed(11)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    settings = {"r": 4, "lora_alpha": 6, "target_modules": ALL, "init_lora_weights": False, "task_type": "CAUSAL_LM"}
    adapted = peft.get_peft_model(model, peft.LoraConfig(**(settings | options))).eval()
    adapted.save_pretrained(folder)
    with torch.inference_mode():
        return folder, adapted(torch.tensor([PROMPT])).logits[0].numpy()


@pytest.fixture(scope="module")
def bases(make_checkpoint: Callable[..., Path], llama3_tokenizer: Any) -> dict[str, Path]:
    return {
        "qwen2": make_checkpoint(tied=False),
        "llama": make_checkpoint(architecture="Llama", tokenizer=llama3_tokenizer, tied=False),
    }


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 8}, "alpha_pattern": {"layers.1.mlp.down_proj": 24, "v_proj": 3}},
    "head": {"target_modules": [*ATTENTION, "lm_head"]},
    "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_adapted_logits_are_those_of_peft(
    bases: dict[str, Path], probe: Any, tmp_path: Path, architecture: str, options: str
) -> None:
    base = bases[architecture]
    folder, expected = make_adapter(base, tmp_path / "adapter", **OPTIONS[options])
    convert(base, tmp_path / "base.gguf", "F32")
    plain = probe(tmp_path / "base.gguf", prompt=PROMPT)["logits"]
    assert relative_error(plain, expected) > 0.05  # the adapter changes much

    assert convert_adapter(folder, base, tmp_path / "adapter.gguf") == len(open_adapter(folder).pairs)
    together = probe(tmp_path / "base.gguf", prompt=PROMPT, adapter=tmp_path / "adapter.gguf")["logits"]
    assert relative_error(together, expected) < 2e-5

    convert(base, tmp_path / "merged.gguf", "F32", merge=folder)
    merged = probe(tmp_path / "merged.gguf", prompt=PROMPT)["logits"]
    assert relative_error(merged, expected) < 2e-5


def test_a_merged_model_is_quantized_from_the_sum(bases: dict[str, Path], probe: Any, tmp_path: Path) -> None:
    folder, expected = make_adapter(bases["qwen2"], tmp_path / "adapter")
    convert(bases["qwen2"], tmp_path / "out.gguf", "Q5_0", merge=folder)
    assert relative_error(probe(tmp_path / "out.gguf", prompt=PROMPT)["logits"], expected) < 0.3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "out.gguf"]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_every_byte_is_llama_cpps(bases: dict[str, Path], tmp_path: Path, architecture: str) -> None:
    folder, _ = make_adapter(bases[architecture], tmp_path / "adapter", **OPTIONS["head"])
    reference.run(
        "convert_lora_to_gguf.py", folder, "--base", bases[architecture], "--outfile", tmp_path / "theirs.gguf"
    )
    convert_adapter(folder, bases[architecture], tmp_path / "ours.gguf")
    tensors, same, fields = differences(tmp_path / "ours.gguf", tmp_path / "theirs.gguf")
    assert same == tensors == 2 * len(open_adapter(folder).pairs)
    assert fields == {}


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "adapter_model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


@pytest.fixture(scope="module")
def plain(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_adapter(bases["qwen2"], tmp_path_factory.mktemp("plain") / "adapter")[0]


KEY = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: edit(f, use_dora=True), "DoRA"),
        (lambda f: edit(f, peft_type="IA3"), "only LoRA"),
        (lambda f: edit(f, bias="all"), "trained biases"),
        (lambda f: edit(f, modules_to_save=["lm_head"]), "whole layers"),
        (lambda f: edit(f, fan_in_fan_out=True), "other way round"),
        (lambda f: edit(f, lora_alpha=None), "lora_alpha"),
        (lambda f: edit(f, lora_alpha=0), "lora_alpha"),
        (lambda f: edit(f, alpha_pattern={"(": 1}), "not laid out"),
        (lambda f: edit(f, alpha_pattern=3), "not laid out"),
        (lambda f: (f / "adapter_config.json").unlink(), "not a PEFT adapter"),
        (lambda f: (f / "adapter_model.safetensors").unlink(), r"no adapter_model\.safetensors"),
        (lambda f: (f / "adapter_model.safetensors").rename(f / "adapter_model.bin"), "pickled"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"x" * 99), "damaged"),
        (lambda f: edit_weights(f, lambda w: w.pop(KEY)), "lacks a matrix"),
        (lambda f: edit_weights(f, lambda w: w.update({KEY: torch.zeros(3, 64)})), "do not fit"),
        (lambda f: edit_weights(f, lambda w: w.update({KEY: torch.zeros(4, 60)})), "but the base's"),
        (lambda f: edit_weights(f, lambda w: w.update({"a.b.weight": torch.zeros(3, 3)})), "no LoRA matrix"),
        (lambda f: edit_weights(f, lambda w: w.update({KEY: torch.full((4, 64), float("nan"))})), "diverged"),
        (lambda f: edit_weights(f, lambda w: w.clear()), "no LoRA matrices"),
    ],
)
def test_refuses_what_it_cannot_convert_exactly(
    bases: dict[str, Path], plain: Path, tmp_path: Path, damage: Any, message: str
) -> None:
    folder = shutil.copytree(plain, tmp_path / "adapter")
    damage(folder)
    for attempt in (
        lambda: convert_adapter(folder, bases["qwen2"], tmp_path / "out.gguf"),
        lambda: convert(bases["qwen2"], tmp_path / "out.gguf", "F16", merge=folder),
    ):
        with pytest.raises(ConversionError, match=message):
            attempt()
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_refuses_an_adapter_of_another_model(bases: dict[str, Path], plain: Path, tmp_path: Path) -> None:
    for base in (shutil.copytree(bases["qwen2"], tmp_path / "base"),):
        config = json.loads((base / "config.json").read_text())
        (base / "config.json").write_text(json.dumps(config | {"hidden_size": 32}))
        with pytest.raises(ConversionError, match="but the base's"):
            convert_adapter(plain, base, tmp_path / "out.gguf")


def test_refuses_adapted_embeddings_that_are_tied(tied_checkpoint: Path, tmp_path: Path) -> None:
    folder, _ = make_adapter(tied_checkpoint, tmp_path / "adapter", target_modules=["q_proj", "embed_tokens"])
    with pytest.raises(ConversionError, match="input and output"):
        convert(tied_checkpoint, tmp_path / "out.gguf", "F16", merge=folder)
    with pytest.raises(ConversionError, match="input and output"):
        convert_adapter(folder, tied_checkpoint, tmp_path / "out.gguf")
