"""Before and after: two models on the same prompts with the same seeds, answer by answer and in sum.

Each model is asked as its runs would ask it (its own prompt style), and each answer is judged once, by the step of its
task; there are no retries. Lost and won are counted over the prompts that both of them answered.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from augtui import __version__, locations
from augtui.domain.diff import diff, words
from augtui.domain.records import Record
from augtui.domain.visible import excerpt, visible
from augtui.engines.base import Completion, Engine, Failure, Request
from augtui.errors import EngineError, InputError
from augtui.metrics.similarity import rouge_l
from augtui.models.catalog import Model
from augtui.pipelines.audit import Judge, Rate, known_prompts, mcnemar
from augtui.pipelines.export import WholeFile
from augtui.pipelines.job import Job
from augtui.pipelines.steps import item_of, step_for
from augtui.store import db

POLL_S = 0.1
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Said:
    """What one model made of a prompt."""

    text: str
    """The new instruction, or the raw text where none could be read."""
    outcome: str
    """accepted, rejected, unparsed or failed."""
    reason: str | None
    tokens: int
    seconds: float
    words: int
    words_kept: float | None
    """Share of the prompt's words that the answer has, each as often as it occurs; None where the prompt has none."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt, and what both models made of it."""

    prompt: str
    sample: int
    before: Said
    after: Said


@dataclass(frozen=True, slots=True)
class Total:
    """One model's figures over all prompts."""

    name: str
    sha256: str
    style: str
    temperature: float
    answers: int
    failed: int
    accepted: Rate
    parsed: Rate
    mean_words: float
    mean_words_kept: float | None
    mean_tokens: float
    tokens_per_second: float
    reasons: dict[str, int]
    """Kinds of reasons for which answers were turned down."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        plain = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}
        return {**plain, "accepted": self.accepted.as_json(), "parsed": self.parsed.as_json()}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both models' figures, and every pair of answers."""

    task: str
    seed: int
    samples: int
    guard: str
    created_at: str
    before: Total
    after: Total
    pairs: tuple[Pair, ...]
    lost: int
    """Prompts on which the first model's answer is accepted and the second one's is not."""
    won: int
    """The reverse."""
    p_value: float
    """Of `lost` and `won` under the hypothesis that neither is better: McNemar's exact test, two-sided."""
    same: int
    """Answers that are the same to the letter."""
    rouge_l: float
    """Mean ROUGE-L F1 of the two answers to a prompt."""

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "format": FORMAT, "augtui": __version__, "task": self.task, "seed": self.seed, "samples": self.samples,
            "guard": self.guard, "created_at": self.created_at, "before": self.before.as_json(),
            "after": self.after.as_json(), "lost": self.lost, "won": self.won, "p_value": round(self.p_value, 6),
            "same": self.same, "rouge_l": round(self.rouge_l, 4), "pairs": [asdict(pair) for pair in self.pairs],
        }  # fmt: skip


@dataclass(slots=True)
class _Asked:
    completions: dict[str, Completion] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    seconds: float = 0.0


Side = tuple[Model, Job]
OpenEngine = Callable[[Model], AbstractContextManager[Engine]]
Watch = Callable[[str, int, int], None]
"""Is told a model's name, how many answers are there, and how many are wanted."""


def compare(before: Side, after: Side, prompts: Sequence[str], open_engine: OpenEngine, watch: Watch) -> Comparison:
    """Ask both models, one after the other; return what came of it.

    Prompts in a language that one of the models does not know are left out. Raises InputError where none is left,
    ModelError and EngineError where a model cannot run.
    """
    asked = known_prompts(known_prompts(prompts, before[1]), after[1])
    if not asked:
        raise InputError("there is no prompt to compare on")
    samples = before[1].samples
    told = [_ask(side, asked, open_engine, watch) for side in (before, after)]
    both = []
    for number, prompt in enumerate(asked):
        for sample in range(samples):
            key = f"{number}:{sample}"
            both.append(Pair(prompt, sample, told[0][1][key], told[1][1][key]))
    answered = [pair for pair in both if "failed" not in (pair.before.outcome, pair.after.outcome)]
    passes = [(pair.before.outcome == "accepted", pair.after.outcome == "accepted") for pair in answered]
    lost, won = passes.count((True, False)), passes.count((False, True))
    likeness = [rouge_l(pair.before.text, pair.after.text) for pair in answered]
    return Comparison(
        task=before[1].task.name,
        seed=before[1].seed,
        samples=samples,
        guard=before[1].guard.value,
        created_at=db.now(),
        before=_total(before, told[0]),
        after=_total(after, told[1]),
        pairs=tuple(both),
        lost=lost,
        won=won,
        p_value=mcnemar(lost, won),
        same=sum(pair.before.text == pair.after.text for pair in answered),
        rouge_l=sum(likeness) / len(likeness) if likeness else 0.0,
    )


