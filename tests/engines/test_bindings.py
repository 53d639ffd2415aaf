"""The bare bindings: the C functions under the package's own name, and nothing else imported."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from augtui.engines import bindings
bindings.prepare()
bindings.prepare()
import llama_cpp
from llama_cpp import llama_cpp as functions
print(llama_cpp.llama_backend_init is functions.llama_backend_init)
print("numpy" in sys.modules, "llama_cpp.llama" in sys.modules)
llama_cpp.llama_backend_init()
print(llama_cpp.llama_model_default_params().n_gpu_layers is not None)
"""


def test_only_the_functions_are_imported() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["True", "False", "False", "True"]


def test_a_package_that_was_imported_before_is_left_alone() -> None:
    program = "import llama_cpp\nbefore = llama_cpp\n" + PROGRAM + "print(sys.modules['llama_cpp'] is before)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["True", "True", "True", "True", "True"]
