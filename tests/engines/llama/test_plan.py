"""Sizes planned from the machine's memory and the model's."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from augtui.engines.llama.native import layer_attempts
from augtui.engines.llama.plan import LEAST_SLOT_TOKENS, MEMORY_SHARE, Plan, plan
from augtui.engines.options import EngineOptions

GIB = 1 << 30


def sizes(options: EngineOptions, *, cell: int = 12288, free: int = 16 * GIB, train: int = 32768) -> Plan:
    return plan(options, cell_bytes=cell, context_train=train, free=free, cores=2, gpu=False)


def test_a_usual_machine_gets_what_was_asked_for() -> None:
    planned = sizes(EngineOptions(slots=32))
    assert planned.slots == 32
    assert planned.cells == 32 * 768
    assert planned.sequence_tokens == 4096
    assert planned.threads == 2


def test_little_memory_means_a_smaller_cache_and_then_fewer_slots() -> None:
    # A 7B model of 57 kB a token with half a GiB to spare.
    planned = sizes(EngineOptions(slots=32), cell=57344, free=GIB // 2)
    assert planned.cells * 57344 <= GIB // 2 * MEMORY_SHARE
    assert 1 <= planned.slots < 32
    assert planned.cells // planned.slots >= LEAST_SLOT_TOKENS


@given(
    st.integers(1, 400), st.integers(256, 1 << 20), st.integers(0, 64 * GIB), st.integers(128, 1 << 17), st.booleans()
)
def test_every_plan_can_be_allocated_and_serves_its_longest_sequence(
    slots: int, cell: int, free: int, train: int, deterministic: bool
) -> None:
    planned = sizes(EngineOptions(slots=slots, deterministic=deterministic), cell=cell, free=free, train=train)
    assert 1 <= planned.slots <= slots
    assert planned.sequences <= 256
    assert planned.slots + planned.prefix_sequences <= planned.sequences
    # llama.cpp reserves a row of logits for each sequence, and refuses a plan with fewer.
    assert planned.outputs >= planned.sequences
    assert planned.sequence_tokens <= planned.cells
    assert planned.sequence_tokens <= train


def test_a_deterministic_engine_serves_the_same_sequences_whatever_the_memory_and_the_slots() -> None:
    lengths = {
        sizes(EngineOptions(slots=slots, deterministic=True), free=free).sequence_tokens
        for slots in (1, 16, 64)
        for free in (0, GIB, 64 * GIB)
    }
    assert lengths == {4096}
    planned = sizes(EngineOptions(slots=64, deterministic=True))
    assert planned.slots < planned.batch < 64


def test_a_user_decides_before_the_plan_does() -> None:
    planned = sizes(EngineOptions(slots=4, cells=2048, threads=7, sequence_tokens=1000))
    assert (planned.cells, planned.threads, planned.sequence_tokens) == (2048, 7, 1000)


def test_fewer_layers_are_tried_where_the_gpu_has_no_room() -> None:
    assert layer_attempts(-1, gpu=False) == [0]
    assert layer_attempts(12, gpu=True) == [12]
    attempts = layer_attempts(-1, gpu=True)
    assert attempts[0] == -1
    assert attempts[1:] == sorted(attempts[1:], reverse=True)
    assert attempts[-1] == 0


def test_options_cross_the_pipe_unchanged() -> None:
    from pathlib import Path

    options = EngineOptions(slots=3, cache_type="q8_0", adapters={"a": Path("x.gguf")}, deterministic=True)
    assert EngineOptions.unpack(options.pack()) == options
    assert EngineOptions.unpack(replace(options, adapters={}).pack()) == replace(options, adapters={})
