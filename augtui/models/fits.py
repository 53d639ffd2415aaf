"""How much memory a model takes, and whether this machine has it."""

from __future__ import annotations

from augtui.engines.llama.plan import MEMORY_SHARE, SEQUENCE_TOKENS
from augtui.models import quantizations
from augtui.models.family import BITS_PER_WEIGHT, Entry
from augtui.models.quantizations import GOOD, SMALL, RemoteFile, Variant

WORK_BYTES = 200 << 20
"""Activations, logits and the process itself."""


def need_bytes(file_bytes: int, cell_bytes: int, context: int) -> int:
    """Return what a model takes at least: its weights, keys and values of one longest sequence, and room to work.

    file_bytes: of all its files; cell_bytes: of one token's keys and values; context: its longest sequence, in tokens.
    """
    return file_bytes + cell_bytes * min(context, SEQUENCE_TOKENS) + WORK_BYTES


def fits(entry: Entry, quantization: str, free: int) -> bool:
    """Return whether an entry's model of some type runs in `free` bytes, keys and values within the engine's share."""
    cells = entry.cell_bytes * min(entry.context, SEQUENCE_TOKENS)
    need = need_bytes(entry.file_bytes(quantization), entry.cell_bytes, entry.context)
    return need <= free and cells <= MEMORY_SHARE * free


def best_quantization(entry: Entry, free: int) -> str | None:
    """Return the type that would be pulled or made for a machine with `free` bytes, or None where none fits."""
    known = [name for name in dict.fromkeys((*GOOD, *SMALL)) if name in BITS_PER_WEIGHT]
    made = [Variant(name, (RemoteFile(f"x.{name}.gguf", entry.file_bytes(name)),)) for name in known]
    chosen = quantizations.best(sorted(made, key=lambda variant: variant.bytes), free)
    return chosen.quantization if chosen is not None and fits(entry, chosen.quantization, free) else None
