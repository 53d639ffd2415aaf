"""MLX as a backend: loads a model folder with mlx-lm and batches requests continuously over it.

mlx-lm's `BatchGenerator` computes; this decides what it is given and what becomes of the tokens. An answer joins the
batch between two steps, and a step draws one token for every answer under way and computes pieces of the prompts that
joined. What waiting prompts have in common at their beginning is computed once. Nothing here imports MLX itself, so
that its absence can be told in words.
"""

from __future__ import annotations

import bisect
import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augtui.engines.assembly import Answer, Overflow, answer_room
from augtui.engines.backend import Backend, LoadError
from augtui.engines.base import (
    Completion,
    Embedding,
    EmbedRequest,
    Failure,
    FailureCode,
    FinishReason,
    ModelInfo,
    Outcome,
    Partial,
    Progress,
    Request,
    Score,
    ScoreRequest,
    Timing,
    Work,
)
from augtui.engines.chat import ChatTemplate
from augtui.engines.machine import free_bytes
from augtui.engines.options import EngineOptions
from augtui.engines.prompts import PromptEncoder

if TYPE_CHECKING:
    from augtui.engines.mlx.model import MlxModel
    from augtui.engines.mlx.vocabulary import Vocabulary

SEQUENCE_TOKENS = 4096
"""Longest prompt plus answer, where the model, the options and the memory allow it."""
MEMORY_SHARE = 0.4
"""Keys and values take at most this share of the memory that is free."""
LEAST_SAVING = 8
"""Common beginnings that save less computation (tokens) are not worth the trouble."""
PREFIXES = 4
"""So many shared beginnings are kept: a run has a few system prompts at most."""
LOOK_AHEAD = 8
"""Waiting prompts that are compared for a common beginning."""
METADATA_VALUE = 4096
"""Longer values (characters) are left out of the metadata."""
INSTALL = "pip install 'augtui[mlx]'"


class Unsupported(Exception):
    """What this engine cannot do at all; the message says what."""


