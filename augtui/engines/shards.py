"""Split GGUF models: `NAME-00001-of-00003.gguf` and its siblings, as llama.cpp names them (llama_split_path)."""

from __future__ import annotations

import re
from pathlib import Path

SHARD = re.compile(r"^(.*)-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)
MOST_SHARDS = 1000


def files_of(path: Path) -> list[Path]:
    """Return all files of the model that `path` is, or is the first shard of, in order; they need not be there."""
    shard = SHARD.match(path.name)
    if shard is None or int(shard.group(2)) != 1 or not 1 <= int(shard.group(3)) <= MOST_SHARDS:
        return [path]
    stem, count = shard.group(1), int(shard.group(3))
    return [path, *(path.with_name(f"{stem}-{number:05}-of-{count:05}.gguf") for number in range(2, count + 1))]


def number_of(path: Path) -> int:
    """Return which shard a file is, from 1; 1 for a file that is none."""
    shard = SHARD.match(path.name)
    return int(shard.group(2)) if shard is not None else 1
