"""Balance: task-aware sampling (section 3.1.1), so that each class of tasks has its share of the data.

The default shares are those of `augtui.domain.taxonomy`. They are renormalised over the classes that are present, and
the rows are apportioned by largest remainders, so that every present class is within one row of its share.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Literal, get_args

from augtui.domain.records import Record
from augtui.domain.taxonomy import CLASSES, OTHERS, SHARES, class_named, renormalised
from augtui.errors import UsageError
from augtui.pipelines.decisions import Progress, no_progress

Shortage = Literal["repeat", "less", "expand"]
SHORTAGES: Final[tuple[Shortage, ...]] = get_args(Shortage)
"""What becomes of a class with too few rows: they are repeated; it stays short; or it is said which to expand."""

OVER: Final = "more than its class's share"
NO_SHARE: Final = "its class has no share"
_TELL_EVERY: Final = 256


@dataclass(frozen=True, slots=True)
class Label:
    """The class of a record."""

    name: str
    confidence: float | None = None
    """How sure the classifier is, 0 to 1; None where the label was given."""
    given: str | None = None
    """The label as it was given, where that is not the class's own name."""

    def as_json(self) -> dict[str, Any]:
        """Return the label, and who gave it, as JSON values."""
        if self.confidence is None:
            return {"label": self.name, "by": "field", **({} if self.given is None else {"given": self.given})}
        return {"label": self.name, "by": "classifier", "confidence": round(self.confidence, 4)}


@dataclass(frozen=True, slots=True)
class Expansion:
    """A record of a class with too few rows, and how many new ones like it are wanted."""

    position: int
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is taken of each record, by its position in the input."""

    labels: tuple[str, ...]
    present: dict[str, int]
    """Class to the number of its records."""
    targets: dict[str, int]
    """Class to the number of rows that it should have; classes without a share are missing."""
    times: tuple[int, ...]
    """How often each record is taken: 0 drops it, 2 and more repeat it."""
    expansions: tuple[Expansion, ...]

    @property
    def taken(self) -> dict[str, int]:
        """Return class to the number of rows that it has, repeated ones counted, expansions not."""
        found: Counter[str] = Counter()
        for label, times in zip(self.labels, self.times, strict=True):
            found[label] += times
        return {label: found[label] for label in self.present}

    def reason(self, position: int) -> str | None:
        """Return why a record is dropped; None if it is taken."""
        if self.times[position]:
            return None
        return OVER if self.labels[position] in self.targets else NO_SHARE


def labels(
    records: Iterable[tuple[Record, object]],
    threshold: float | None = None,
    progress: Progress = no_progress,
    shares: Mapping[str, float] = SHARES,
) -> Iterator[Label]:
    """Yield the class of each record: the label that comes with it, or, where that is None, what the classifier says.

    A given label is the class of that name, whatever its case; one that is no class in `shares` is one of the Others.
    """
    for number, (record, given) in enumerate(records):
        if number % _TELL_EVERY == 0:
            progress(number, 0)
        yield _classified(record, threshold) if given is None else _given(given, shares)


def _given(label: object, shares: Mapping[str, float]) -> Label:
    text = str(label).strip()
    name = text if text in shares else class_named(text)
    if name is None or name not in shares:
        return Label(OTHERS, given=text)
    return Label(name, given=None if name == text else text)


def _classified(record: Record, threshold: float | None) -> Label:
    from augtui.models import classifier

    floor = classifier.THRESHOLD if threshold is None else threshold
    (found,) = classifier.load().label([record.instruction], floor)
    return Label(found.label, found.confidence)


def plan(
    names: Sequence[str],
    size: int,
    shares: Mapping[str, float] = SHARES,
    shortage: Shortage = "repeat",
    seed: int = 42,
) -> Plan:
    """Return what to take of records with these classes, for `size` rows in all; the same seed takes the same ones.

    Raises UsageError: no class that is present has a share.
    """
    members: defaultdict[str, list[int]] = defaultdict(list)
    for position, name in enumerate(names):
        members[name].append(position)
    wanted = renormalised(shares, members)
    if names and not wanted:
        raise UsageError(
            "no class that is present has a share in the mix",
            hint="present: " + ", ".join(sorted(members)),
        )
    targets = apportioned(wanted, size)
    times = [0] * len(names)
    expansions: list[Expansion] = []
    for name, target in targets.items():
        here = members[name]
        drawn = random.Random(f"{seed} {name}").sample(here, len(here))
        if target <= len(here):
            for position in drawn[:target]:
                times[position] = 1
            continue
        every, more = divmod(target, len(here)) if shortage == "repeat" else (1, 0)
        for place, position in enumerate(drawn):
            times[position] = every + (place < more)
        if shortage == "expand":
            every, more = divmod(target - len(here), len(here))
            counts = ((position, every + (place < more)) for place, position in enumerate(drawn))
            expansions += [Expansion(position, name, count) for position, count in counts if count]
    order = [name for name in (*shares, *sorted(members)) if name in members]
    present = {name: len(members[name]) for name in dict.fromkeys(order)}
    expansions.sort(key=lambda expansion: expansion.position)
    return Plan(tuple(names), present, targets, tuple(times), tuple(expansions))


def apportioned(shares: Mapping[str, float], size: int) -> dict[str, int]:
    """Return whole numbers that add up to `size`, each less than 1 from its share of it (Hamilton's method).

    The shares are decimal numbers as they are written, and need not add up to 1. Equal remainders go to the first.
    """
    exact = {name: Fraction(str(share)) for name, share in shares.items()}
    total = sum(exact.values())
    if not total:
        return {}
    quotas = {name: size * share / total for name, share in exact.items()}
    whole = {name: int(quota) for name, quota in quotas.items()}
    left = size - sum(whole.values())
    for name in sorted(quotas, key=lambda name: quotas[name] - whole[name], reverse=True)[:left]:
        whole[name] += 1
    return whole


def mix(given: Mapping[str, Any]) -> dict[str, float]:
    """Return the shares that a mix file gives, in its table `mix` or by themselves; raises UsageError."""
    table = given.get("mix", given)
    if not isinstance(table, Mapping) or not table:
        raise UsageError(
            "a mix is a table of classes and their shares", hint='for example: Math = 2 or "Code Debug" = 1'
        )
    shares: dict[str, float] = {}
    for name, share in table.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < float("inf"):
            raise UsageError(f"the share of {name!r} is a number from 0 on, not {share!r}")
        known = name if name in CLASSES else class_named(str(name)) or str(name)
        if known in shares:
            raise UsageError(f"the class {known!r} has two shares")
        shares[known] = float(share)
    if not any(shares.values()):
        raise UsageError("no class of the mix has a share above 0")
    return shares


def uniform() -> dict[str, float]:
    """Return a mix in which all classes of the taxonomy have the same share."""
    return dict.fromkeys(CLASSES, 1.0)
