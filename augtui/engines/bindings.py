"""llama-cpp-python's low-level bindings without its high-level classes, which take half of a worker's start."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

PACKAGE = "llama_cpp"


def prepare() -> None:
    """Make `import llama_cpp` give the C functions alone, without numpy and a log callback in Python.

    Like the package's own `__init__`, but for the modules that wrap the functions. Does nothing where the package is
    imported already.
    """
    if PACKAGE in sys.modules:
        return
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        return  # the import proper will say what is wrong
    package = ModuleType(PACKAGE)
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    sys.modules[PACKAGE] = package
    try:
        functions = vars(importlib.import_module(f"{PACKAGE}.{PACKAGE}"))
    except BaseException:
        del sys.modules[PACKAGE]
        raise
    package.__dict__.update({name: value for name, value in functions.items() if not name.startswith("_")})
