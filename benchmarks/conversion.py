"""Conversion against llama.cpp's own: every tensor's bytes, the metadata, time and peak memory.

    python -m benchmarks.conversion --shape 0.5b 1.5b --vocab ggml-vocab-qwen2.gguf \\
        --llama-cpp LLAMA_CPP_SOURCE --bin FOLDER_OF_LLAMA_QUANTIZE -o SCRATCH_FOLDER --json out.json

For each shape a random bf16 checkpoint with the real vocabulary is made. Then both sides make each type of it:
`convert_hf_to_gguf.py --outtype` for F16, BF16 and Q8_0, and for Q4_K_M `--outtype auto` (bf16) and llama-quantize;
`python -m quantize` for ours. Times are wall times of whole processes, alternating, checkpoint in the page cache; the
shorter of the repeats counts. Peak memory is the kernel's high-water mark of resident memory (VmHWM) of the largest
process, mapped files included. Exit code 1: a tensor or a metadata field differs.
"""

import argparse
import filecmp
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from benchmarks.checkpoints import random_checkpoint
from benchmarks.memory import PeakMemory
from benchmarks.shapes import SHAPES

TYPES = ("F16", "BF16", "Q8_0", "Q4_K_M")
DIRECT = {"F32": "f32", "F16": "f16", "BF16": "bf16", "Q8_0": "q8_0"}
# How the two sides may differ, and why.
EXPECTED: dict[str, str] = {
    "tokenizer.ggml.add_eos_token": "written as false where the tokenizer says nothing of it",
    "GGUF.kv_count": "one more for that",
}


@dataclass
class Side:
    """What one side took: seconds of all its processes, bytes of memory of the largest."""

    seconds: float
    cpu_seconds: float
    """Of all cores together, user and system: what does not depend on what else the machine does."""
    peak_bytes: int


@dataclass
class Result:
    """One shape and type."""

    shape: str
    type: str
    tensors: int
    bytes: int
    identical: int
    """Tensors of the same name, shape, type and bytes."""
    different_fields: dict[str, list[Any]]
    ours: Side
    theirs: Side
    also_identical_to: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all is the same but what may differ."""
        return self.identical == self.tensors and not self.different_fields.keys() - EXPECTED.keys()


def timed(command: Sequence[str | Path], environment: dict[str, str], log: Path) -> Side:
    """Run a command to its end; raises SystemExit with the end of its output if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output, env=environment)
        with PeakMemory(process.pid) as memory:
            process.wait()
    seconds = time.perf_counter() - started
    if process.returncode:
        said = log.read_text(errors="replace")[-2000:]
        raise SystemExit(f"{command[0]} {command[1]} failed ({process.returncode}):\n{said}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    computed = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Side(seconds, computed, memory.peak_bytes or 0)


class Comparison:
    """Both converters on one checkpoint."""

    def __init__(self, checkpoint: Path, source: Path, binaries: Path, scratch: Path) -> None:
        """Compare in `scratch`, with llama.cpp's source tree at `source` and its programs in `binaries`."""
        self.checkpoint, self.scratch = checkpoint, scratch
        self._converter, self._quantize = source / "convert_hf_to_gguf.py", binaries / "llama-quantize"
        self._theirs = os.environ | {"PYTHONPATH": str(source / "gguf-py"), "HF_HUB_OFFLINE": "1"}
        self._log = scratch / "log.txt"

    def theirs(self, kind: str, destination: Path, *, through: str | None = None) -> Side:
        """Let llama.cpp make `destination`, through a first file of type `through` if it cannot be made at once."""
        convert: list[str | Path] = [sys.executable, self._converter, self.checkpoint, "--outfile"]
        if kind in DIRECT and through is None:
            return timed([*convert, destination, "--outtype", DIRECT[kind]], self._theirs, self._log)
        first = self.scratch / "theirs-exact.gguf"
        converted = timed([*convert, first, "--outtype", through or "auto"], self._theirs, self._log)
        quantized = timed([self._quantize, first, destination, kind], dict(os.environ), self._log)
        first.unlink()
        return Side(
            converted.seconds + quantized.seconds,
            converted.cpu_seconds + quantized.cpu_seconds,
            max(converted.peak_bytes, quantized.peak_bytes),
        )

    def ours(self, kind: str, destination: Path) -> Side:
        """Let the project make `destination`."""
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "quantize",
            self.checkpoint,
            "-o",
            destination,
            "-t",
            kind,
            "-q",
        ]
        return timed(command, dict(os.environ), self._log)


