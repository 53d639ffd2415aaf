"""llama.cpp as a backend: loads a GGUF file, plans its context and returns what computes."""

from __future__ import annotations

from pathlib import Path

from augtui.engines.backend import Backend
from augtui.engines.base import ModelInfo
from augtui.engines.chat import ChatTemplate
from augtui.engines.llama.arena import SEQUENCES as ARENA_SEQUENCES
from augtui.engines.llama.arena import Arena
from augtui.engines.llama.batcher import Batcher
from augtui.engines.llama.context import CACHE_TYPES, Context, ContextPlan
from augtui.engines.llama.invariance import is_batch_invariant
from augtui.engines.llama.native import Model
from augtui.engines.llama.plan import Plan, alone, plan
from augtui.engines.machine import free_bytes, physical_cores
from augtui.engines.options import EngineOptions
from augtui.engines.prompts import PromptEncoder


def load(path: Path, options: EngineOptions) -> Backend:
    """Load a GGUF file; raises LoadError, or TemplateError for a chat template that cannot be used."""
    model = Model(path, gpu_layers=options.gpu_layers, adapters=options.adapters)
    template = ChatTemplate(model.chat_template(), bos=model.bos, eos=model.eos)
    cell_bytes = int(model.cell_width() * CACHE_TYPES[options.cache_type][1])
    sizes = plan(
        options,
        cell_bytes=cell_bytes,
        context_train=model.context_train,
        free=free_bytes(),
        cores=physical_cores(),
        gpu=model.gpu_layers != 0,
    )
    context = _context(model, sizes, options)
    if options.deterministic and not is_batch_invariant(context, model.n_vocab, ARENA_SEQUENCES):
        sizes = alone(sizes)
    info = ModelInfo(
        description=model.description,
        parameters=model.parameters,
        bytes=model.bytes,
        context_train=model.context_train,
        context_sequence=min(sizes.sequence_tokens, context.cells),
        slots=sizes.slots,
        metadata={key: value for key, value in model.metadata().items() if len(value) <= 4096},
        context_cells=context.cells,
        cache_bytes=context.cells * cell_bytes,
        threads=sizes.threads,
        gpu_layers=model.gpu_layers,
        adapters=tuple(options.adapters),
    )
    return Batcher(
        model,
        context,
        info,
        PromptEncoder(model, template),
        prefix_sequences=sizes.prefix_sequences,
        speculate=options.speculate,
        arena=Arena(context, context.cells) if options.deterministic else None,
    )


def _context(model: Model, sizes: Plan, options: EngineOptions) -> Context:
    return Context(
        model,
        ContextPlan(sizes.cells, sizes.sequences, sizes.batch, sizes.outputs, sizes.threads, options.cache_type),
    )
