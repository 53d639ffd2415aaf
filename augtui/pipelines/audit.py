"""Quantization audit: what an augmenter loses when its weights are stored in fewer bits, on the user's own prompts."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from augtui.domain.language import Language, language
from augtui.domain.records import Record
from augtui.domain.tasks import Answer, Unparsed
from augtui.engines.base import Completion, Engine, Event, Failure, Request
from augtui.errors import EngineError, InputError
from augtui.metrics.diversity import distinct, self_rouge
from augtui.metrics.firstcome import FirstCome
from augtui.metrics.similarity import rouge_l
from augtui.pipelines.job import Job
from augtui.pipelines.steps import item_of, step_for

POLL_S = 0.1
CONFIDENCE_Z = 1.96
"""Standard deviations on either side of a 95% interval."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of cases with its 95% interval (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953)."""

    hits: int
    cases: int

    @property
    def share(self) -> float | None:
        """Return hits by cases; None without cases."""
        return self.hits / self.cases if self.cases else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the ends of the interval; None without cases."""
        if not self.cases:
            return None
        n, p, z = self.cases, self.hits / self.cases, CONFIDENCE_Z
        middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        scale = 1 + z * z / n
        # At the ends of the scale rounding leaves something beyond them.
        return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)

    def as_json(self) -> dict[str, Any]:
        """Return share, interval and counts as JSON values."""
        ends = self.interval
        interval = None if ends is None else [round(end, 4) for end in ends]
        share = None if self.share is None else round(self.share, 4)
        return {"share": share, "interval_95": interval, "hits": self.hits, "cases": self.cases}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model file under audit, and what it is called in the table."""

    name: str
    path: Path


@dataclass(slots=True)
class Row:
    """One candidate's figures."""

    name: str
    path: str
    bytes: int
    answers: int
    failed: int
    """Requests that the engine gave no answer to; they are no cases of any rate."""
    parsed: Rate
    """Answers that hold what was asked for."""
    passed: Rate
    """Answers that the guard (refine), or the likeness and language check (expand), lets through."""
    distinct_1: float | None
    distinct_2: float | None
    self_rouge: float | None
    mean_tokens: float
    """Tokens an answer."""
    tokens_per_second: float
    seconds: float
    load_s: float
    peak_rss_bytes: int
    reasons: dict[str, int]
    """Kinds of reasons for which answers were turned down."""
    exact: Rate | None = None
    """Answers that are the first candidate's to the letter."""
    rouge_l: float | None = None
    """Mean ROUGE-L F1 with the first candidate's answers."""
    lost: int | None = None
    """Prompts on which the first candidate passes and this one does not."""
    won: int | None = None
    """The reverse."""
    p_value: float | None = None
    """Of `lost` and `won` under the hypothesis that neither is better: McNemar's exact test, two-sided."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        rates = {"parsed": self.parsed.as_json(), "passed": self.passed.as_json()}
        exact = {"exact": None if self.exact is None else self.exact.as_json()}
        plain = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return plain | rates | exact


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one answer."""

    kind: Literal["accepted", "rejected", "unparsed"]
    answer: Answer | None = None
    reason: str | None = None


class Judge:
    """Judges answers one by one, as a run's step does: by themselves, then by those accepted before them."""

    def __init__(self, job: Job) -> None:
        """Begin with nothing accepted."""
        self._job = job
        self._step = step_for(job)
        self._accepted = FirstCome(job.similarity) if self._step.ordered else None

    def __call__(self, record: Record, completion: Completion) -> Verdict:
        """Return what becomes of an answer."""
        item = item_of(record, completion.id)
        answer = self._job.task.parse(self._step.whole(item, completion.text), completion.finish_reason)
        if isinstance(answer, Unparsed):
            return Verdict("unparsed", reason=str(answer))
        reason = self._step.fault(item, answer)
        if reason is None and self._accepted is not None:
            text = self._step.compared(answer)
            if (found := self._accepted.like(text)) is not None:
                reason = f"too like another: ROUGE-L {found[1]:.2f}"
            else:
                self._accepted.add(text)
        return Verdict("accepted" if reason is None else "rejected", answer, reason)


@dataclass(slots=True)
class _Said:
    """A candidate's answers and verdicts by request."""

    texts: dict[str, str] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    tokens: int = 0
    seconds: float = 0.0
    load_s: float = 0.0
    peak_rss_bytes: int = 0


class Watcher:
    """Is told how the audit goes; this one takes no notice."""

    def loading(self, name: str) -> None:
        """Take notice that a candidate is being loaded."""

    def begin(self, name: str, prompts: int) -> None:
        """Take notice that a candidate gets `prompts`."""

    def see(self, event: Event) -> None:
        """Take notice of an event."""

    def end(self, row: Row) -> None:
        """Take notice of a candidate's figures."""


OpenEngine = Callable[[Path], AbstractContextManager[Engine]]
"""From a model file to an engine that ends with the block."""


