"""MLX folders: made by mlx-lm, readable by it, whole or not at all."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf")
pytest.importorskip("torch")
pytest.importorskip("mlx_lm")

import numpy as np

from quantize.errors import ConversionError
from quantize.mlx import convert_mlx
from tests.quantize.test_convert import PROMPT, hf_logits, relative_error


@pytest.mark.parametrize(("kind", "tolerance"), [("F32", 1e-4), ("Q8", 5e-2)])
def test_logits_are_those_of_transformers(tied_checkpoint: Path, tmp_path: Path, kind: str, tolerance: float) -> None:
    import mlx.core as mx
    from mlx_lm import load

    convert_mlx(tied_checkpoint, tmp_path / "out", kind)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    model, tokenizer = load(str(tmp_path / "out"))[:2]
    found = np.array(model(mx.array([PROMPT])).astype(mx.float32))[0]
    assert relative_error(found, hf_logits(tied_checkpoint)) < tolerance
    assert tokenizer.chat_template
    assert ("quantization" in json.loads((tmp_path / "out" / "config.json").read_text())) == (kind == "Q8")


def test_refusals_leave_nothing(tied_checkpoint: Path, tmp_path: Path) -> None:
    code = shutil.copytree(tied_checkpoint, tmp_path / "code")
    config = json.loads((code / "config.json").read_text())
    (code / "config.json").write_text(json.dumps(config | {"model_file": "evil.py"}))
    (code / "evil.py").write_text("raise SystemExit('ran')")
    attempts: list[tuple[Any, Path, str, str]] = [
        (code, tmp_path / "out", "Q4", "never run"),
        (tied_checkpoint, tmp_path / "out", "Q4_K_M", "unknown type"),
        (tied_checkpoint, tmp_path / "code", "Q4", "exists"),
        (tmp_path / "absent", tmp_path / "out", "Q4", "not a checkpoint"),
    ]
    for source, target, kind, message in attempts:
        with pytest.raises(ConversionError, match=message):
            convert_mlx(source, target, kind)
    assert [path.name for path in tmp_path.iterdir()] == ["code"]
