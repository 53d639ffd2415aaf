"""llama.cpp as a backend: loads a GGUF file, plans its context and returns what computes."""

from __future__ import annotations

from pathlib import Path

from augtui.engines.backend import Backend
from augtui.engines.base import ModelInfo
from augtui.engines.batcher import Batcher
from augtui.engines.chat import ChatTemplate
from augtui.engines.machine import free_bytes, physical_cores
from augtui.engines.native import Context, ContextPlan, Model
from augtui.engines.options import EngineOptions
from augtui.engines.prompts import PromptEncoder

SEQUENCE_TOKENS = 4096
"""Longest prompt plus answer that is planned for, where the model and the memory allow it."""
SLOT_TOKENS = 768
"""Cells of KV cache planned for each slot: a usual prompt and its longest usual answer."""
BATCH_TOKENS = 512
MEMORY_SHARE = 0.4
"""The KV cache takes at most this share of the memory that is free."""


def load(path: Path, options: EngineOptions) -> Backend:
    """Load a GGUF file; raises LoadError, or TemplateError for a chat template that cannot be used."""
    model = Model(path, gpu_layers=options.gpu_layers)
    template = ChatTemplate(model.chat_template(), bos=model.bos, eos=model.eos)
    slots = options.slots
    sequence_tokens = min(model.context_train, options.sequence_tokens or SEQUENCE_TOKENS)
    affordable = max(512, int(free_bytes() * MEMORY_SHARE) // max(1, model.cell_bytes()))
    cells = options.cells or min(max(slots * SLOT_TOKENS, sequence_tokens + 256), affordable)
    plan = ContextPlan(cells, slots + 1, BATCH_TOKENS, options.threads or physical_cores())
    context = Context(model, plan)
    sequence_tokens = min(sequence_tokens, context.cells)
    info = ModelInfo(
        description=model.description,
        parameters=model.parameters,
        bytes=model.bytes,
        context_train=model.context_train,
        context_sequence=sequence_tokens,
        slots=slots,
        metadata={key: value for key, value in model.metadata().items() if len(value) <= 4096},
    )
    return Batcher(model, context, info, PromptEncoder(model, template))