def differences(first: Path, second: Path) -> tuple[int, int, dict[str, list[Any]]]:
    """Return how many tensors there are, how many are the same, and the metadata fields that differ."""
    if filecmp.cmp(first, second, shallow=False):
        # The tensor count stands in the header (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
        with first.open("rb") as file:
            count = int.from_bytes(file.read(16)[8:], "little")
        return count, count, {}
    ours, theirs = gguf.GGUFReader(first), gguf.GGUFReader(second)
    mine, others = ({tensor.name: tensor for tensor in reader.tensors} for reader in (ours, theirs))
    same = sum(
        name in others
        and tensor.tensor_type == others[name].tensor_type
        and list(tensor.shape) == list(others[name].shape)
        and np.array_equal(tensor.data.view(np.uint8), others[name].data.view(np.uint8))
        for name, tensor in mine.items()
    )
    fields = {}
    for key in ours.fields.keys() | theirs.fields.keys():
        if _raw(ours, key) == _raw(theirs, key):
            continue
        values = [reader.fields[key].contents() if key in reader.fields else None for reader in (ours, theirs)]
        fields[key] = [value if not isinstance(value, list) else f"{len(value)} items" for value in values]
    return len(mine.keys() | others.keys()), same, fields


def _raw(reader: gguf.GGUFReader, key: str) -> bytes | None:
    """A field as it stands in the file; decoding lists of 150,000 tokens would take seconds."""
    if (found := reader.fields.get(key)) is None:
        return None
    if key.startswith("GGUF."):  # the header's counts, which the reader makes into fields
        return bytes(found.parts[found.data[0]].tobytes())
    size = sum(int(part.nbytes) for part in found.parts)
    return bytes(reader.data[found.offset : found.offset + size].tobytes())


def compare(comparison: Comparison, shape: str, kind: str, repeats: int) -> Result:
    """Make one type on both sides, `repeats` times by turns, and compare what came of it."""
    ours, theirs = (comparison.scratch / f"{side}-{kind.lower()}.gguf" for side in ("ours", "theirs"))
    sides: dict[str, list[Side]] = {"ours": [], "theirs": []}
    for _ in range(repeats):
        sides["theirs"].append(comparison.theirs(kind, theirs))
        sides["ours"].append(comparison.ours(kind, ours))
    tensors, same, fields = differences(ours, theirs)
    best = {
        name: Side(
            min(side.seconds for side in found),
            min(side.cpu_seconds for side in found),
            max(side.peak_bytes for side in found),
        )
        for name, found in sides.items()
    }
    result = Result(shape, kind, tensors, ours.stat().st_size, same, fields, best["ours"], best["theirs"])
    if kind == "Q8_0":  # llama-quantize makes it too, from the exact weights
        comparison.theirs(kind, theirs, through="bf16")
        if differences(ours, theirs)[1] == tensors:
            result.also_identical_to.append("llama-quantize Q8_0")
    ours.unlink()
    theirs.unlink()
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conversion", description=__doc__.splitlines()[0])
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=["0.5b"])
    parser.add_argument("--type", nargs="+", default=list(TYPES))
    parser.add_argument("--vocab", type=Path, required=True, help="GGUF file with the Qwen2 vocabulary")
    parser.add_argument("--llama-cpp", type=Path, required=True, help="source tree of llama.cpp, of the same version")
    parser.add_argument("--bin", type=Path, required=True, help="folder with its llama-quantize")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for checkpoints and files")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for shape in options.shape:
        checkpoint = options.output / f"qwen2-{shape}-shape"
        if not (checkpoint / "config.json").is_file():
            random_checkpoint(shape, options.vocab, checkpoint)
        for part in checkpoint.glob("*.safetensors"):  # into the page cache, for both
            with part.open("rb") as file:
                while file.read(1 << 26):
                    pass
        comparison = Comparison(checkpoint, options.llama_cpp, options.bin, options.output)
        for kind in options.type:
            result = compare(comparison, shape, kind, options.repeat)
            results.append(result)
            print(
                f"{shape:>5} {kind:<7} {result.identical}/{result.tensors} tensors identical, "
                f"{len(result.different_fields)} fields differ; ours {result.ours.seconds:.1f} s "
                f"{result.ours.peak_bytes / 1e6:.0f} MB, theirs {result.theirs.seconds:.1f} s "
                f"{result.theirs.peak_bytes / 1e6:.0f} MB, ratio {result.ours.seconds / result.theirs.seconds:.2f} "
                f"(processor time {result.ours.cpu_seconds:.1f} and {result.theirs.cpu_seconds:.1f} s)",
                result.different_fields or "",
                *result.also_identical_to,
                flush=True,
            )
    if options.json:
        options.json.write_text(
            json.dumps([asdict(result) | {"passed": result.passed} for result in results], indent=1)
        )
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
