"""Verdicts: whether an answer is good enough to be kept, and if not, why."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from augtui.domain.guard import Strictness, guard
from augtui.domain.language import language
from augtui.domain.tasks import Answer, Unparsed
from augtui.engines.base import Completion
from augtui.metrics.similarity import rouge_l
from augtui.pipelines.job import Job

REMEMBERED_SEEDS = 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one answer."""

    kind: Literal["accepted", "rejected", "unparsed"]
    """`unparsed`: not what was asked for; `rejected`: what was asked for, but not good enough."""
    answer: Answer | None = None
    reason: str | None = None
    """A stable kind, then `: ` and what exactly; several are joined by `; `."""


Judge = Callable[[str, str, Completion], Verdict]
"""(record id, its instruction, completion) to a verdict."""


def judge_for(job: Job, siblings: Callable[[str], list[str]]) -> Judge:
    """Return the judge of a job; `siblings` gives what was already accepted for a record."""
    return _RefineJudge(job) if job.task.name == "refine" else _ExpandJudge(job, siblings)


def _parsed(job: Job, completion: Completion) -> Answer | Verdict:
    parsed = job.task.parse(completion.text, completion.finish_reason)
    return Verdict("unparsed", reason=str(parsed)) if isinstance(parsed, Unparsed) else parsed


class _RefineJudge:
    """Refinement must keep what the original says (the guard)."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __call__(self, record_id: str, instruction: str, completion: Completion) -> Verdict:
        answer = _parsed(self._job, completion)
        if isinstance(answer, Verdict):
            return answer
        violations = guard(instruction, answer.instruction, self._job.guard)
        if violations:
            return Verdict("rejected", answer, "; ".join(str(violation) for violation in violations[:5]))
        return Verdict("accepted", answer)


class _ExpandJudge:
    """An expanded instruction must differ from its seed and from its siblings, and speak their language."""

    def __init__(self, job: Job, siblings: Callable[[str], list[str]]) -> None:
        self._job = job
        self._siblings = siblings
        self._accepted: OrderedDict[str, list[str]] = OrderedDict()

    def __call__(self, record_id: str, instruction: str, completion: Completion) -> Verdict:
        answer = _parsed(self._job, completion)
        if isinstance(answer, Verdict):
            return answer
        reason = self._fault(record_id, instruction, answer.instruction)
        if reason is not None:
            return Verdict("rejected", answer, reason)
        self._known(record_id).append(answer.instruction)
        return Verdict("accepted", answer)

    def _fault(self, record_id: str, seed: str, text: str) -> str | None:
        loop = next((v for v in guard(seed, text, Strictness.OFF)), None)
        if loop is not None:
            return str(loop)
        if self._job.guard is not Strictness.OFF and language(seed) != language(text):
            return f"language changed: {language(seed)} to {language(text)}"
        limit = self._job.similarity
        likeness = rouge_l(seed, text)
        if likeness >= limit:
            return f"too like the seed: ROUGE-L {likeness:.2f}"
        nearest = max((rouge_l(other, text) for other in self._known(record_id)), default=0.0)
        return f"too like another: ROUGE-L {nearest:.2f}" if nearest >= limit else None

    def _known(self, record_id: str) -> list[str]:
        known = self._accepted.get(record_id)
        if known is None:
            known = self._accepted[record_id] = self._siblings(record_id)
            if len(self._accepted) > REMEMBERED_SEEDS:
                self._accepted.popitem(last=False)
        return known