def _ask(side: Side, prompts: Sequence[str], open_engine: OpenEngine, watch: Watch) -> tuple[float, dict[str, Said]]:
    model, job = side
    step, requests = step_for(job), []
    for number, record in enumerate(map(Record, prompts)):
        item = item_of(record)
        messages, sampling = step.messages(item), job.sampling_for(step.read(item).text)
        for sample in range(job.samples):
            seed = job.attempt_seed(record.id, sample, 0)
            requests.append((Request(f"{number}:{sample}", messages, seed, sampling), record))
    found = _Asked()
    watch(model.name, 0, len(requests))
    with open_engine(model) as engine:
        _ = engine.model
        started = time.perf_counter()
        engine.submit([request for request, _ in requests])
        while (done := len(found.completions) + len(found.failures)) < len(requests):
            for event in engine.poll(POLL_S):
                if isinstance(event, Completion):
                    found.completions[event.id] = event
                elif isinstance(event, Failure):
                    found.failures[event.id] = event
            if len(found.completions) + len(found.failures) > done:
                watch(model.name, len(found.completions) + len(found.failures), len(requests))
        found.seconds = time.perf_counter() - started
    if not found.completions:
        raise EngineError(f"{model.name} answered no prompt: {next(iter(found.failures.values())).detail}")
    judge = Judge(job)
    # In the order of the prompts, not of the answers: an expansion is judged by those accepted before it.
    return found.seconds, {request.id: _said(judge, record, request.id, found) for request, record in requests}


def _said(judge: Judge, record: Record, key: str, found: _Asked) -> Said:
    completion = found.completions.get(key)
    if completion is None:
        failure = found.failures[key]
        return Said("", "failed", f"{failure.code}: {failure.detail}", 0, 0.0, 0, None)
    verdict = judge(record, completion)
    text = completion.text.strip() if verdict.answer is None else verdict.answer.instruction
    return Said(
        text,
        verdict.kind,
        verdict.reason,
        completion.completion_tokens,
        round(completion.duration_s, 3),
        len(_words(text)),
        words_kept(record.instruction, text),
    )


def words_kept(prompt: str, text: str) -> float | None:
    """Return the share of a prompt's words that a text has, each as often as it occurs; None for a prompt without any.

    Words are compared without case; Chinese counts by characters.
    """
    wanted = Counter(_words(prompt))
    if not wanted:
        return None
    return round((wanted & Counter(_words(text))).total() / wanted.total(), 4)


def _words(text: str) -> list[str]:
    return [word.lower() for word in words(text) if any(char.isalnum() for char in word)]


def _total(side: Side, told: tuple[float, dict[str, Said]]) -> Total:
    model, job = side
    seconds, said = told[0], [one for one in told[1].values() if one.outcome != "failed"]
    kept = [one.words_kept for one in said if one.words_kept is not None]
    tokens = sum(one.tokens for one in said)
    return Total(
        name=model.name,
        sha256=job.model_sha256,
        style=job.style,
        temperature=job.sampling.temperature,
        answers=len(said),
        failed=len(told[1]) - len(said),
        accepted=Rate(sum(one.outcome == "accepted" for one in said), len(said)),
        parsed=Rate(sum(one.outcome != "unparsed" for one in said), len(said)),
        mean_words=sum(one.words for one in said) / len(said),
        mean_words_kept=sum(kept) / len(kept) if kept else None,
        mean_tokens=tokens / len(said),
        tokens_per_second=tokens / seconds if seconds else 0.0,
        reasons=dict(
            Counter((one.reason or "").split(":", 1)[0] for one in said if one.outcome != "accepted").most_common()
        ),
    )


# -- keeping --------------------------------------------------------------------------------------------------------


def folder() -> Path:
    """Return the folder of comparisons."""
    return locations.home() / "comparisons"