def load(path: Path, options: EngineOptions) -> Backend:
    """Load an MLX model folder; raises LoadError, or TemplateError for a chat template that cannot be used."""
    if options.cache_type != "f16":
        raise LoadError(
            f"MLX keeps keys and values in the model's own type: cache type {options.cache_type} is for GGUF"
        )
    config = _read_config(path)
    try:
        from augtui.engines.mlx.model import MlxModel
        from augtui.engines.mlx.vocabulary import Vocabulary
    except ImportError as error:
        raise LoadError(f"MLX is not installed ({error}): {INSTALL}") from error
    vocabulary = Vocabulary(path, config)
    template = ChatTemplate(vocabulary.chat_template(), bos=vocabulary.bos, eos=vocabulary.eos)
    model = MlxModel(path, config, options.adapters, gpu=options.gpu_layers != 0)
    if vocabulary.size > model.vocabulary_size:
        raise LoadError(f"the tokenizer has {vocabulary.size} tokens, the model only {model.vocabulary_size}")
    info = _describe(model, options, {**config, "tokenizer.chat_template": vocabulary.chat_template()})
    return MlxBatcher(model, vocabulary, PromptEncoder(vocabulary, template), info, options)


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise LoadError("not an MLX model, which would be a folder")
    if not (path / "config.json").is_file():
        raise LoadError("not an MLX model: config.json is missing")
    if not any(path.glob("model*.safetensors")):
        raise LoadError("not an MLX model: model.safetensors is missing")
    try:
        config = json.loads((path / "config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise LoadError(f"config.json cannot be read: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise LoadError("not an MLX model: config.json names no model_type")
    return config


def _describe(model: MlxModel, options: EngineOptions, metadata: dict[str, Any]) -> ModelInfo:
    # One at a time, an answer cannot depend on its neighbours: batched kernels differ in the last bits.
    slots = 1 if options.deterministic else options.slots
    sequence_tokens = min(model.context_train, options.sequence_tokens or SEQUENCE_TOKENS)
    affordable = max(512, int(free_bytes() * MEMORY_SHARE) // model.cell_bytes)
    cells = options.cells or min(slots * sequence_tokens, affordable)
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    texts = {"general.architecture": str(metadata["model_type"]), **texts}
    return ModelInfo(
        description=model.description,
        parameters=model.parameters,
        bytes=model.bytes,
        context_train=model.context_train,
        context_sequence=min(sequence_tokens, cells),
        slots=slots,
        metadata={key: value for key, value in texts.items() if len(value) <= METADATA_VALUE},
        context_cells=cells,
        cache_bytes=cells * model.cell_bytes,
        gpu_layers=model.layers if model.on_gpu else 0,
        adapters=model.adapters,
    )


@dataclass(slots=True)
class _Waiting:
    request: Request
    tokens: list[int]
    room: int
    submitted: float


@dataclass(slots=True)
class _Task:
    """A piece of work that is one computation: a score or an embedding."""

    work: ScoreRequest | EmbedRequest
    tokens: list[int]
    """Of the prompt of a score, or of the text of an embedding."""
    answer: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Active:
    request: Request
    prompt: int
    shared: int
    answer: Answer
    submitted: float
    started: float = 0.0
    first_token: float = 0.0
    computed: int = 0
    """Prompt tokens computed for it alone."""

    @property
    def cells(self) -> int:
        return self.prompt + self.answer.longest


class _Lane:
    """The requests of one adapter: they share a batch, which computes with one set of weights."""

    def __init__(self, generator: Any) -> None:
        self.generator = generator
        self.active: dict[int, _Active] = {}
        self.prefixes: list[tuple[list[int], Any]] = []
        """Shared beginnings with their keys and values, the newest last."""

    def cells(self, joining: int = 0) -> int:
        """Return the cells that its batch comes to, with one that needs `joining` more: all rows are equally long."""
        needs = [entry.cells for entry in self.active.values()] + ([joining] if joining else [])
        return len(needs) * max(needs, default=0)

    def prefix(self, tokens: list[int]) -> tuple[list[int], Any] | None:
        """Return the longest shared beginning that `tokens` has, if it goes on behind it."""
        fitting = [entry for entry in self.prefixes if len(entry[0]) < len(tokens) and _begins(tokens, entry[0])]
        return max(fitting, key=lambda entry: len(entry[0]), default=None)


def _begins(tokens: list[int], beginning: list[int]) -> bool:
    return tokens[: len(beginning)] == beginning


def _worthwhile(tokens: list[int], others: Sequence[list[int]], known: int) -> int:
    """Return the length of the beginning that is best computed once for `tokens` and some of `others`, or 0.

    `known` of its tokens are computed already. A beginning costs its length, and saves what is new of it once for each
    prompt that has it.
    """
    from augtui.engines.mlx.model import tokens_in_common

    # At least one token of each prompt is its own: the answer starts from that token's logits.
    most = [min(tokens_in_common(tokens, other), len(tokens) - 1, len(other) - 1) for other in others]
    lengths = sorted(most, reverse=True)
    savings = [((count + 1) * (length - known) - length, length) for count, length in enumerate(lengths, start=1)]
    saving, length = max(savings, default=(0, 0))
    return length if saving >= LEAST_SAVING else 0


class MlxBatcher:
    """Turns requests into answers, step by step; a `augtui.engines.backend.Backend`."""

    def __init__(
        self, weights: MlxModel, vocabulary: Vocabulary, encode: PromptEncoder, info: ModelInfo, options: EngineOptions
    ) -> None:
        """Serve `info.slots` requests at a time within `info.context_cells` cells."""
        self._weights = weights
        self._vocabulary = vocabulary
        self._encode = encode
        self.model = info
        self._shares = weights.shares_prefixes and not options.deterministic
        self._ends = sorted(vocabulary.end_tokens)
        self._lanes: dict[str | None, _Lane] = {}
        self._waiting: list[_Waiting] = []
        self._tasks: deque[_Task] = deque()
        self._task: _Task | None = None
        self._timing = Timing()
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self.steps = 0

    @property
    def busy(self) -> bool:
        """Return whether any work is waiting or under way."""
        return bool(self._waiting or self._tasks or self._task or self._under_way)

    @property
    def _under_way(self) -> int:
        return sum(len(lane.active) for lane in self._lanes.values())

    # -- taking work -------------------------------------------------------------------------------------------------

    def submit(self, work: Work) -> Failure | None:
        """Queue a piece of work; returns a failure if it can never be done."""
        began = time.monotonic()
        code: FailureCode
        try:
            self._queue(work, began)
            return None
        except Overflow as overflow:
            code, detail = "context overflow", str(overflow)
        except Unsupported as lack:
            code, detail = "unsupported", str(lack)
        except Exception as error:  # a template or a tokenizer may refuse anything; the record is to blame, not the run
            code, detail = "bad request", f"{type(error).__name__}: {error}"[:500]
        finally:
            self._timing.other_s += time.monotonic() - began
        return Failure(work.id, code, detail)

    def _queue(self, work: Work, now: float) -> None:
        limit = self.model.context_sequence
        if isinstance(work, EmbedRequest):
            tokens = self._vocabulary.tokenize(work.text)
            if not tokens:
                raise ValueError("the text is empty")
            self._tasks.append(_Task(work, _fitting(self._vocabulary.begun(tokens), limit)))
            return
        if work.adapter is not None and work.adapter not in self.model.adapters:
            raise ValueError(f"no adapter {work.adapter!r} is loaded")
        prompt = self._encode(work)
        if not prompt:
            raise ValueError("the chat template makes an empty prompt of it")
        if isinstance(work, ScoreRequest):
            answer = self._vocabulary.tokenize(work.answer)
            if not answer:
                raise ValueError("the answer is empty")
            _fitting(prompt + answer, limit)
            self._tasks.append(_Task(work, prompt, answer))
            return
        if work.schema is not None or work.grammar is not None:
            raise Unsupported("MLX cannot hold answers to a schema or a grammar; GGUF models can")
        room = answer_room(len(prompt), work.sampling.max_tokens, limit)
        if work.sampling.repeat_penalty <= 0:
            raise ValueError("repeat_penalty must be above 0")
        # The longest prompts first: those that are computed together are then of about the same length.
        bisect.insort(self._waiting, _Waiting(work, prompt, room, now), key=lambda entry: -len(entry.tokens))

    def cancel(self, ids: set[str]) -> list[Failure]:
        """Drop work that waits or is under way; returns a failure for each piece dropped."""
        dropped = [entry.request.id for entry in self._waiting if entry.request.id in ids]
        self._waiting = [entry for entry in self._waiting if entry.request.id not in ids]
        if self._task is not None:
            self._tasks.appendleft(self._task)
            self._task = None
        dropped += [task.work.id for task in self._tasks if task.work.id in ids]
        self._tasks = deque(task for task in self._tasks if task.work.id not in ids)
        for lane in self._lanes.values():
            gone = [number for number, entry in lane.active.items() if entry.request.id in ids]
            dropped += [lane.active.pop(number).request.id for number in gone]
            lane.generator.remove(gone)
        return [Failure(name, "cancelled", "cancelled") for name in dropped]

    def admit(self) -> None:
        """Take waiting work up, as far as there is room."""
        if self._task is None and self._tasks:
            self._task = self._tasks.popleft()
        while self._waiting and self._under_way < self.model.slots:
            entry = self._waiting[0]
            lane = self._lane(entry.request.adapter)
            others = sum(other.cells() for other in self._lanes.values() if other is not lane)
            if self._under_way and others + lane.cells(len(entry.tokens) + entry.room) > self.model.context_cells:
                return
            self._join(lane, entry)
            del self._waiting[0]

    def _lane(self, adapter: str | None) -> _Lane:
        lane = self._lanes.get(adapter)
        if lane is None:
            lane = self._lanes[adapter] = _Lane(self._weights.generator(self.model.slots, self._ends))
        return lane

    def _join(self, lane: _Lane, entry: _Waiting) -> None:
        from augtui.engines.mlx.model import logits_processors, sampler

        if self._shares:
            self._share(lane, entry)
        tokens, cache = lane.prefix(entry.tokens) or ([], None)
        request = entry.request
        sampling = request.sampling
        (number,) = lane.generator.insert(
            [entry.tokens[len(tokens) :]],
            max_tokens=[entry.room],
            caches=[cache] if cache is not None else None,
            all_tokens=[list(tokens)],
            samplers=[sampler(sampling, request.seed)],
            logits_processors=[logits_processors(sampling, len(entry.tokens), self._ends)],
        )
        answer = Answer(entry.room, sampling.stop)
        lane.active[number] = _Active(request, len(entry.tokens), len(tokens), answer, entry.submitted)

    def _share(self, lane: _Lane, entry: _Waiting) -> None:
        """Compute what the next prompts have in common with this one at their beginning, where that saves work."""
        adapter = entry.request.adapter
        others = [other.tokens for other in self._waiting[1 : 1 + LOOK_AHEAD] if other.request.adapter == adapter]
        known = lane.prefix(entry.tokens)
        length = _worthwhile(entry.tokens, others, len(known[0]) if known else 0)
        if not length:
            return
        began = time.monotonic()
        beginning = entry.tokens[:length]
        self._weights.use(adapter)
        lane.prefixes = [*lane.prefixes[1 - PREFIXES :], (beginning, self._weights.prefix(beginning))]
        self._prompt_tokens += length
        self._timing.prefill_tokens += length
        self._timing.prefill_s += time.monotonic() - began

    def active_ids(self) -> set[str]:
        """Return the ids of the work that the next step will compute."""
        ids = {entry.request.id for lane in self._lanes.values() for entry in lane.active.values()}
        return ids | {self._task.work.id} if self._task is not None else ids

    # -- computing ---------------------------------------------------------------------------------------------------

    def step(self) -> Sequence[Outcome]:
        """Compute a token of every answer under way, pieces of new prompts, and one score or embedding."""
        began = time.monotonic()
        before = self._computing_s
        self.admit()
        outcomes: list[Outcome] = []
        for adapter, lane in self._lanes.items():
            if lane.active:
                self._weights.use(adapter)
                outcomes += self._generate(lane)
        if self._task is not None:
            task, self._task = self._task, None
            outcomes.append(self._settle(task))
        self.steps += 1
        self._timing.steps += 1
        self._timing.other_s += time.monotonic() - began - (self._computing_s - before)
        return outcomes

    @property
    def _computing_s(self) -> float:
        return self._timing.prefill_s + self._timing.decode_s + self._timing.mixed_s

    def _generate(self, lane: _Lane) -> Iterator[Completion]:
        began = time.monotonic()
        prompts, drawn = lane.generator.next()
        now = time.monotonic()
        computed = 0
        for response in prompts:
            entry = lane.active[response.uid]
            entry.started = entry.started or began
            computed += response.progress[0] - entry.computed
            entry.computed = response.progress[0]
        self._account(now - began, computed, len(drawn))
        over: list[int] = []
        for response in drawn:
            entry = lane.active[response.uid]
            entry.first_token = entry.first_token or now
            reason = self._accept(entry, int(response.token))
            if reason is not None:
                del lane.active[response.uid]
                over.append(response.uid)
                yield self._complete(entry, reason)
        lane.generator.remove(over)

    def _account(self, seconds: float, prompt: int, answer: int) -> None:
        timing = self._timing
        self._prompt_tokens += prompt
        if prompt and answer:
            timing.mixed_s += seconds
            timing.mixed_prompt_tokens += prompt
            timing.mixed_answer_tokens += answer
        elif prompt:
            timing.prefill_s += seconds
            timing.prefill_tokens += prompt
        else:
            timing.decode_s += seconds
            timing.decode_tokens += answer

    def _accept(self, entry: _Active, token: int) -> FinishReason | None:
        if token in self._vocabulary.end_tokens:
            return "stop"
        self._completion_tokens += 1
        return entry.answer.add(token, self._vocabulary.piece(token))

    def _complete(self, entry: _Active, reason: FinishReason) -> Completion:
        now = time.monotonic()
        return Completion(
            id=entry.request.id,
            text=entry.answer.finish(reason),
            finish_reason=reason,
            prompt_tokens=entry.prompt,
            shared_tokens=entry.shared,
            completion_tokens=len(entry.answer.tokens),
            queued_s=round(entry.started - entry.submitted, 6),
            first_token_s=round(entry.first_token - entry.submitted, 6),
            duration_s=round(now - entry.submitted, 6),
        )

    def _settle(self, task: _Task) -> Outcome:
        began = time.monotonic()
        work = task.work
        self._weights.use(work.adapter if isinstance(work, ScoreRequest) else None)
        outcome: Outcome
        if isinstance(work, ScoreRequest):
            given = self._weights.likelihoods(task.tokens + task.answer, len(task.tokens))
            alone = self._weights.likelihoods(self._vocabulary.begun(task.answer), 1)
            outcome = Score(work.id, given, alone, len(task.tokens))
        else:
            vector = self._weights.embedding(task.tokens)
            if vector is None:
                return Failure(work.id, "unsupported", "this architecture does not show its hidden states")
            outcome = Embedding(work.id, vector, len(task.tokens))
        self._account(time.monotonic() - began, len(task.tokens) + 2 * len(task.answer), 0)
        return outcome

    def partials(self) -> list[Partial]:
        """Return nothing: answers come whole."""
        return []

    def progress(self, rss_bytes: int) -> Progress:
        """Return the totals and the present load."""
        return Progress(
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            active=self._under_way + (self._task is not None),
            waiting=len(self._waiting) + len(self._tasks),
            slots=self.model.slots,
            context_used=sum(lane.cells() for lane in self._lanes.values()),
            context_size=self.model.context_cells,
            rss_bytes=rss_bytes,
            timing=replace(self._timing),
        )


def _fitting(tokens: list[int], limit: int) -> list[int]:
    if len(tokens) > limit:
        raise Overflow(f"{len(tokens)} tokens > {limit} of the context")
    return tokens
