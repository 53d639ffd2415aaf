"""Continuous batching over llama.cpp: many sequences in one decode, new prompts joining between steps.

Each step is one `llama_decode` of one token for every answer under way, and drafts of the next ones where they pay
(`drafts`, `pace`), filled up with pieces of the prompts that wait (chunked prefill). Beginnings that prompts have in
common are computed once (`prefixes`). Work is admitted only when the cache has room for it and for its longest answer,
so that a decode never runs out of cells; the longest first, so that no long answer is left alone at the end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from augtui.engines.assembly import Answer, Overflow
from augtui.engines.base import (
    Completion,
    Embedding,
    EmbedRequest,
    Failure,
    FinishReason,
    ModelInfo,
    Outcome,
    Partial,
    Progress,
    Score,
    ScoreRequest,
    Timing,
    Work,
)
from augtui.engines.llama.arena import Arena
from augtui.engines.llama.context import Context
from augtui.engines.llama.drafts import PromptLookup
from augtui.engines.llama.intake import Encode, Intake
from augtui.engines.llama.native import Model
from augtui.engines.llama.prefixes import LEAST_GAIN, Prefix, Prefixes, tokens_in_common, worthwhile
from augtui.engines.llama.slots import Answering, Pooling, Scoring, Slot, Waiting
from augtui.engines.llama.speculation import Speculation

AGE_TOKENS = 16
"""A piece of work moves up in the queue by so many tokens for each other one that was admitted before it."""

PATIENCE = 4
"""Work for another adapter waits while so many pieces of work for each slot go before it; then the adapter changes."""


class Batcher:
    """Owns a context and turns work into outcomes, step by step."""

    def __init__(
        self,
        weights: Model,
        context: Context,
        info: ModelInfo,
        encode: Encode,
        *,
        prefix_sequences: int = 1,
        speculate: bool = True,
        arena: Arena | None = None,
    ) -> None:
        """Serve `info.slots` pieces of work at a time, each of at most `info.context_sequence` tokens.

        Sequences from `info.slots` on are for prefixes. `arena` gives out the sequences in the deterministic mode.
        """
        self.weights = weights
        self.context = context
        self.model = info
        # A token put in for company takes a sequence and a cell.
        self._cells = context.cells - 1
        longest = min(info.context_sequence, self._cells)
        self._intake = Intake(weights, encode, longest)
        self._arena = arena
        self._free = list(range(info.slots - 1, -1, -1))
        shares = weights.shares_prefixes and arena is None
        first, last = info.slots, info.slots + prefix_sequences - 1
        self._prefixes = Prefixes(context, range(first, last) if shares else ())
        self._company = arena.ballast if arena is not None else last
        self._shares = shares and prefix_sequences > 0
        can_trim = weights.shares_prefixes and arena is None
        self._speculation = Speculation() if speculate and can_trim else None
        self._adapter: str | None = None
        self._adapted = 0
        """Pieces of work that had been admitted when the adapter was changed."""
        self._reserved = 0
        self._admissions = 0
        self._waiting: list[Waiting] = []
        self._scores: dict[str, _Score] = {}
        self._active: list[Slot] = []
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.timing = Timing()

    @property
    def steps(self) -> int:
        """Return the steps so far."""
        return self.timing.steps

    @property
    def busy(self) -> bool:
        """Return whether any work is waiting or under way."""
        return bool(self._active or self._waiting)

    def close(self) -> None:
        """Free the context and the weights; for a process that goes on without them."""
        self.context.close()
        self.weights.close()

    # -- work comes in -----------------------------------------------------------------------------------------------

    def submit(self, work: Work) -> Failure | None:
        """Queue a piece of work; returns a failure if it can never be done."""
        try:
            if work.id in self._scores:
                raise ValueError("this score is under way already")
            passes = self._intake.passes(work, self._admissions)
        except Overflow as overflow:
            return Failure(work.id, "context overflow", str(overflow))
        except Exception as error:  # a template or a tokenizer may refuse anything; the record is to blame, not the run
            return Failure(work.id, "bad request", f"{type(error).__name__}: {error}"[:500])
        self._waiting += passes
        if isinstance(work, ScoreRequest):
            # Of a single token nothing is left to be scored alone.
            has_alone = any(entry.is_alone for entry in passes)
            self._scores[work.id] = _Score(self._intake.prompt_tokens(passes[0]), alone=None if has_alone else ())
        return None

    def cancel(self, ids: set[str]) -> list[Failure]:
        """Drop work that waits or is under way."""
        dropped = [entry for entry in self._waiting if entry.work.id in ids]
        self._waiting = [entry for entry in self._waiting if entry.work.id not in ids]
        for slot in [slot for slot in self._active if slot.id in ids]:
            dropped.append(slot.waiting)
            self._release(slot)
        for entry in dropped:
            self._scores.pop(entry.work.id, None)
            if entry.sampler is not None:
                entry.sampler.close()
        return [Failure(name, "cancelled", "cancelled") for name in dict.fromkeys(entry.work.id for entry in dropped)]

    # -- admission ---------------------------------------------------------------------------------------------------

    def active_ids(self) -> set[str]:
        """Return the ids of the work that the next step will compute."""
        return {slot.id for slot in self._active}

    def admit(self) -> None:
        """Give free sequences to waiting work while the cache has room for it and for its longest answers."""
        if not self._waiting or not (self._free or self._arena):
            return
        # Old work first, long work first; one order for both.
        self._waiting.sort(key=lambda entry: entry.passed * AGE_TOKENS - len(entry.tokens) - entry.room)
        if not self._active:
            self._begin_anew(self._waiting[0].adapter)
        place = 0
        while place < len(self._waiting) and len(self._active) < self.model.slots:
            entry = self._waiting[place]
            patience = self._admissions - max(entry.passed, self._adapted)
            if entry.adapter != self._adapter and patience > PATIENCE * self.model.slots:
                return
            if entry.adapter != self._adapter or self._is_coming(entry):
                place += 1
                continue
            if not self._admit(entry):
                return  # smaller work behind it must not keep it out for ever
            del self._waiting[place]

    def _begin_anew(self, adapter: str | None) -> None:
        """Nothing is under way: the adapter can be changed, and the arena cleared."""
        if adapter != self._adapter:
            self._adapter, self._adapted = adapter, self._admissions
            self.context.use_adapter(adapter)
        if self._arena is not None:
            self._arena.clear()

    def _is_coming(self, entry: Waiting) -> bool:
        """Return whether a sequence at work is about to leave a prefix that `entry` had better wait for."""
        if not self._shares:
            return False
        known = self._prefixes.find(entry.tokens, entry.adapter, entry.sharable)[1]
        for slot in self._active:
            if slot.keep_at and slot.waiting.adapter == entry.adapter:
                common = min(tokens_in_common(slot.tokens, entry.tokens), slot.keep_at[-1], entry.sharable)
                if common - known >= LEAST_GAIN:
                    return True
        return False

    def _admit(self, entry: Waiting) -> bool:
        prefix, shared = (None, 0)
        if self._shares:
            prefix, shared = self._prefixes.find(entry.tokens, entry.adapter, entry.sharable)
        needed = len(entry.tokens) + entry.room - shared
        if self._active and self._reserved + needed > self._cells:
            return False  # no prefix that could be dropped would make room enough
        if prefix is not None:
            prefix.users += 1  # so that it does not make room for its own user
        while self._prefixes.held + self._reserved + needed > self._cells and self._prefixes.drop_one():
            pass
        if prefix is not None:
            prefix.users -= 1
            if self._prefixes.held + self._reserved + needed > self._cells and not self._active:
                # Alone it fits by itself; the prefix is what stands in its way.
                while self._prefixes.drop_one():
                    pass
                prefix, shared, needed = None, 0, len(entry.tokens) + entry.room
        if self._prefixes.held + self._reserved + needed > self._cells:
            return False
        sequence = self._arena.take(needed) if self._arena is not None else self._free.pop()
        if sequence is None:
            return False
        if prefix is not None:
            self._prefixes.begin(prefix, sequence, shared)
        self._reserved += needed
        self._admissions += 1
        self._active.append(self._slot(entry, sequence, shared, needed, self._keep_at(entry, shared), prefix))
        return True

    def _keep_at(self, entry: Waiting, shared: int) -> list[int]:
        """Return at which lengths to keep the beginning of `entry` for others that wait."""
        if not self._shares or isinstance(entry.work, EmbedRequest):
            return []
        waiting = (other for other in self._waiting if other is not entry and other.adapter == entry.adapter)
        others = ((other.tokens, min(other.sharable, len(entry.tokens) - 1)) for other in waiting)
        return worthwhile(entry.tokens, others, shared)

    def _slot(
        self, entry: Waiting, sequence: int, shared: int, reserved: int, keep_at: list[int], prefix: Prefix | None
    ) -> Slot:
        slot = (sequence, entry, time.monotonic(), prefix, shared, shared, reserved, shared, keep_at)
        work = entry.work
        if isinstance(work, EmbedRequest):
            return Pooling(*slot)
        if isinstance(work, ScoreRequest):
            return Scoring(*slot)
        assert entry.sampler is not None
        lookup = PromptLookup(entry.tokens) if self._speculation else None
        answer = Answer(entry.room, work.sampling.stop, cut_loops=not work.sampling.ignore_eos)
        return Answering(*slot, request=work, sampler=entry.sampler, answer=answer, lookup=lookup)

    def partials(self) -> list[Partial]:
        """Return the texts so far of answers that are to be told while they are written and that have grown."""
        found = []
        for slot in self._active:
            if isinstance(slot, Answering) and slot.request.stream and len(slot.answer.text) > slot.told:
                slot.told = len(slot.answer.text)
                found.append(Partial(slot.request.id, slot.answer.text))
        return found

    # -- a step ------------------------------------------------------------------------------------------------------

    def step(self) -> list[Outcome]:
        """Compute one step and return what it finished."""
        self.admit()
        if not self._active:
            return []
        began = time.perf_counter()
        if any(isinstance(slot, Pooling) for slot in self._active):
            outcomes = self._embed()
            self.timing.prefill_s += time.perf_counter() - began
            self.timing.prefill_tokens += self.context.length
        else:
            answering, reading = self._fill()
            before, filled = self.completion_tokens, time.perf_counter()
            self.context.decode()
            computed = time.perf_counter()
            self.context.forget(self._company)
            self._keep_prefixes()
            outcomes = list(self._read())
            sampled = time.perf_counter()
            self._account(answering, reading, self.completion_tokens - before, computed - filled)
            self.timing.other_s += filled - began
            self.timing.sampling_s += sampled - computed
        self.timing.steps += 1
        return outcomes

    def _fill(self) -> tuple[int, int]:
        """Fill the batch; returns how many of its tokens belong to answers and how many to prompts and texts."""
        context = self.context
        context.clear_batch()
        ballast = self._add_ballast()
        answering = [slot for slot in self._active if isinstance(slot, Answering) and slot.pending is not None]
        if self._speculation is not None:
            # Each sequence at work may want one output of this step.
            self._speculation.draft(answering, min(context.output_room, context.room) - len(self._active))
        for writer in answering:
            assert writer.pending is not None
            tokens = enumerate((writer.pending, *writer.draft), writer.position)
            writer.places = [context.add(token, place, writer.sequence, output=True) for place, token in tokens]
        answers = context.length - ballast
        for slot in self._active:
            if slot.computed < len(slot.tokens) and context.room:
                self._prefill(slot)
        reading = context.length - ballast - answers
        if context.length == 1 and self._speculates_exactly:
            # Alone it would be computed otherwise than among drafts, and a near tie between two tokens might turn.
            context.add(0, 0, self._company, output=True)
        return answers, reading

    @property
    def _speculates_exactly(self) -> bool:
        return self._arena is None and self.weights.shares_prefixes and self.model.gpu_layers == 0

    def _add_ballast(self) -> int:
        """In the deterministic mode put a token into the batch that keeps others company; returns how many it put.

        One row alone, of the batch or of its outputs, goes through other kernels than several, and the attention of
        a single token is split. Being first, it takes the lowest free cell, and the order of the others' stays.
        """
        if self._arena is None:
            return 0
        self.context.add(0, 0, self._company, output=True)
        return 1

    def _prefill(self, slot: Slot) -> None:
        context = self.context
        stop = min(slot.computed + context.room, len(slot.tokens))
        if slot.keep_at:
            stop = min(stop, max(slot.keep_at[0], slot.computed + 1))
        last = len(slot.tokens) - 1
        for position in range(slot.computed, stop):
            wanted = position >= slot.first if isinstance(slot, Scoring) else position == last
            if wanted and not context.output_room:
                stop = position
                break
            place = context.add(slot.tokens[position], position, slot.sequence, output=wanted)
            if wanted:
                assert isinstance(slot, Answering | Scoring)
                slot.places.append(place)
        self.prompt_tokens += stop - slot.computed
        slot.computed = stop

    def _account(self, answering: int, reading: int, drawn: int, seconds: float) -> None:
        timing = self.timing
        if answering and reading:
            timing.mixed_s += seconds
            timing.mixed_prompt_tokens += reading
            timing.mixed_answer_tokens += drawn
        elif answering:
            if self._speculation is not None:
                self._speculation.cost.observe(answering, seconds)
            timing.decode_s += seconds
            timing.decode_tokens += drawn
        else:
            timing.prefill_s += seconds
            timing.prefill_tokens += reading

    def _keep_prefixes(self) -> None:
        for slot in self._active:
            while slot.keep_at and slot.computed >= slot.keep_at[0]:
                length = slot.keep_at.pop(0)
                own = length - slot.shared
                prefix = self._prefixes.keep(
                    slot.sequence, slot.tokens[:length], slot.waiting.adapter, slot.prefix, own
                )
                if prefix is None:
                    slot.keep_at.clear()
                    return
                # The slot stands on it now: these cells are the prefix's.
                if slot.prefix is not None:
                    self._prefixes.leave(slot.prefix)
                prefix.users += 1
                slot.prefix = prefix
                slot.shared = length
                slot.reserved -= own
                self._reserved -= own

    # -- results -----------------------------------------------------------------------------------------------------

    def _read(self) -> Iterator[Outcome]:
        for slot in list(self._active):
            if isinstance(slot, Answering) and slot.places:
                reason = self._draw(slot)
                slot.places = []
                if reason is not None:
                    yield self._complete(slot, reason)
            elif isinstance(slot, Scoring):
                self._weigh(slot)
                if slot.computed == len(slot.tokens):
                    yield from self._scored(slot)

    def _draw(self, slot: Answering) -> FinishReason | None:
        confirmed = 0
        reason: FinishReason | None = None
        for number, place in enumerate(slot.places):
            token = slot.sampler.sample(self.context.logits(place))
            if not slot.first_token:
                slot.first_token = time.monotonic()
            confirmed = number
            if self.weights.is_end(token):
                reason = "stop"
                break
            self.completion_tokens += 1
            slot.pending = token
            reason = slot.answer.add(token, self.weights.piece(token))
            if slot.lookup is not None:
                slot.lookup.append(token)
            if reason is not None or number == len(slot.draft) or slot.draft[number] != token:
                break
        if self._speculation is not None and slot.draft:
            refuted = reason is None and confirmed < len(slot.draft)
            self._speculation.chance.observe(slot.ngram, confirmed, refuted=refuted)
            slot.drafted += len(slot.draft)
            slot.confirmed += confirmed
            if refuted:
                self.context.trim(slot.sequence, slot.position)
            slot.draft = []
        return reason

    def _complete(self, slot: Answering, reason: FinishReason) -> Completion:
        self._release(slot)
        slot.sampler.close()
        now, submitted = time.monotonic(), slot.waiting.submitted
        return Completion(
            id=slot.id,
            text=slot.answer.finish(reason),
            finish_reason=reason,
            prompt_tokens=len(slot.tokens),
            shared_tokens=slot.spared,
            completion_tokens=len(slot.answer.tokens),
            queued_s=round(slot.admitted - submitted, 6),
            first_token_s=round(slot.first_token - submitted, 6),
            duration_s=round(now - submitted, 6),
            drafted_tokens=slot.drafted,
            confirmed_tokens=slot.confirmed,
        )

    def _weigh(self, slot: Scoring) -> None:
        """Read the log-likelihoods of the tokens that follow this step's outputs."""
        for place in slot.places:
            logits = self.context.logits(place).astype(np.float64)
            peak = logits.max()
            target = slot.waiting.targets[len(slot.values)]
            slot.values.append(float(logits[target] - peak - math.log(np.exp(logits - peak).sum())))
        slot.places = []

    def _scored(self, slot: Scoring) -> Iterator[Score]:
        self._release(slot)
        score = self._scores[slot.id]
        if slot.waiting.is_alone:
            score.alone = tuple(slot.values)
        else:
            score.given = tuple(slot.values)
        if score.given is not None and score.alone is not None:
            del self._scores[slot.id]
            yield Score(slot.id, score.given, score.alone, score.prompt_tokens)

    def _embed(self) -> list[Outcome]:
        """Compute texts to be embedded; every token of such a decode is an output, so that nothing else is in it."""
        context = self.context
        context.clear_batch()
        self._add_ballast()
        parts: list[tuple[Pooling, int, int]] = []
        for slot in self._active:
            if isinstance(slot, Pooling) and context.room and context.output_room:
                begin, stop = (
                    slot.computed,
                    min(slot.computed + min(context.room, context.output_room), len(slot.tokens)),
                )
                first = context.length
                for position in range(begin, stop):
                    context.add(slot.tokens[position], position, slot.sequence, output=True)
                slot.computed = stop
                parts.append((slot, first, context.length))
        self.prompt_tokens += context.length
        context.read_hidden_states(True)
        try:
            context.decode()
            states = context.hidden_states()
        finally:
            context.read_hidden_states(False)
            context.forget(self._company)
        outcomes: list[Outcome] = []
        for slot, first, end in parts:
            part = states[first:end].sum(axis=0, dtype=np.float64)
            slot.total = part if slot.total is None else slot.total + part
            if slot.computed == len(slot.tokens):
                self._release(slot)
                length = float(np.linalg.norm(slot.total))
                if not 0 < length < math.inf:
                    outcomes.append(Failure(slot.id, "unsupported", "the model gives no hidden states for it"))
                    continue
                vector = tuple(float(value) for value in slot.total / length)
                outcomes.append(Embedding(slot.id, vector, len(slot.tokens)))
        return outcomes

    def _release(self, slot: Slot) -> None:
        self._active.remove(slot)
        self._reserved -= slot.reserved
        if slot.prefix is not None:
            self._prefixes.leave(slot.prefix)
        if self._arena is None:
            self.context.forget(slot.sequence)
            self._free.append(slot.sequence)

    def progress(self, rss_bytes: int) -> Progress:
        """Return the totals and the present load."""
        return Progress(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            active=len(self._active),
            waiting=len(self._waiting),
            slots=self.model.slots,
            context_used=self._reserved + self._prefixes.held,
            context_size=self.context.cells,
            rss_bytes=rss_bytes,
            timing=self.timing,
        )


@dataclass(slots=True)
class _Score:
    """The two sides of a score, as they come in."""

    prompt_tokens: int
    given: tuple[float, ...] | None = None
    alone: tuple[float, ...] | None = None