def save(comparison: Comparison) -> Path:
    """Write a comparison into augtui's home; return the file. Raises OutputError where that cannot be done."""
    folder().mkdir(parents=True, exist_ok=True)
    sides = (comparison.before, comparison.after)
    names = [re.sub(r"[^A-Za-z0-9._-]+", "-", Path(total.name).name)[:40] for total in sides]
    at = re.sub(r"\D", "", comparison.created_at)[:17]
    path = folder() / f"{at}-{comparison.task}-{names[0]}-{names[1]}.json"
    with WholeFile(path) as file:
        file.write(json.dumps(comparison.as_json(), ensure_ascii=False, indent=1) + "\n")
    return path


def saved() -> Iterator[Path]:
    """Yield the comparisons in augtui's home, the newest first."""
    yield from sorted(folder().glob("*.json"), key=lambda path: path.name, reverse=True)


def read(path: Path) -> dict[str, Any]:
    """Return a saved comparison's JSON values. Raises InputError where the file is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
        pairs, sides = found["pairs"], (found["before"], found["after"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path} is not a comparison of models") from None
    if found.get("format") != FORMAT or not isinstance(pairs, list) or not all(isinstance(one, dict) for one in sides):
        raise InputError(f"{path} was written by another version of augtui")
    return dict(found)


def markdown(found: dict[str, Any]) -> str:
    """Return a comparison as a page of Markdown: the figures, then every prompt with both answers and their difference.

    What models and prompts say stands in fenced blocks, made visible, so that no page renders it.
    """
    before, after = found["before"], found["after"]
    lines = [f"# {_cell(before['name'])} → {_cell(after['name'])}: {found['task']}", ""]
    how = f"seed {found['seed']}, guard {found['guard']}, {len(found['pairs'])} answers each."
    lines += [f"{found['created_at']}, {how}", ""]
    lines += ["| | before | after |", "|---|---|---|"]
    lines += [f"| {name} | {_cell(old)} | {_cell(new)} |" for name, old, new in figures(found)]
    lines += ["", f"Lost {found['lost']}, won {found['won']} (McNemar p = {found['p_value']:.3g}).", ""]
    for number, pair in enumerate(found["pairs"], start=1):
        old, new = pair["before"], pair["after"]
        lines += [f"## {number}", "", *_fenced("prompt", pair["prompt"])]
        for title, said in (("before", old), ("after", new)):
            reason = f": {_cell(said['reason'])}" if said["reason"] else ""
            lines += [f"{title}: {said['outcome']}{reason}", "", *_fenced(title, said["text"])]
        lines += ["difference", "", *_fenced("diff", marked(old["text"], new["text"]))]
    return "\n".join(lines)


def figures(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the totals as rows of a table: name, before, after."""

    def rate(one: dict[str, Any]) -> str:
        share, interval = one["share"], one["interval_95"]
        if share is None or interval is None:
            return "–"
        return f"{100 * share:.1f}% ({100 * interval[0]:.0f}–{100 * interval[1]:.0f})"

    def plain(value: float | None, digits: int = 1) -> str:
        return "–" if value is None else f"{value:,.{digits}f}"

    sides = (found["before"], found["after"])
    kept = [None if one["mean_words_kept"] is None else 100 * one["mean_words_kept"] for one in sides]
    rows = [
        ("model", *(str(one["name"]) for one in sides)),
        ("accepted (95%)", *(rate(one["accepted"]) for one in sides)),
        ("read (95%)", *(rate(one["parsed"]) for one in sides)),
        ("words kept, %", *(plain(one) for one in kept)),
        ("words an answer", *(plain(one["mean_words"]) for one in sides)),
        ("tokens an answer", *(plain(one["mean_tokens"]) for one in sides)),
        ("tokens a second", *(plain(one["tokens_per_second"], 0) for one in sides)),
        ("failed", *(str(one["failed"]) for one in sides)),
    ]
    return [(name, old, new) for name, old, new in rows]


def marked(old: str, new: str) -> str:
    """Return the way from one text to the other: [-removed-] and {+added+}."""
    marks = {"same": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}
    return "".join(marks[part.kind].format(part.text) for part in diff(old, new))


def _fenced(kind: str, text: str) -> list[str]:
    shown = visible(text, newline="\n")
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{'' if kind != 'diff' else 'text'}", shown, fence, ""]


def _cell(text: object) -> str:
    shown = excerpt(str(text), 120)
    return re.sub(r"([\\`*_{}\[\]<>#|!~])", r"\\\1", shown)
