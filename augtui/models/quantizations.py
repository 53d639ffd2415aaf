"""Which GGUF files a repository has: their quantizations, their shards, and which of them suits a machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from augtui.engines.shards import MOST_SHARDS, SHARD

TYPE = re.compile(
    r"(?:^|[-_.])((?:UD-)?(?:I?Q[1-8](?:_[0-9KSMLXN]+)*|TQ[12]_0|MXFP4(?:_MOE)?|BF16|F(?:P)?16|F(?:P)?32))(?=$|[-_.])",
    re.IGNORECASE,
)
NOT_A_MODEL = re.compile(r"(?:^|[-_./])(?:mmproj|imatrix|ggml-vocab|lora|mtp|draft)(?=[-_./]|$)", re.IGNORECASE)
"""Files beside the models: vision projectors, importance matrices, vocabularies, adapters, draft heads."""
GOOD = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")
"""The best first: of these the best whose file takes at most a quarter of the free memory."""
SMALL = ("Q4_K_M", "Q4_K_S", "IQ4_XS", "IQ4_NL", "Q4_0", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K")
"""Where none of those does: the best of these that fits at all."""
GOOD_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository, as a hub lists it."""

    path: str
    bytes: int | None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """One quantization of a model: a GGUF file, or all shards of one in order."""

    quantization: str
    files: tuple[RemoteFile, ...]

    @property
    def bytes(self) -> int:
        """Return the size of all its files."""
        return sum(file.bytes or 0 for file in self.files)


def quantization_of(path: str) -> str:
    """Return the type that a GGUF file's name tells (`Q4_K_M`), or its name without `.gguf` where it tells none."""
    shard = SHARD.match(path)
    stem = shard.group(1) if shard else re.sub(r"\.gguf$", "", path, flags=re.IGNORECASE)
    name = stem.rsplit("/", 1)[-1]
    found = TYPE.findall(name) or TYPE.findall(stem.rsplit("/", 1)[0] if "/" in stem else "")
    if not found:
        return name
    return str(found[-1]).upper().replace("FP16", "F16").replace("FP32", "F32")


def variants(files: Iterable[RemoteFile]) -> list[Variant]:
    """Return the models among a repository's files, smallest first; a split one lacks no shard."""
    single: list[Variant] = []
    split: dict[tuple[str, int], dict[int, RemoteFile]] = {}
    for file in files:
        if not file.path.lower().endswith(".gguf") or NOT_A_MODEL.search(file.path):
            continue
        shard = SHARD.match(file.path)
        if shard is None:
            single.append(Variant(quantization_of(file.path), (file,)))
        elif 1 <= int(shard.group(2)) <= int(shard.group(3)) <= MOST_SHARDS:
            split.setdefault((shard.group(1), int(shard.group(3))), {})[int(shard.group(2))] = file
    whole = [
        Variant(quantization_of(parts[1].path), tuple(parts[number] for number in range(1, count + 1)))
        for (_, count), parts in split.items()
        if len(parts) == count
    ]
    return sorted([*single, *whole], key=lambda variant: (variant.bytes, variant.files[0].path))


def named(wanted: str, found: Sequence[Variant]) -> Variant | None:
    """Return the variant of a type or of a file's name, or None; of two of a type the one with the plainer name."""
    for variant in found:
        if wanted in (variant.files[0].path, variant.files[0].path.rsplit("/", 1)[-1]):
            return variant
    same = [variant for variant in found if variant.quantization == wanted.upper()]
    return min(same, key=lambda variant: (len(variant.files), len(variant.files[0].path)), default=None)


def best(found: Sequence[Variant], free_bytes: int) -> Variant | None:
    """Return the variant that suits a machine with so much free memory; None where there is none at all.

    The best type up to Q8_0 whose files take at most a quarter of the free memory: more would be slower and leave less
    for keys and values. Else the best small one that fits at all, else the smallest.
    """
    for name in GOOD:
        variant = named(name, found)
        if variant is not None and variant.bytes <= GOOD_SHARE * free_bytes:
            return variant
    for name in SMALL:
        variant = named(name, found)
        if variant is not None and variant.bytes <= free_bytes:
            return variant
    fitting = [variant for variant in found if variant.bytes <= free_bytes]
    if fitting:
        return fitting[-1]
    return found[0] if found else None
