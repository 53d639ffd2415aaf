"""How much of a machine an engine takes: slots, cache, batch, threads."""

from __future__ import annotations

from dataclasses import dataclass, replace

from augtui.engines.llama.arena import BATCH_TOKENS as ARENA_BATCH
from augtui.engines.llama.arena import SEQUENCES as ARENA_SEQUENCES
from augtui.engines.llama.drafts import LONGEST_DRAFT
from augtui.engines.options import EngineOptions

SEQUENCE_TOKENS = 4096
"""Longest prompt plus answer that is planned for, where the model and the memory allow it."""
SLOT_TOKENS = 768
"""Cells of KV cache planned for each slot: a usual prompt and its longest usual answer."""
LEAST_SLOT_TOKENS = 256
"""With fewer cells a slot is not worth having: there are fewer slots then."""
BATCH_TOKENS = 192
"""On a CPU more tokens in a step compute no faster, and their attention mask and activations take memory."""
GPU_BATCH_TOKENS = 512
MEMORY_SHARE = 0.4
"""The KV cache takes at most this share of the memory that is free."""
MOST_SEQUENCES = 256
"""llama.cpp's limit (LLAMA_MAX_SEQ)."""
PREFIX_SEQUENCES = 16
SCORE_OUTPUTS = 32
"""Tokens of a step whose logits can be read at least, so that scoring does not crawl."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of an engine."""

    slots: int
    sequence_tokens: int
    """Longest prompt plus answer."""
    cells: int
    """Tokens that the KV cache holds."""
    sequences: int
    prefix_sequences: int
    batch: int
    outputs: int
    threads: int


def plan(options: EngineOptions, *, cell_bytes: int, context_train: int, free: int, cores: int, gpu: bool) -> Plan:
    """Return the sizes that suit the machine and the model.

    cell_bytes: of one token's keys and values, in the cache's type; context_train: longest sequence that the model was
    trained for; free: bytes of memory that can be had; cores: physical ones.
    """
    affordable = max(512, int(free * MEMORY_SHARE) // max(1, cell_bytes))
    longest = min(context_train, options.sequence_tokens or SEQUENCE_TOKENS)
    if options.deterministic:
        return _arena(options, longest, affordable, cores)
    wanted = max(options.slots * SLOT_TOKENS, longest + LEAST_SLOT_TOKENS)
    cells = options.cells or min(wanted, affordable)
    slots = max(1, min(options.slots, MOST_SEQUENCES - 1, cells // LEAST_SLOT_TOKENS))
    prefixes = min(PREFIX_SEQUENCES, MOST_SEQUENCES - slots)
    return Plan(
        slots=slots,
        sequence_tokens=min(longest, cells),
        cells=cells,
        sequences=slots + prefixes,
        prefix_sequences=prefixes,
        batch=GPU_BATCH_TOKENS if gpu else BATCH_TOKENS,
        outputs=max(SCORE_OUTPUTS, slots + LONGEST_DRAFT),
        threads=options.threads or cores,
    )


def _arena(options: EngineOptions, longest: int, affordable: int, cores: int) -> Plan:
    # What a text may be like must not depend on the memory at hand: where its cells do not fit, loading fails.
    slots = max(1, min(options.slots, ARENA_BATCH - 7))
    wanted = max(slots * SLOT_TOKENS, longest + LEAST_SLOT_TOKENS)
    cells = options.cells or max(longest + LEAST_SLOT_TOKENS, min(wanted, affordable))
    return Plan(
        slots=slots,
        sequence_tokens=longest,
        cells=cells,
        sequences=ARENA_SEQUENCES + 1,
        prefix_sequences=0,
        batch=ARENA_BATCH,
        outputs=ARENA_SEQUENCES + 1,
        threads=options.threads or cores,
    )


def alone(plan: Plan) -> Plan:
    """Return the plan for one sequence at a time."""
    return replace(plan, slots=1)