def audit(
    candidates: Sequence[Candidate], prompts: Sequence[str], job: Job, open_engine: OpenEngine, watcher: Watcher
) -> Iterator[Row]:
    """Yield the figures of each candidate, the first of which is what the others are measured by.

    Every candidate gets the same prompts with the same seeds, `job.samples` answers each, and each answer is judged
    once: there are no retries. Prompts in a language that the model does not know are left out. Raises InputError if no
    prompt is left, ModelError and EngineError if a candidate cannot run.
    """
    requests = list(_requests(known_prompts(prompts, job), job))
    base: _Said | None = None
    for candidate in candidates:
        said = _ask(candidate, requests, job, open_engine, watcher)
        row = _row(candidate, said, base)
        watcher.end(row)
        yield row
        base = base or said


def known_prompts(prompts: Sequence[str], job: Job) -> list[str]:
    """Return the prompts in languages that the model knows; raises InputError if there are none."""
    told_apart = (Language.EN, Language.ZH)
    known = [
        prompt
        for prompt in prompts
        if not job.languages or (tongue := language(prompt)) not in told_apart or tongue in job.languages
    ]
    if not known:
        raise InputError(f"no prompt is in a language that the model knows ({', '.join(job.languages)})")
    return known


def _requests(prompts: Sequence[str], job: Job) -> Iterator[tuple[Request, Record]]:
    step = step_for(job)
    for number, prompt in enumerate(prompts):
        record = Record(prompt)
        messages = step.messages(item_of(record))
        for sample in range(job.samples):
            seed = job.attempt_seed(record.id, sample, 0)
            yield Request(f"{number}:{sample}", messages, seed, job.sampling), record


def _ask(
    candidate: Candidate,
    requests: Sequence[tuple[Request, Record]],
    job: Job,
    open_engine: OpenEngine,
    watcher: Watcher,
) -> _Said:
    said, records = _Said(), {request.id: record for request, record in requests}
    judge = Judge(job)
    watcher.loading(candidate.name)
    completions: dict[str, Completion] = {}
    with open_engine(candidate.path) as engine:
        started = time.perf_counter()
        _ = engine.model
        said.load_s = time.perf_counter() - started
        watcher.begin(candidate.name, len(requests))
        started = time.perf_counter()
        engine.submit([request for request, _ in requests])
        while len(completions) + len(said.failures) < len(requests):
            for event in engine.poll(POLL_S):
                watcher.see(event)
                if isinstance(event, Completion):
                    completions[event.id] = event
                    said.tokens += event.completion_tokens
                elif isinstance(event, Failure):
                    said.failures[event.id] = event
                elif hasattr(event, "rss_bytes"):
                    said.peak_rss_bytes = max(said.peak_rss_bytes, event.rss_bytes)
            said.seconds = time.perf_counter() - started
    if not completions:
        detail = next(iter(said.failures.values())).detail
        raise EngineError(f"{candidate.name} answered no prompt: {detail}")
    # In the order of the prompts, not of the answers: an expansion is judged by those accepted before it.
    for request, _ in requests:
        if completion := completions.get(request.id):
            record = records[request.id]
            said.texts[request.id] = completion.text.strip()
            said.verdicts[request.id] = judge(record, completion)
    return said


def _row(candidate: Candidate, said: _Said, base: _Said | None) -> Row:
    verdicts = said.verdicts.values()
    answers = [verdict.answer.instruction for verdict in verdicts if verdict.answer]
    row = Row(
        name=candidate.name,
        path=str(candidate.path),
        bytes=candidate.path.stat().st_size,
        answers=len(verdicts),
        failed=len(said.failures),
        parsed=Rate(sum(verdict.kind != "unparsed" for verdict in verdicts), len(verdicts)),
        passed=Rate(sum(verdict.kind == "accepted" for verdict in verdicts), len(verdicts)),
        distinct_1=distinct(answers, 1),
        distinct_2=distinct(answers, 2),
        self_rouge=self_rouge(answers),
        mean_tokens=said.tokens / len(verdicts),
        tokens_per_second=said.tokens / said.seconds,
        seconds=said.seconds,
        load_s=said.load_s,
        peak_rss_bytes=said.peak_rss_bytes,
        reasons=dict(
            Counter((v.reason or "").split(":", 1)[0] for v in verdicts if v.kind != "accepted").most_common()
        ),
    )
    if base is not None:
        both = [key for key in said.texts if key in base.texts]
        row.exact = Rate(sum(said.texts[key] == base.texts[key] for key in both), len(both))
        likeness = [rouge_l(said.texts[key], base.texts[key]) for key in both]
        row.rouge_l = sum(likeness) / len(likeness) if likeness else None
        passes = [(base.verdicts[key].kind == "accepted", said.verdicts[key].kind == "accepted") for key in both]
        row.lost, row.won = passes.count((True, False)), passes.count((False, True))
        row.p_value = mcnemar(row.lost, row.won)
    return row


def mcnemar(lost: int, won: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: are `lost` and `won` draws of a fair coin?"""
    discordant = lost + won
    tail: float = sum(math.comb(discordant, k) for k in range(min(lost, won) + 1)) / 2**discordant
    return min(1.0, 2.0 * tail)
