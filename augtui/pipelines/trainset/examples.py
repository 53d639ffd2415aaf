"""Examples of augmentation: a source with what was made of it, before it becomes a chat."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from augtui.domain.records import Record
from augtui.domain.tasks import EXPAND, PAIRS, REFINE, Answer, Task
from augtui.domain.templates import Message

Kind = Literal["ie", "ir", "ire"]
KINDS: Final[tuple[Kind, ...]] = ("ie", "ir", "ire")

MOST_EXAMPLES: Final = 3
"""Table 11: N is randomly chosen from 1 to 3."""
TRIES: Final = 20
"""Draws after which a set is too small to be shuffled."""
SHUFFLED: Final = 0.15
"""Section 3.1.3: "we randomly shuffle 15% of the model output annotations"."""


@dataclass(frozen=True, slots=True)
class Made:
    """One thing that was made: of which record, by which function of the paper, and whose relative it is."""

    kind: Kind
    source: Record | None
    """The record that it was made of: I_src. Of a pair the pair that its instruction was expanded from, if any."""
    target: Record
    family: str
    """Records of one family never stand on both sides of a split."""
    source_id: str = ""
    target_id: str = ""
    context: tuple[Record, ...] = ()
    """The examples that a pair was really made from; empty if they are to be drawn."""
    context_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """One chat for training, with the records behind it."""

    kind: Kind
    messages: tuple[Message, ...]
    family: str
    records: tuple[str, ...]
    """Ids: the source (or the context), then the target."""
    shuffled: bool = False
    """Whether its output is that of another example (section 3.1.3)."""

    def line(self) -> dict[str, Any]:
        """Return the line of a training file."""
        chat = [{"role": message.role, "content": message.content} for message in self.messages]
        further = {"shuffled": True} if self.shuffled else {}
        return {"messages": chat, "kind": self.kind, "family": self.family, "records": list(self.records), **further}


def expansions(made: Iterable[Made]) -> list[Example]:
    """Return D_IE in the form of Table 10: one example for each target of a source, N for N targets (eq. 1)."""
    return list(_plain(made, "ie", EXPAND))


def refinements(made: Iterable[Made]) -> list[Example]:
    """Return D_IR in the form of Table 9 (eq. 2)."""
    return list(_plain(made, "ir", REFINE))


def _plain(made: Iterable[Made], kind: Kind, task: Task[Answer]) -> Iterator[Example]:
    for one in made:
        if one.kind == kind and one.source is not None:
            prompt = task.render(one.source, "specialised")
            answer = Message("assistant", one.target.instruction)
            yield Example(kind, (*prompt, answer), one.family, (one.source_id, one.target_id))


@dataclass(slots=True)
class _Draft:
    """A pair example before its output is settled."""

    context: tuple[tuple[str, Record], ...]
    target: tuple[str, Record]
    family: str
    shuffled: bool = field(default=False)


def pairs(made: Sequence[Made], *, seed: int, shuffle: float = SHUFFLED) -> list[Example]:
    """Return D_IRE in the form of Table 11 (eq. 3): one to three pairs as context, another one as the output.

    A pair that was made from examples is shown after these. For one that was expanded from another pair (D_IE with
    responses) that pair is in the context, at a random place, with up to two others; for any other one the context is
    drawn. The output is never in its own context. Of `shuffle` of the examples the outputs change places among each
    other. The same seed gives the same set. All of `made` must be on one side of a split: contexts mix families.
    """
    wanted = [one for one in made if one.kind == "ire"]
    draw = random.Random(f"pairs:{seed}")
    pool = {one.source_id: one.source for one in wanted if one.source is not None}
    if not pool:
        pool = {one.target_id: one.target for one in wanted if not one.context}
    drafts = [draft for one in wanted if (draft := _draft(one, pool, draw)) is not None]
    _shuffle_outputs(drafts, shuffle, draw)
    return [_pair_example(draft) for draft in drafts]


def _draft(one: Made, pool: Mapping[str, Record], draw: random.Random) -> _Draft | None:
    """Return an example with its context; None where nothing is there that could be its context."""
    target = (one.target_id, one.target)
    if one.context:
        return _Draft(tuple(zip(one.context_ids, one.context, strict=True)), target, one.family)
    # N names are drawn rather than filtered first: a pool of many thousand is walked through but once.
    names = list(pool) if len(pool) <= 16 else draw.sample(list(pool), 16)
    fit = [n for n in names if n not in (one.source_id, one.target_id) and not _alike(pool[n], one.target)]
    wanted = draw.randint(1, MOST_EXAMPLES)
    if one.source is None:
        context = [(name, pool[name]) for name in draw.sample(fit, min(wanted, len(fit)))]
    else:
        context = [(name, pool[name]) for name in draw.sample(fit, min(wanted - 1, len(fit)))]
        context.insert(draw.randint(0, len(context)), (one.source_id, one.source))
    return _Draft(tuple(context), target, one.family) if context else None


def _alike(one: Record, other: Record) -> bool:
    return one.instruction == other.instruction


def _shuffle_outputs(drafts: list[_Draft], share: float, draw: random.Random) -> None:
    """Let the outputs of a share of the examples change places; none comes to where it is shown already."""
    count = round(share * len(drafts))
    for _ in range(TRIES if count > 1 else 0):
        chosen = draw.sample(range(len(drafts)), count)
        given = [drafts[number].target for number in (*chosen[1:], chosen[0])]
        if _mended(drafts, chosen, given):
            for number, target in zip(chosen, given, strict=True):
                drafts[number].target, drafts[number].shuffled = target, True
            return


def _mended(drafts: Sequence[_Draft], chosen: Sequence[int], given: list[tuple[str, Record]]) -> bool:
    """Swap outputs that are in the context of their example; returns whether all fit now."""

    def fits(place: int, target: tuple[str, Record]) -> bool:
        draft = drafts[chosen[place]]
        return target[0] != draft.target[0] and not any(_alike(record, target[1]) for _, record in draft.context)

    for place in range(len(given)):
        if fits(place, given[place]):
            continue
        for other in range(len(given)):
            if fits(place, given[other]) and fits(other, given[place]):
                given[place], given[other] = given[other], given[place]
                break
        else:
            return False
    return True


def _pair_example(draft: _Draft) -> Example:
    prompt = PAIRS.render(Record(""), "specialised", [record for _, record in draft.context])
    target = draft.target[1]
    output = f"### Instruction:\n{target.instruction}\n\n### Response:\n{target.response}"
    ids = tuple(name for name, _ in (*draft.context, draft.target))
    return Example("ire", (*prompt, Message("assistant", output)), draft.family, ids, draft.shuffled)


def build(made: Sequence[Made], kind: Kind, *, seed: int, shuffle: float = SHUFFLED) -> list[Example]:
    """Return the examples of one kind."""
    makers: dict[Kind, Callable[[], list[Example]]] = {
        "ie": lambda: expansions(made),
        "ir": lambda: refinements(made),
        "ire": lambda: pairs(made, seed=seed, shuffle=shuffle),
    }
    return makers[kind]()


def statistics(made: Iterable[Made], kind: Kind) -> dict[str, int]:
    """Return the counts of Table 2: sources and targets, or pairs."""
    targets: dict[str, set[str]] = defaultdict(set)
    count = 0
    for one in made:
        if one.kind == kind:
            targets[one.source_id].add(one.target_id)
            count += 1
    if kind == "ire":
        return {"pairs": count}
    return {"sources": len(targets), "targets": count}
