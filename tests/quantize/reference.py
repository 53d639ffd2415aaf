"""llama.cpp's own converters, run in a process, where its source tree is at hand (AUGTUI_LLAMA_CPP).

The converter knows a tokenizer by a hash of what it makes of a text, which a small tokenizer of a test does not have:
that one look-up is answered for it. Everything else is llama.cpp's code as it is.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

VARIABLE = "AUGTUI_LLAMA_CPP"
DRIVER = """
import runpy, sys
script, pre = sys.argv[1:3]
sys.argv = [script, *sys.argv[3:]]
sys.path.insert(0, script.rpartition("/")[0])
from conversion.base import TextModel
TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
runpy.run_path(script, run_name="__main__")
"""


def source() -> Path:
    """The source tree; skips the test where there is none."""
    named = os.environ.get(VARIABLE)
    if not named or not (Path(named) / "convert_hf_to_gguf.py").is_file():
        pytest.skip(f"{VARIABLE} does not name llama.cpp's source tree")
    return Path(named)


def run(script: str, *arguments: object, pre: str = "qwen2") -> None:
    """Run one of its converters."""
    tree = source()
    command = [sys.executable, "-c", DRIVER, str(tree / script), pre, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(tree / "gguf-py"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
