"""Limits of a worker: memory that a small model cannot need is refused, and a crash leaves no core dump."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are Linux's")

PROGRAM = """
import resource, sys
from pathlib import Path
from augtui.engines import limits
from augtui.engines.options import EngineOptions
limits.GPUS = ()
limits.SURE_BYTES = limits.LEAST_ROOM_BYTES = 64 << 20
limits.forbid_core_dumps()
limits.limit_memory(Path(sys.argv[1]), EngineOptions(cells=eval(sys.argv[2])))
print(resource.getrlimit(resource.RLIMIT_CORE)[0] <= 1)
bytearray(32 << 20)
try:
    bytearray(256 << 20)
except MemoryError:
    print("refused")
else:
    print("granted")
"""


@pytest.mark.parametrize(("cells", "answer"), [("None", "refused"), ("1000", "granted")])
def test_memory_that_a_file_of_this_size_cannot_need_is_refused(cells: str, answer: str, tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF" * 1000)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(model), cells], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["True", answer], done.stderr
